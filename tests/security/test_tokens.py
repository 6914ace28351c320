"""Task tokens: no other text than the one that was given out answers a task, and that one answers it once."""

import base64
import inspect
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.world import asks, until

from stepfold import Engine
from stepfold.errors import CallerError, InvalidToken, TaskTimedOut
from stepfold.names import read_token
from stepfold.runtime import callbacks

pytestmark = pytest.mark.anyio
ALPHABET = "AZaz09-_=+/#:. \n\0é\U0001f600"


def encoded(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Asked:
    """An execution that waits for an answer, and its token."""

    def __init__(self, engine):
        self.engine = engine
        engine.work("send")(lambda _: None)

    async def start(self):
        handle = await self.engine.start("asks")
        await until(lambda: handle._run.execution.asked)
        await until(lambda: handle._run.quiet)
        (frame,) = handle._run.execution.asked.values()
        return handle, frame.waits.token


async def test_no_changed_bit_and_no_part_of_a_token_answers():
    async with Engine() as engine:
        await engine.create("asks", asks())
        handle, token = await Asked(engine).start()
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_")
        forged = [
            encoded(bytes([*raw[:place], raw[place] ^ (1 << bit), *raw[place + 1 :]]))
            for place in range(len(raw))
            for bit in range(8)
        ]
        forged += [token[:end] for end in range(len(token))] + [token + "A", token + token]
        for one in forged:
            if one != token:
                with pytest.raises((InvalidToken, TaskTimedOut)):
                    await engine.callbacks.succeed(one, "1")
        assert handle._run.execution.status == "RUNNING"
        await engine.callbacks.succeed(token, '"right"')
        assert await handle.result() == "right"


async def test_a_token_answers_once_and_for_its_own_execution_alone():
    async with Engine() as engine:
        await engine.create("asks", asks())
        asked = Asked(engine)
        (first, one), (second, other) = await asked.start(), await asked.start()
        assert one != other
        await engine.callbacks.succeed(one, "1")
        for again in (engine.callbacks.succeed(one, "2"), engine.callbacks.fail(one), engine.callbacks.beat(one)):
            with pytest.raises(TaskTimedOut):
                await again
        assert await first.result() == 1
        assert second._run.execution.status == "RUNNING"
        await engine.callbacks.fail(other, "No")


def test_tokens_are_compared_in_constant_time():
    assert "compare_digest" in inspect.getsource(callbacks)


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_text_is_read_or_refused(text):
    read = read_token(text)
    assert read is None or (isinstance(read[0], str) and read[1] >= 0)


async def test_any_text_is_refused_by_the_engine_in_words_of_aws():
    chance = random.Random(5)
    async with Engine() as engine:
        for _ in range(500):
            token = "".join(chance.choices(ALPHABET, k=chance.randrange(1, 100)))
            with pytest.raises(CallerError) as refused:
                await engine.callbacks.succeed(token, "1")
            assert refused.value.code in {"InvalidToken", "TaskTimedOut"}
