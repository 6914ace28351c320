"""What the tests of services call: a moto_server, or a server that answers as it is told."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
MOTO = importlib.util.find_spec("moto") is not None
NO_MOTO = "moto is not installed: services are not tested (pip install 'stepfold[test]')"


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


class Moto:
    """A moto_server of its own process, for importing moto changes the clients of whoever does."""

    def __enter__(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)],
            env=os.environ | ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    return self
            time.sleep(0.1)
        raise RuntimeError("moto_server did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Told:
    """A server that gives the answers it was told, the last of them again and again, and keeps what it was asked.

    `answer`, where it is set, is asked for each answer instead. With a `context` it speaks TLS.
    """

    def __init__(self, *answers, context=None):
        self.answers = list(answers)
        self.answer = None
        self.context = context
        self.asked = []
        self.hold = threading.Event()

    def __enter__(self):
        told = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = {"path": self.path, "headers": dict(self.headers.items()), "body": body.decode(),
                         "method": self.command}
                told.asked.append(asked)
                if told.answer is not None:
                    answer = told.answer(asked)
                else:
                    answer = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
                if answer is None:
                    told.hold.wait(30)
                    self.close_connection = True
                    return
                status, given, *headers = answer
                data = given if isinstance(given, bytes) else json.dumps(given).encode()
                self.send_response(status)
                given_headers = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": "r-1"}
                for name, value in (given_headers | (headers[0] if headers else {})).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_POST  # noqa: N815

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if self.context is not None:
            self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True)
            self.server.handle_error = lambda *_: None  # (whoever does not believe us hangs up)
            self.url = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Answer nobody any more."""
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()
