"""Coverage-guided fuzzing of one entrance: `python -m tests.security.fuzz NAME --seconds 60` (it wants atheris).

What is found is printed, and kept in the corpus; with `--corpus FOLDER` that stays, and the next run begins with it.
Without atheris good texts are mutated blindly, for as long, and it says so.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

SLOWEST = 20
"""Seconds after which an entrance is taken to hang."""
MEGABYTES = 2048
LONGEST = 4096
STRANGE = ["null", "true", "-1", "0", "1.5", "1" + "0" * 20, '""', '"$"', '"{% %}"', "[]", "{}", "[[]]", '{"":null}']


def guided(name, seconds, corpus):
    """Let atheris mutate; ends the process: 0 where nothing was found."""
    import atheris

    with atheris.instrument_imports(include=["stepfold"]):
        from tests.security.entrances import ENTRANCES

    entrance, words = ENTRANCES[name], corpus / "words"
    good = entrance.good()
    seeds = corpus / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(good):
        (seeds / f"good-{number}").write_bytes(text)
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in entrance.words))
    trees = Trees(good)

    def mutate(data, most, seed):
        chance = random.Random(seed)
        if chance.random() < 0.6 and (mutated := trees.mutate(data, chance)) is not None:
            return mutated[:most]
        return atheris.Mutate(data, most)

    arguments = [
        sys.argv[0], f"-max_total_time={seconds}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MEGABYTES}",
        f"-dict={words}", f"-max_len={LONGEST}", f"-artifact_prefix={corpus}/", "-print_final_stats=1", str(seeds),
    ]  # fmt: skip
    more = {"custom_mutator": mutate} if trees.made else {}
    atheris.Setup(arguments, entrance.enter, **more)
    atheris.Fuzz()


class Trees:
    """Mutates JSON as a tree: a value takes the place of another, from anywhere."""

    def __init__(self, good):
        self.made = []
        for text in good:
            self.made += [json.dumps(value) for _, _, value in _places(_tree(text))]

    def mutate(self, data, chance):
        """Other bytes, or None where these are no JSON with anything inside."""
        tree = _tree(data)
        for _ in range(chance.choice([1, 1, 2, 4])):
            places = list(_places(tree))
            if not places:
                return None
            holder, key, value = chance.choice(places)
            match chance.randrange(4):
                case 0:
                    del holder[key]
                case 1 if isinstance(holder, dict):
                    holder[chance.choice(places)[1] if chance.random() < 0.5 else f"{key}.$"] = value
                case 2:
                    holder[key] = json.loads(chance.choice(STRANGE))
                case _:
                    holder[key] = json.loads(chance.choice(self.made))
        return json.dumps(tree).encode()


def _tree(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _places(tree):
    """Each value inside, with what holds it and where."""
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        inner = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, value in inner:
            yield holder, key, value
            waiting.append(value)


def _escaped(word):
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word.encode())


def blind(name, seconds, seed=1):
    """Mutate good texts without looking at what they reach; how many were entered. Raises what an entrance raises."""
    from tests.security.entrances import ENTRANCES

    entrance, chance, entered = ENTRANCES[name], random.Random(seed), 0
    good = entrance.good()
    words = [word.encode() for word in entrance.words]
    trees = Trees(good)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        text = chance.choice(good)
        if chance.random() < 0.5:
            text = trees.mutate(text, chance) or text
        for _ in range(chance.randrange(4)):
            at, to = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
            word = chance.choice([chance.choice(words), chance.randbytes(1), chance.choice(good)[at:to], text[at:to]])
            text = text[:at] + word + text[chance.choice([at, at + 1, to]) :]
        try:
            entrance.enter(text)
        except BaseException as error:
            error.add_note(f"entered at {name}: {text!r}")
            raise
        entered += 1
    return entered


def main():
    """Look for what breaks one entrance."""
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzz", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    given = parser.parse_args()
    corpus = given.corpus or Path(tempfile.mkdtemp(prefix="stepfold-fuzz-"))
    os.environ.setdefault("PYTHONHASHSEED", "0")
    try:
        guided(given.name, given.seconds, corpus)
    except ModuleNotFoundError as missing:
        if missing.name != "atheris":
            raise
        print("NO ATHERIS: mutating blindly (pip install atheris)", file=sys.stderr)
        print(f"{blind(given.name, given.seconds)} texts entered")


if __name__ == "__main__":
    main()
