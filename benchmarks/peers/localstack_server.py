"""LocalStack's server without Docker, with no service but Step Functions, in memory. Prints seconds."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import states_api

PATIENCE = 60.0
"""Seconds that it may take to start."""


def wait_for(server: subprocess.Popen[bytes], endpoint: str) -> None:
    """Until it answers. Raises RuntimeError where it ends instead, TimeoutError where it takes too long."""
    until = time.monotonic() + PATIENCE
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"{endpoint}/_localstack/health", timeout=5).close()  # noqa: S310
            return
        except OSError:
            if time.monotonic() > until:
                raise TimeoutError from None
            time.sleep(0.1)
    raise RuntimeError(Path("peer.log").read_text("utf-8", "replace").strip().splitlines()[-1])


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = os.environ | {
        "GATEWAY_LISTEN": address,
        "FILESYSTEM_ROOT": str(Path("peer-data").absolute()),
        "SERVICES": "stepfunctions,sts",
        "STRICT_SERVICE_LOADING": "1",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }
    with Path("peer.log").open("wb") as log:
        command = [sys.executable, "-m", "localstack.runtime.main"]
        server = subprocess.Popen(command, env=settings, stdout=log, stderr=log)
        try:
            wait_for(server, f"http://{address}")
            print(states_api.taken(f"http://{address}"))
        finally:
            server.terminate()
            server.wait()
