"""Local Lambda handlers in child processes: Python, Node, and whatever else speaks the Runtime API."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import anyio
import pytest
import structlog

from stepfold.query.values import text, tree
from stepfold.work.call import TaskError
from stepfold.work.functions.handlers import Handler, Handlers
from stepfold.work.functions.lambdas import RESPONSE_BYTES
from stepfold.work.workers import Workers

pytestmark = pytest.mark.anyio

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="NODE IS NOT INSTALLED: Node handlers go untested")


class Bench:
    """A pool, a folder for code, and a short way to make functions of it."""

    def __init__(self, pool, folder):
        self.pool, self.folder = pool, folder

    def write(self, file, source):
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    def python(self, source, handler="app.handler", file="app.py", **more):
        self.write(file, source)
        return self.make("python3.11", handler, **more)

    def node(self, source, handler="index.handler", file="index.js", **more):
        self.write(file, source)
        return self.make("nodejs20.x", handler, **more)

    def make(self, runtime, handler="index.handler", name="f", **more):
        return self.pool.worker(Handler(name=name, runtime=runtime, handler=handler, code=self.folder, **more))


@pytest.fixture
async def bench(tmp_path):
    async with Handlers() as pool:
        with anyio.fail_after(60):
            yield Bench(pool, tmp_path)


async def failure(worker, asked):
    with pytest.raises(TaskError) as caught:
        await worker(asked)
    return caught.value.error, json.loads(caught.value.cause)


def running(pid):
    """Whether a process still runs; one that is dead but not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def dies(pid):
    for _ in range(500):
        if not running(pid):
            return True
        await anyio.sleep(0.01)
    return False


PY_PID = "import os\ndef handler(event, context): return os.getpid()\n"
JS_PID = "exports.handler = async () => process.pid;"


# ---- what works ----


async def test_python_handler(bench, call):
    worker = bench.python("""
        def handler(event, context):
            event["seen"] = True
            return [event, context.function_name, context.function_version, context.memory_limit_in_mb,
                    context.invoked_function_arn, len(context.aws_request_id),
                    0 < context.get_remaining_time_in_millis() <= 900_000]
    """, memory=256)
    asked = call("f", {"a": "é"})
    assert tree(await worker(asked)) == [
        {"a": "é", "seen": True}, "f", "$LATEST", "256", "arn:aws:lambda:us-east-1:123456789012:function:f", 36, True
    ]


async def test_a_python_module_may_be_written_as_a_path(bench, call):
    worker = bench.python("def handler(event, context): return event", "pkg/module.handler", "pkg/module.py")
    assert await worker(call("f", [1])) == text([1])


async def test_python_children_see_their_neighbours_and_installed_packages(bench, call):
    bench.write("neighbour.py", "value = 7")
    worker = bench.python("""
        import msgspec, neighbour, sys
        def handler(event, context):
            return [neighbour.value, sys.argv[1:], "guard" in sys.modules]
    """)
    assert tree(await worker(call("f"))) == [7, [], False]


@needs_node
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("exports.handler = async (event) => ({n: event.n * 2});", {"n": 6}),
        ("exports.handler = (event) => Promise.resolve({n: event.n * 2});", {"n": 6}),
        ("exports.handler = (event, context, callback) => callback(null, {n: event.n * 2});", {"n": 6}),
        ("exports.handler = (event, context, callback) => setTimeout(() => callback(null, event.n), 5);", 3),
        ("exports.handler = (event, context, callback) => { callback(null, 1); callback(null, 2); };", 1),
        ("exports.handler = (event, context, callback) => {};", None),
        ("exports.handler = (event, context, callback) => { setTimeout(() => {}, 5); };", None),
        ("exports.handler = async () => {};", None),
        ("exports.handler = async () => () => {};", None),
        ("exports.handler = () => 5;", None),
        ("exports.handler = () => new Promise(() => {});", None),
        ("exports.handler = (event, context) => context.succeed(event);", {"n": 3}),
        ("exports.handler = (event, context) => context.done(null, event);", {"n": 3}),
        ("exports.handler = async (event) => { delete event.n; event.m = 1; return event; };", {"m": 1}),
        (
            "exports.handler = async (e, c) => [c.functionName, c.awsRequestId.length, c.invokedFunctionArn];",
            ["f", 36, "arn:aws:lambda:us-east-1:123456789012:function:f"],
        ),
        (
            "exports.handler = async (e, c) => [c.getRemainingTimeInMillis() > 0, process.argv.length];",
            [True, 1],
        ),
        (
            """exports.handler = (event, context, callback) => {
                setInterval(() => {}, 1000);
                context.callbackWaitsForEmptyEventLoop = false;
                callback(null, 'at once');
            };""",
            "at once",
        ),
    ],
)
async def test_node_handlers_in_every_style(bench, call, source, expected):
    worker = bench.node(source)
    for _ in range(3):  # also in a warm child
        assert tree(await worker(call("f", {"n": 3}))) == expected


@needs_node
async def test_a_callbacks_result_waits_for_the_event_loop(bench, call):
    lines = []
    bench.pool._on_output = lambda *said: lines.append(said)
    worker = bench.node("""
        exports.handler = (event, context, callback) => {
          setTimeout(() => console.log("last"), 20);
          callback(null, 1);
        };
    """)
    assert await worker(call("f")) == text(1)
    assert lines == [("f", "stdout", "last")]


@needs_node
@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"index.mjs": "export const handler = async () => 'ok';"}, "index.handler"),
        ({"index.js": "export const handler = async () => 'ok';", "package.json": '{"type":"module"}'},
         "index.handler"),
        ({"index.js": "export default { handler: async () => 'ok' };", "package.json": '{"type":"module"}'},
         "index.handler"),
        ({"index.cjs": "exports.handler = async () => 'ok';", "package.json": '{"type":"module"}'}, "index.handler"),
        ({"index.mjs": "const later = await Promise.resolve('ok'); export const handler = async () => later;"},
         "index.handler"),
        ({"src/app.js": "exports.handler = async () => 'ok';"}, "src/app.handler"),
        ({"src/app.js": "exports.api = {v1: {go: async () => 'ok'}};"}, "src/app.api.v1.go"),
        ({"src/index.js": "exports.handler = async () => 'ok';"}, "src/index.handler"),
        ({"index.js": "exports.handler = require('./other').go;", "other.js": "exports.go = async () => 'ok';"},
         "index.handler"),
    ],
)
async def test_node_modules_of_every_kind(bench, call, files, handler):
    for file, source in files.items():
        bench.write(file, source)
    assert await bench.make("nodejs20.x", handler)(call("f")) == text("ok")


@needs_node
async def test_through_workers_with_lambda_invoke(bench, call):
    workers = Workers()
    workers.register("f", bench.node("exports.handler = async (event) => event.n * 2;"))
    answer = await workers.perform(call("arn:aws:states:::lambda:invoke", {"FunctionName": "f", "Payload": {"n": 3}}))
    assert tree(answer)["Payload"] == 6


# ---- warmth ----


@pytest.mark.parametrize("language", ["python", pytest.param("node", marks=needs_node)])
async def test_a_warm_child_is_used_again(bench, call, language):
    worker = bench.python(PY_PID) if language == "python" else bench.node(JS_PID)
    first = tree(await worker(call("f")))
    started = []
    bench.pool.start = lambda *_: started.append(True)
    assert tree(await worker(call("f"))) == first
    assert not started


async def test_calls_at_once_have_a_child_each_and_idle_ones_are_reaped(bench, call):
    worker = bench.python("""
        import os, sys
        def handler(event, context):
            print("in", flush=True)
            while not os.path.exists(event): pass
            return os.getpid()
    """)
    gate, pids, entered = bench.folder / "gate", [], anyio.Semaphore(0)
    bench.pool._on_output = lambda *_: entered.release()

    async def one():
        pids.append(tree(await worker(call("f", str(gate)))))

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        group.start_soon(one)
        await entered.acquire()
        await entered.acquire()
        gate.touch()
    assert len(set(pids)) == 2
    now = bench.pool.clock()
    bench.pool.clock = lambda: now
    assert bench.pool.reap() == 0
    bench.pool.clock = lambda: now + 301
    assert bench.pool.reap() == 2
    for pid in pids:
        assert await dies(pid)
    assert bench.pool._children == set() or await settled(bench.pool)


async def settled(pool):
    for _ in range(500):
        if not pool._children:
            return True
        await anyio.sleep(0.01)
    return False


async def test_a_child_that_died_while_idle_is_replaced(bench, call):
    worker = bench.python(PY_PID)
    first = tree(await worker(call("f")))
    os.kill(first, signal.SIGKILL)
    while running(first):  # the event loop is not let in: nobody has heard of its end yet
        pass
    assert tree(await worker(call("f"))) != first


# ---- failures ----


async def test_python_exception(bench, call):
    worker = bench.python("""
        class CustomException(Exception): pass
        def handler(event, context):
            raise CustomException("Something \\u00e9")
    """)
    error, cause = await failure(worker, call("f"))
    assert error == "CustomException"
    assert list(cause) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert cause["errorMessage"] == "Something é"
    assert cause["stackTrace"] == [
        '  File "/var/task/app.py", line 4, in handler\n    raise CustomException("Something \\u00e9")\n'
    ]
    error, _ = await failure(worker, call("f"))  # by the same child
    assert error == "CustomException"
    assert len(bench.pool._children) == 1


@needs_node
@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("async () => { throw new TypeError('bad'); }", "TypeError", "bad"),
        ("(event, context, callback) => { throw new RangeError('bad'); }", "RangeError", "bad"),
        ("(event, context, callback) => callback(new Error('bad'))", "Error", "bad"),
        ("(event, context) => context.fail(new Error('bad'))", "Error", "bad"),
        ("(event, context, callback) => callback('bad')", "string", "bad"),
        ("async () => { class Mine extends Error { name = 'Mine' }; throw new Mine('bad'); }", "Mine", "bad"),
        ("async () => ({ n: 1n })", "Error",
         "Unable to stringify response body: Do not know how to serialize a BigInt"),
        ("(event, context, callback) => setTimeout(() => { throw new Error('late') }, 1)", "Error", "late"),
        ("(event, context, callback) => { Promise.reject(new Error('lost')); setTimeout(() => {}, 1000) }",
         "Runtime.UnhandledPromiseRejection", "Error: lost"),
    ],
)
async def test_node_errors(bench, call, body, error, message):
    worker = bench.node(f"exports.handler = {body};")
    for _ in range(2):
        name, cause = await failure(worker, call("f"))
        assert name == error
        assert list(cause) == ["errorType", "errorMessage", "trace"]
        assert cause["errorType"] == error
        assert cause["errorMessage"] == message
        if error != "string":
            assert cause["trace"][0] == f"{error}: {message}"


@pytest.mark.parametrize(
    ("source", "handler", "error", "message"),
    [
        ("import no_such_thing", "app.handler", "Runtime.ImportModuleError",
         "Unable to import module 'app': No module named 'no_such_thing'"),
        ("", "nowhere.handler", "Runtime.ImportModuleError",
         "Unable to import module 'nowhere': No module named 'nowhere'"),
        ("def handler(:", "app.handler", "Runtime.UserCodeSyntaxError", None),
        ("", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("", "app", "Runtime.MalformedHandlerName",
         "Bad handler 'app': not enough values to unpack (expected 2, got 1)"),
        ("raise KeyError('at import')", "app.handler", "KeyError", "'at import'"),
    ],
)
async def test_python_that_does_not_start(bench, call, source, handler, error, message):
    name, cause = await failure(bench.python(source, handler), call("f"))
    assert name == error
    assert cause["errorType"] == error
    assert message is None or cause["errorMessage"] == message


@needs_node
@pytest.mark.parametrize(
    ("source", "handler", "error", "message"),
    [
        ("require('no-such-thing');", "index.handler", "Runtime.ImportModuleError",
         "Error: Cannot find module 'no-such"),
        ("", "nowhere.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'nowhere'"),
        ("exports.handler = (", "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: "),
        ("", "index.handler", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ("exports.handler = 3", "index.handler", "Runtime.HandlerNotFound", "index.handler is not a function"),
        ("", "index", "Runtime.MalformedHandlerName", "Bad handler"),
        ("throw new TypeError('at start')", "index.handler", "TypeError", "at start"),
    ],
)
async def test_node_that_does_not_start(bench, call, source, handler, error, message):
    name, cause = await failure(bench.node(source, handler), call("f"))
    assert name == error
    assert cause["errorType"] == error
    assert cause["errorMessage"].startswith(message)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("os._exit(3)", "exit status 3"), ("sys.exit(4)", "exit status 4"),
        ("os.kill(os.getpid(), 9)", "signal: killed"), ("os.abort()", "signal: aborted"),
        ("os._exit(0)", "without providing a reason"),
    ],
)
async def test_a_python_child_that_ends_in_a_call(bench, call, statement, why):
    worker = bench.python(f"""
        import os, sys
        def handler(event, context):
            if event: {statement}
            return "well"
    """)
    assert await worker(call("f", 0)) == text("well")
    name, cause = await failure(worker, call("f", 1))
    assert name == cause["errorType"] == "Runtime.ExitError"
    assert cause["errorMessage"].startswith("RequestId: ")
    assert why in cause["errorMessage"]
    assert await worker(call("f", 0)) == text("well")


@needs_node
async def test_a_node_child_that_ends_in_a_call_or_at_its_start(bench, call):
    worker = bench.node("exports.handler = async (event) => { if (event) process.exit(5); return 'well'; };")
    name, cause = await failure(worker, call("f", 1))
    assert name == "Runtime.ExitError"
    assert cause["errorMessage"].endswith("Error: Runtime exited with error: exit status 5")
    assert await worker(call("f", 0)) == text("well")
    worker = bench.node("process.exit(6);", "other.handler", "other.js")
    _, cause = await failure(worker, call("f"))
    assert cause["errorMessage"].endswith("exit status 6")


@needs_node
async def test_a_node_error_between_two_calls_ends_that_child(bench, call):
    worker = bench.node("""
        exports.handler = async (event) => {
          if (event) setTimeout(() => { throw new Error("too late"); }, 1);
          return process.pid;
        };
    """)
    first = tree(await worker(call("f", 1)))
    assert await dies(first)
    assert tree(await worker(call("f", 0))) != first


@pytest.mark.parametrize("language", ["python", pytest.param("node", marks=needs_node)])
async def test_a_child_over_its_time_is_killed_and_replaced(bench, call, language):
    if language == "python":
        worker = bench.python("""
            import os, time
            def handler(event, context):
                print(os.getpid(), flush=True)
                while event: time.sleep(60)
        """, timeout=0.3)
    else:
        worker = bench.node("""
            exports.handler = async (event) => { console.log(process.pid); while (event); };
        """, timeout=0.3)
    lines = []
    bench.pool._on_output = lambda _name, _stream, line: lines.append(int(line))
    name, cause = await failure(worker, call("f", 1))
    assert name == cause["errorType"] == "Sandbox.Timedout"
    assert cause["errorMessage"].endswith("Error: Task timed out after 0.30 seconds")
    assert not running(lines[0])
    assert await worker(call("f", 0)) == text(None)
    assert lines[1] != lines[0]


async def test_a_child_that_never_becomes_ready_is_given_up(bench, call):
    bench.pool.init_seconds = 0.3
    name, _ = await failure(bench.python("import time\nwhile True: time.sleep(60)"), call("f"))
    assert name == "Sandbox.Timedout"


async def test_a_cancelled_call_kills_its_child_and_what_that_started(bench, call):
    worker = bench.python("""
        import os, subprocess, sys, time
        def handler(event, context):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            print(os.getpid(), child.pid, flush=True)
            time.sleep(600)
    """)
    said, pids = anyio.Event(), []

    def on_output(_name, _stream, line):
        pids.extend(map(int, line.split()))
        said.set()

    bench.pool._on_output = on_output
    async with anyio.create_task_group() as group:
        group.start_soon(worker, call("f"))
        await said.wait()
        group.cancel_scope.cancel()
    assert not running(pids[0])
    assert await dies(pids[1])


@pytest.mark.parametrize(
    ("result", "answer"), [("b'\"HelloWorld!\"'", "HelloWorld!"), ("bytearray(b'[1, 2]')", [1, 2]), ("b''", None)]
)
async def test_bytes_of_a_python_handler_are_its_answer_as_it_stands(bench, call, plain, result, answer):
    worker = bench.python(f"def handler(event, context): return {result}")
    assert plain(await worker(call("f"))) == answer


@pytest.mark.parametrize("result", ["{1, 2}", "float('nan')", "[b'']", "object()", "cycle"])
async def test_a_python_result_that_is_not_json(bench, call, result):
    worker = bench.python(f"cycle = []\ncycle.append(cycle)\ndef handler(event, context): return {result}")
    name, cause = await failure(worker, call("f"))
    assert name == "Runtime.MarshalError"
    assert cause["errorMessage"].startswith("Unable to marshal response: ")


@pytest.mark.parametrize("language", ["python", pytest.param("node", marks=needs_node)])
async def test_results_and_events_of_megabytes(bench, call, language):
    if language == "python":
        worker = bench.python("def handler(event, context): return event if len(event) > 9 else 'x' * int(event)")
    else:
        worker = bench.node("exports.handler = async (e) => e.length > 9 ? e : 'x'.repeat(Number(e));")
    big = "y" * 5_000_000
    assert tree(await worker(call("f", big))) == big
    assert len(await worker(call("f", str(RESPONSE_BYTES - 2)))) == RESPONSE_BYTES
    name, cause = await failure(worker, call("f", str(RESPONSE_BYTES - 1)))
    assert name == cause["errorType"] == "Function.ResponseSizeTooLarge"
    assert cause["errorMessage"] == "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
    assert tree(await worker(call("f", "3"))) == "xxx"
    assert len(bench.pool._children) == 1


async def test_runtimes_that_are_not_run_here_say_so(bench, call):
    with pytest.raises(TaskError, match=r"java21.*not supported locally: register a callable") as caught:
        await bench.make("java21")(call("f"))
    assert caught.value.error == "Stepfold.RuntimeNotSupported"


async def test_without_node_or_with_an_old_one_it_says_so(call, tmp_path):
    async with Handlers(node="no-such-node") as pool:
        with pytest.raises(TaskError, match="none is installed") as caught:
            await Bench(pool, tmp_path).node(JS_PID)(call("f"))
    assert caught.value.error == "Stepfold.NodeMissing"
    old = tmp_path / "old-node"
    old.write_text("#!/bin/sh\necho v16.20.2\n")
    old.chmod(0o755)
    async with Handlers(node=str(old)) as pool:
        with pytest.raises(TaskError, match=r"v16\.20\.2"):
            await Bench(pool, tmp_path).node(JS_PID)(call("f"))


async def test_code_that_is_not_there(call, tmp_path):
    async with Handlers() as pool:
        worker = pool.worker(Handler(name="f", runtime="python3.11", code=tmp_path / "none"))
        name, _ = await failure(worker, call("f"))
    assert name == "Runtime.InvalidEntrypoint"


# ---- output and environment ----


@pytest.mark.parametrize("language", ["python", pytest.param("node", marks=needs_node)])
async def test_output_goes_line_by_line_to_the_log_and_the_callback(bench, call, language):
    if language == "python":
        worker = bench.python("""
            import sys
            def handler(event, context):
                print("one\\ntwo \\u00e9")
                print("three", file=sys.stderr)
                sys.stdout.write("no end")
                return context.aws_request_id
        """)
    else:
        worker = bench.node("""
            exports.handler = async (event, context) => {
              console.log("one\\ntwo é");
              console.error("three");
              process.stdout.write("no end");
              return context.awsRequestId;
            };
        """)
    lines = []
    bench.pool._on_output = lambda *said: lines.append(said)
    with structlog.testing.capture_logs() as logs:
        request = tree(await worker(call("f")))
    assert [line for _, stream, line in lines if stream == "stdout"] == ["one", "two é", "no end"]
    assert [line for _, stream, line in lines if stream == "stderr"] == ["three"]
    assert {entry["event"] for entry in logs} == {"function output"}
    assert {entry["request"] for entry in logs} == {request}
    assert {entry["function"] for entry in logs} == {"f"}


async def test_huge_output_neither_blocks_nor_grows(bench, call):
    worker = bench.python("""
        import sys
        def handler(event, context):
            sys.stdout.write("x" * 3_000_000 + "\\nafter\\n")
            sys.stdout.write("y\\n" * 5_000)
            sys.stderr.write("z" * 65_536 + "\\n")
            return "done"
    """)
    lines = []
    bench.pool._on_output = lambda _name, stream, line: lines.append((stream, line))
    with structlog.testing.capture_logs():
        assert await worker(call("f")) == text("done")
    out = [line for stream, line in lines if stream == "stdout"]
    assert out[0] == "x" * 65_536 + " [cut]"
    assert out[1] == "after"
    assert out[2:] == ["y"] * 5_000
    assert [line for stream, line in lines if stream == "stderr"] == ["z" * 65_536]


async def test_a_callback_that_fails_does_no_harm(bench, call):
    worker = bench.python("def handler(event, context): print('x'); return 1")
    bench.pool._on_output = lambda *_: 1 / 0
    with structlog.testing.capture_logs() as logs:
        assert await worker(call("f")) == text(1)
    assert "on_output failed" in {entry["event"] for entry in logs}


@pytest.mark.parametrize("language", ["python", pytest.param("node", marks=needs_node)])
async def test_the_environment_is_lambdas_and_its_own(bench, call, language, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    more = {"environment": {"TABLE": "orders", "TZ": "Europe/Berlin"}}
    if language == "python":
        worker = bench.python("import os\ndef handler(event, context): return dict(os.environ)", **more)
    else:
        worker = bench.node("exports.handler = async () => process.env;", **more)
    found = tree(await worker(call("f")))
    assert set(found) - {"__CF_USER_TEXT_ENCODING", "LC_CTYPE"} == {
        "PATH", "LANG", "TZ", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_REGION", "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT", "_HANDLER", "TABLE",
    }
    assert found["TABLE"] == "orders"
    assert found["TZ"] == "Europe/Berlin"
    assert found["LAMBDA_TASK_ROOT"] == str(bench.folder)


# ---- custom runtimes ----

CUSTOM = """\
    import http.client, json, os
    address = os.environ["AWS_LAMBDA_RUNTIME_API"]
    def ask(method, path, body=None):
        connection = http.client.HTTPConnection(address)
        connection.request(method, "/2018-06-01/runtime/" + path, body)
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read()
        connection.close()
        return found
    assert ask("GET", "nonsense")[0] == 404
    while True:
        _, headers, event = ask("GET", "invocation/next")
        request = headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.loads(event)
        assert ask("POST", "invocation/another/response", "1")[0] == 400
        if event == "fail":
            ask("POST", f"invocation/{request}/error", "not json")
        elif event == "chunks":
            ask("POST", f"invocation/{request}/response", iter([b'{"a":', b'[1,', b'2]}']))
        elif event == "nothing":
            ask("POST", f"invocation/{request}/response", "")
        elif event == "not json":
            ask("POST", f"invocation/{request}/response", "{oops")
        else:
            ask("POST", f"invocation/{request}/response", json.dumps([event, os.environ["_HANDLER"]]))
"""


async def test_a_custom_runtime_brings_its_own_bootstrap(bench, call):
    path = bench.write("bootstrap", f"#!{sys.executable}\n" + textwrap.dedent(CUSTOM))
    path.chmod(0o755)
    worker = bench.make("provided.al2023", "my.handler")
    assert tree(await worker(call("f", 3))) == [3, "my.handler"]
    assert tree(await worker(call("f", "chunks"))) == {"a": [1, 2]}
    assert tree(await worker(call("f", "nothing"))) is None
    name, cause = await failure(worker, call("f", "fail"))
    assert (name, cause["errorMessage"]) == ("Lambda.Unknown", "not json")
    name, cause = await failure(worker, call("f", "not json"))
    assert name == "Lambda.Unknown"
    assert "not JSON" in cause["errorMessage"]
    assert len(bench.pool._children) == 1


# ---- the end ----


async def test_closing_ends_all_children_and_refuses_new_calls(call, tmp_path):
    async with Handlers() as pool:
        worker = Bench(pool, tmp_path).python(PY_PID)
        pid = tree(await worker(call("f")))
        await pool.aclose()
        assert not running(pid)
        name, cause = await failure(worker, call("f"))
        assert name == "Runtime.ExitError"
        assert "closed" in cause["errorMessage"]
    await pool.aclose()


async def test_closing_fails_the_call_in_flight(call, tmp_path):
    said = anyio.Event()
    outcome = []

    async def one():
        outcome.append(await failure(worker, call("f")))

    async with anyio.create_task_group() as group, Handlers(on_output=lambda *_: said.set()) as pool:
        worker = Bench(pool, tmp_path).python("""
            import time
            def handler(event, context):
                print("in", flush=True)
                time.sleep(600)
        """)
        group.start_soon(one)
        await said.wait()
        await pool.aclose()
    assert outcome[0][0] == "Runtime.ExitError"


def open_files():
    return set(Path("/proc/self/fd").iterdir())


async def test_nothing_is_left_open(call, tmp_path):
    await anyio.to_thread.run_sync(int)  # whatever the event loop opens for its threads
    before = open_files()
    async with Handlers() as pool:
        bench = Bench(pool, tmp_path)
        await bench.python(PY_PID)(call("f"))
        with anyio.move_on_after(0):  # a child whose task never took its first step
            await bench.python(PY_PID)(call("f"))
    assert open_files() <= before


async def test_a_pool_that_is_cancelled_at_once_leaves_no_child(call, tmp_path):
    before = open_files()
    with anyio.CancelScope() as scope:
        async with Handlers() as pool:
            worker = Bench(pool, tmp_path).python(PY_PID)
            scope.cancel()
            await worker(call("f"))
    assert scope.cancelled_caught
    assert not pool._children
    assert open_files() <= before


async def test_a_child_that_hangs_up_but_lives_on_is_ended(bench, call, monkeypatch):
    monkeypatch.setattr("stepfold.work.functions.processes._KILL_SECONDS", 0.1)
    worker = bench.python("""
        import os, time
        def handler(event, context):
            os.closerange(3, 100)
            time.sleep(600)
    """)
    name, cause = await failure(worker, call("f"))
    assert name == "Runtime.ExitError"
    assert cause["errorMessage"].endswith("signal: killed")


ENGINE = """
import sys
from pathlib import Path
import anyio
from stepfold.query.values import text
from stepfold.work.functions.handlers import Handler, Handlers
from stepfold.work.call import Call

async def main():
    async with Handlers(on_output=lambda name, stream, line: print("PID", line, flush=True)) as pool:
        async with anyio.create_task_group() as group:
            for runtime, handler in zip(sys.argv[2::2], sys.argv[3::2]):
                worker = pool.worker(Handler(name="f", runtime=runtime, handler=handler, code=Path(sys.argv[1])))
                for busy in (False, True):
                    call = Call(resource="f", arguments=text(busy), execution="e", state="s", token="t")
                    group.start_soon(worker, call)

anyio.run(main)
"""


@pytest.mark.parametrize("language", ["python", pytest.param("node", marks=needs_node)])
async def test_children_die_with_an_engine_that_is_killed(bench, language, tmp_path):
    if language == "python":
        bench.python("""
            import os, time
            def handler(event, context):
                print(os.getpid(), flush=True)
                while event: time.sleep(60)
        """)
        function = ["python3.11", "app.handler"]
    else:
        bench.node("exports.handler = async (event) => { console.log(process.pid); while (event); };")
        function = ["nodejs20.x", "index.handler"]
    script = bench.write("engine.py", ENGINE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), str(tmp_path), *function]
    pids = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as engine:  # noqa: ASYNC220
        try:
            while len(pids) < 2:  # one child is idle, the other is busy for ever
                line = await anyio.to_thread.run_sync(engine.stdout.readline)
                assert line, "the engine ended by itself"
                if line.startswith(b"PID "):
                    pids.append(int(line.split()[1]))
            assert all(map(running, pids))
        finally:
            engine.kill()
    for pid in pids:
        assert await dies(pid)
