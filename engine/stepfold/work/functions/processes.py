"""One child process that speaks the Lambda Runtime API: started, listened to, and killed with all it started.

A child has one task. It waits on one selector, in which everything that a child can do is registered: its
requests, its two outputs, its end. So what it says is heard in order, its output never blocks it, and nothing of it
outlives the task.

Our own bootstraps get one end of a socket pair: no address, so nobody else can reach it, and the end of the engine
closes it. A runtime that insists on `AWS_LAMBDA_RUNTIME_API=host:port` gets a port of its own on 127.0.0.1, where only
processes of the same user are heard.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import anyio
import structlog

from . import runtime_api
from .runtime_api import BadRequest, Fault, Message, Next, Reader, Request, Response

logger = structlog.get_logger(__name__)

LINE_BYTES = 64 * 1024
"""A longer line of output is cut."""
_READ_BYTES = 8 * 1024  # of output, between two looks at all else
_DRAIN_READS = 32
_KILL_SECONDS = 5
"""How long a child that hung up, or was killed, is waited for."""

Stream = Literal["stdout", "stderr"]
OnLine = Callable[[str | None, Stream, str], None]
"""Hears a line of output: the id of the request it belongs to, where there is one, the stream, the line."""


class Launch(NamedTuple):
    """How to start a child; `port` says that it wants a port instead of a socket, whose number is the last argument."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    port: bool = False


class Ended(NamedTuple):
    """The child is gone; `status` as in `subprocess`: the negative of a signal's number, or the exit status."""

    status: int

    def __str__(self) -> str:
        """Say it in Lambda's words."""
        if self.status < 0:
            try:
                name = signal.strsignal(-self.status) or ""
            except ValueError:
                name = ""
            return f"Runtime exited with error: signal: {name.lower() or -self.status}"
        if self.status == 0:
            return "Runtime exited without providing a reason"
        return f"Runtime exited with error: exit status {self.status}"


Outcome = Response | Fault | Ended


class Child:
    """A child process. Whoever makes one sees to it that `live` runs until it returns."""

    def __init__(self, launch: Launch, on_line: OnLine) -> None:
        self.ready = anyio.Event()  # asks for an event, or will never do so
        self.gone = anyio.Event()
        self.failed: Fault | Ended | None = None  # why it will never ask again
        self._on_line = on_line
        self._request: str | None = None
        self._outcome: Outcome | None = None
        self._answered = anyio.Event()
        self._asking: _Connection | None = None
        self._connections: set[_Connection] = set()
        self._lines: dict[int, _Lines] = {}
        self._listener: socket.socket | None = None
        self._patience = math.inf  # until when it may live
        self._pidfd = -1
        self._selector = selectors.DefaultSelector()
        try:
            self._process = self._start(launch)
        except BaseException:
            self._close()
            raise
        self.pid = self._process.pid
        if sys.platform == "linux":
            self._pidfd = os.pidfd_open(self.pid)
            self._selector.register(self._pidfd, selectors.EVENT_READ, self._died)

    def _start(self, launch: Launch) -> subprocess.Popen[bytes]:
        environment = dict(launch.environment)
        arguments = list(launch.arguments)
        given: list[int] = []  # ends that are the child's: closed here once it has them
        try:
            if launch.port:
                environment["AWS_LAMBDA_RUNTIME_API"] = self._listen()
            else:
                ours, theirs = socket.socketpair()
                given.append(theirs.detach())
                self._connections.add(_Connection(ours, self._selector, self._hear, self._hung_up))
                arguments.append(str(given[0]))
            out, err = self._pipe("stdout", given), self._pipe("stderr", given)
            # A session of its own, so that what it starts can be killed with it. The fork happens in this thread, the
            # event loop's: the child asks the kernel to be killed when the thread that forked it ends.
            return subprocess.Popen(  # noqa: S603 - the very purpose
                arguments, executable=arguments[0], cwd=launch.folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err, pass_fds=given[:1] if not launch.port else (), start_new_session=True,
            )
        finally:
            for end in given:
                os.close(end)

    def _pipe(self, stream: Stream, given: list[int]) -> int:
        ours, theirs = os.pipe()
        given.append(theirs)
        os.set_blocking(ours, False)
        self._lines[ours] = _Lines(lambda line: self._on_line(self._request, stream, line))
        self._selector.register(ours, selectors.EVENT_READ, lambda _: self._read_output(ours))
        return theirs

    def _listen(self) -> str:
        listener = self._listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        return f"127.0.0.1:{listener.getsockname()[1]}"

    @property
    def alive(self) -> bool:
        """Whether it can still be asked; looks at the process itself, whose end may not have been heard of yet."""
        if self.failed or self.gone.is_set():
            return False
        if self._pidfd < 0:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    async def live(self) -> None:
        """Hear the child until it ends; cancelled, kill it first."""
        try:
            while not self.gone.is_set():
                with anyio.CancelScope(deadline=self._patience) as scope:
                    await anyio.wait_readable(self._selector.fileno())
                if scope.cancelled_caught:
                    break
                self._turn()
        finally:
            self.kill()
            with anyio.move_on_after(_KILL_SECONDS, shield=True):
                while not self.gone.is_set():
                    await anyio.wait_readable(self._selector.fileno())
                    self._turn()
            self.bury()

    async def invoke(self, event: bytes, *, request: str, deadline: float, arn: str) -> Outcome:
        """Hand it an event and wait for its answer; `ready` must be set. One event at a time."""
        if self.failed or self._asking is None:
            return self.failed or Ended(0)
        asking, self._asking = self._asking, None
        self._request, self._outcome = request, None
        self.ready, self._answered = anyio.Event(), anyio.Event()
        asking.send(runtime_api.event(event, request=request, deadline=deadline, arn=arn))
        await self._answered.wait()
        return self._outcome or self.failed or Ended(0)

    def kill(self) -> None:
        """End it and all of its process group, at once. `gone` is set when it has happened."""
        if not self.gone.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def bury(self) -> None:
        """Kill it, wait for its end without the event loop, and close all. For a child whose task never ran."""
        if not self.gone.is_set():
            self.kill()
            self._end()
        self._close()

    def _turn(self) -> None:
        events = self._selector.select(0)
        for key, mask in events:
            if key.fd != self._pidfd and key.fd in self._selector.get_map():
                key.data(mask)
        for key, mask in events:  # its end last: what it said before is heard first
            if key.fd == self._pidfd:
                key.data(mask)

    def _hear(self, connection: _Connection, request: Request) -> None:
        message = runtime_api.understand(request)
        if isinstance(message, Next):
            self._asking = connection
            self.ready.set()
        elif message is None:
            connection.send(runtime_api.NOT_FOUND)
        elif message.request is None:
            connection.send(runtime_api.ACCEPTED)
            self._fail(message)
        elif message.request != self._request:
            connection.send(runtime_api.STRANGE_ID)
        else:
            excess = isinstance(message, Response) and message.excess
            connection.send(runtime_api.TOO_LARGE if excess else runtime_api.ACCEPTED)
            self._answer(message)

    def _answer(self, outcome: Message) -> None:
        if self._outcome is None and not isinstance(outcome, Next):
            self._drain()  # what it wrote before its answer belongs to this request
            self._outcome, self._request = outcome, None
            self._answered.set()

    def _fail(self, why: Message | Ended) -> None:
        if self.failed is None and isinstance(why, Fault | Ended):
            self.failed = why
        self.ready.set()
        self._answered.set()

    def _hung_up(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        if self._asking is connection:
            self._asking = None
            self.ready = anyio.Event()
        if self._listener is None:  # the only way to reach it is closed: it is about to end, or is made to
            self._patience = min(self._patience, anyio.current_time() + _KILL_SECONDS)
            if self._pidfd < 0:
                self._end()

    def _accept(self, _: int) -> None:
        if self._listener is None:
            return
        try:
            accepted, (_, port) = self._listener.accept()
        except OSError:
            return
        if not _same_user(port):
            accepted.close()
            return
        self._connections.add(_Connection(accepted, self._selector, self._hear, self._hung_up))

    def _died(self, _: int) -> None:
        self._end()

    def _end(self) -> None:
        if self.gone.is_set():
            return
        for connection in list(self._connections):
            connection.receive()
        # Its number belongs to it until it is waited for: only till then is it safe to kill the group by it.
        self.kill()
        status = self._process.wait()
        self._drain()
        for lines in self._lines.values():
            lines.flush()
        self.gone.set()
        self._fail(Ended(status))

    def _read_output(self, pipe: int) -> bool:
        """Read some output; whether there was any."""
        if pipe not in self._lines:
            return False
        try:
            data = os.read(pipe, _READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._lines[pipe].feed(data)
        else:
            self._selector.unregister(pipe)
            self._lines.pop(pipe).flush()
            os.close(pipe)
        return bool(data)

    def _drain(self) -> None:
        for pipe in list(self._lines):
            for _ in range(_DRAIN_READS):
                if not self._read_output(pipe):
                    break
            if pipe in self._lines:
                self._lines[pipe].flush()

    def _close(self) -> None:
        for connection in list(self._connections):
            connection.close()
        for pipe in self._lines:
            os.close(pipe)
        self._lines.clear()
        if self._listener:
            self._listener.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        self._selector.close()


class _Connection:
    """One connection of a child, which is a file that is read and written without ever waiting."""

    def __init__(
        self,
        file: socket.socket,
        selector: selectors.BaseSelector,
        hear: Callable[[_Connection, Request], None],
        hung_up: Callable[[_Connection], None],
    ) -> None:
        self._file = file
        self._selector = selector
        self._hear = hear
        self._hung_up = hung_up
        self._reader = Reader()
        self._unsent = bytearray()
        file.setblocking(False)
        selector.register(file, selectors.EVENT_READ, self._on_event)

    def send(self, data: bytes) -> None:
        self._unsent += data
        self._flush()

    def receive(self) -> None:
        """Take in all that has arrived."""
        while self._file.fileno() >= 0:
            try:
                data = self._file.recv(256 * 1024)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            try:
                requests = self._reader.feed(data) if data else None
            except BadRequest as error:
                logger.warning("a child process does not speak the Runtime API", problem=str(error))
                requests = None
            if requests is None:
                self.close()
                self._hung_up(self)
                return
            if self._reader.expecting:
                self._reader.expecting = False
                self.send(runtime_api.CONTINUE)
            for request in requests:
                self._hear(self, request)

    def close(self) -> None:
        if self._file.fileno() >= 0:
            self._selector.unregister(self._file)
            self._file.close()

    def _on_event(self, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush()
        if mask & selectors.EVENT_READ:
            self.receive()

    def _flush(self) -> None:
        if self._file.fileno() < 0:
            return
        try:
            while self._unsent:
                del self._unsent[: self._file.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it is gone, which is heard of elsewhere
            self._unsent.clear()
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        if self._selector.get_key(self._file).events != mask:
            self._selector.modify(self._file, mask, self._on_event)


class _Lines:
    """Cuts a stream of output into lines; of a line that is too long the rest is dropped."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._part = bytearray()
        self._cut = False

    def feed(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._add(line)
            self.flush(ended=True)
        self._add(rest)

    def _add(self, data: bytes) -> None:
        self._part += data[: LINE_BYTES + 1 - len(self._part)]
        if len(self._part) > LINE_BYTES and not self._cut:
            del self._part[LINE_BYTES:]
            self._emit(self._part.decode("utf-8", "replace") + " [cut]")
            self._cut = True

    def flush(self, *, ended: bool = False) -> None:
        """Give out what there is of a line; `ended` where its end was seen."""
        if not self._cut and (self._part or ended):
            self._emit(self._part.rstrip(b"\r").decode("utf-8", "replace"))
        if not self._cut or ended:
            self._part.clear()
            self._cut = False


def _same_user(port: int) -> bool:
    """Whether the far end of a loopback connection belongs to the user of this process, as far as is known here."""
    try:
        table = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return True
    near = f"0100007F:{port:04X}"  # the kernel writes 127.0.0.1 in its own byte order
    if sys.byteorder == "big":
        near = f"7F000001:{port:04X}"
    owners = {int(fields[7]) for line in table if (fields := line.split())[1] == near}
    return owners <= {os.getuid()}
