"""`stepfold serve` in a process of its own, and boto3 clients of it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import boto3
from botocore.config import Config

from stepfold.interpreter import facts
from stepfold.query.values import tree
from stepfold.runtime import catalog
from stepfold_store import open_reader

ROOT = Path(__file__).parents[2]
ACCOUNT = "111111111111"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
PATIENCE = 60


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


class Served:
    """A server over the store in a folder; each start is a new process on the same port."""

    def __init__(self, folder, *templates):
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._templates = [word for template in templates for word in ("--template", str(template))]
        self._process = None

    def start(self, *before, **environment):
        """Start it, `before` being a command that takes the rest as its arguments; returns once it listens."""
        places = os.pathsep.join(str(ROOT / one) for one in ("engine", "store"))
        command = [
            *before, sys.executable, "-m", "stepfold", "serve", "--host", "127.0.0.1", "--port", str(self.port),
            "--store", f"sqlite:///{self.folder / 'served.db'}", "--account", ACCOUNT, "--region", REGION,
            *self._templates,
        ]  # fmt: skip
        with (self.folder / "errors").open("a") as errors:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True,
                env={**os.environ, "PYTHONPATH": places, **environment},
            )
        late = threading.Timer(PATIENCE, self._process.kill)
        late.start()
        line = self._process.stdout.readline()
        late.cancel()
        assert line == f"listening on {self.url}\n", (self.folder / "errors").read_text()

    def client(self, patience=PATIENCE):
        """A client that asks once, and waits so many seconds for an answer."""
        return boto3.client(
            "stepfunctions", endpoint_url=self.url, region_name=REGION, aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(
                retries={"total_max_attempts": 1}, max_pool_connections=16, inject_host_prefix=False,
                read_timeout=patience,
            ),
        )

    def kill(self):
        self._process.kill()
        self._process.communicate()

    def handed_over(self):
        """What the log of a server that is gone says was handed over: the receipts, by the execution's ARN."""
        return anyio.run(_receipts, self.folder / "served.db")

    def stop(self):
        """Ask it to stop; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=PATIENCE)
        return self._process.returncode

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self.kill()


async def _receipts(path):
    store = await open_reader(path)
    try:
        return {
            entry.key: tree(event.fact.output)
            async for entry in catalog.all_entries(store, catalog.EXECUTION)
            async for event in catalog.events(store, entry.key) if isinstance(event.fact, facts.TaskSubmitted)
        }
    finally:
        await store.close()
