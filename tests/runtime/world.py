"""What the tests of the runtime share: definitions, waiting without sleeping, stores that fail or hold back."""

import itertools

import anyio
from anyio.lowlevel import checkpoint

from stepfold.runtime import catalog
from stepfold_store import StoreClosed

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"
CALLBACK = "arn:aws:states:::lambda:invoke.waitForTaskToken"
DONE = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}
LOOP = {  # it never ends, and never waits
    "StartAt": "Ping",
    "States": {
        "Ping": {"Type": "Pass", "Next": "Pong"},
        "Pong": {"Type": "Choice", "Default": "Ping",
                 "Choices": [{"Variable": "$.enough", "IsPresent": True, "Next": "Enough"}]},
        "Enough": {"Type": "Succeed"},
    },
}
YEAR = 365 * 24 * 3600
_numbers = itertools.count(1)


def one(**state):
    """A machine of one state, whose name is its own."""
    name = f"{state['Type']}-{next(_numbers)}"
    end = {} if state["Type"] in {"Fail", "Succeed"} else {"End": True}
    return {"StartAt": name, "States": {name: {**end, **state}}}


def call(function="work", **more):
    """A machine that makes one call."""
    return one(Type="Task", Resource=FUNCTION + function, **more)


def caught(function="work", errors=("States.ALL",), **more):
    """A machine that makes a call and, where it fails with one of these errors, gives the failure as its output."""
    task = {"Type": "Task", "Resource": FUNCTION + function, "End": True, **more,
            "Catch": [{"ErrorEquals": list(errors), "Next": "Caught"}]}
    return {"StartAt": "Call", "States": {"Call": task, "Caught": {"Type": "Pass", "End": True}}}


def wait(seconds, **more):
    """A machine that only waits."""
    return one(Type="Wait", Seconds=seconds, **more)


def each(item, **more):
    """A machine that has each item of its input go through a machine of one state."""
    return one(Type="Map", ItemProcessor=item, **more)


def both(*branches, **more):
    """A machine that goes several ways at once."""
    return one(Type="Parallel", Branches=list(branches), **more)


def then(first, second):
    """A machine that does the one state of `first`, then that of `second`."""
    before = {key: value for key, value in first["States"][first["StartAt"]].items() if key != "End"}
    return {"StartAt": first["StartAt"], "States": {
        first["StartAt"]: {**before, "Next": second["StartAt"]}, **second["States"],
    }}


def asks(**more):
    """A machine that asks somebody outside, and waits for the answer."""
    return one(Type="Task", Resource=CALLBACK, Parameters={"FunctionName": "send", "Payload": 1}, **more)


def heavy():
    """A machine whose one expression is not evaluated inside a decision."""
    return one(Type="Pass", Parameters={"found.$": "$.names[?(@ =~ /a.*/)]"})


async def until(true, patience=10):
    """Let the others go on until something is true."""
    with anyio.fail_after(patience):
        while not true():
            await checkpoint()


async def let_go_on(rounds=50):
    """Give the others turns enough to do whatever they can do."""
    for _ in range(rounds):
        await checkpoint()


async def facts_of(store, arn):
    """The names of the facts in a log, in order."""
    return [type(event.fact).__name__ async for event in catalog.events(store, arn)]


class Around:
    """A store around another, which stays open when this one is closed: the disk that outlives an engine."""

    def __init__(self, store):
        self.inner = store

    def __getattr__(self, name):
        return getattr(self.inner, name)

    async def close(self):
        pass


class Failing(Around):
    """A store that closes for writing at its nth append."""

    def __init__(self, store, at):
        super().__init__(store)
        self.left = at

    def submit(self, *arguments, **more):
        self.left -= 1
        if self.left <= 0:
            return _Refused()
        return self.inner.submit(*arguments, **more)


class _Refused:
    def __await__(self):
        raise StoreClosed("the disk is full")
        yield


class Holding(Around):
    """A store whose appends are written only when they are let go."""

    def __init__(self, store, *, holds=True):
        super().__init__(store)
        self.held = []
        self.holds = holds

    def submit(self, *arguments, **more):
        ticket = _Held(lambda: self.inner.submit(*arguments, **more))
        self.held.append(ticket)
        if not self.holds:
            self.let_go()
        return ticket

    def let_go(self):
        """Write what is held, all in one commit."""
        held, self.held = self.held, []
        for ticket in held:
            ticket.outcome = ticket.write()
        for ticket in held:
            ticket.decided.set()


class _Held:
    def __init__(self, write):
        self.write = write
        self.decided = anyio.Event()

    def __await__(self):
        yield from self.decided.wait().__await__()
        yield from self.outcome.__await__()
