"""Loss of power, by recording and replaying: what a disk may hold when it is cut at any moment of a real run.

strace records what a victim writes and syncs, and among it what it says. Replayed, each moment gives crash images: of
what was written and not yet synced a disk may hold nothing, all, a beginning, any part, or a part torn at a sector. A
file that was made or renamed is there for sure only once its folder was synced.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

RECORD = ["-y", "-xx", "-s", "4194304", "-e", "trace=pwrite64,write,fsync,fdatasync,ftruncate,unlink,openat"]
SECTOR = 512

_LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)", re.ASCII)
_FILE = re.compile(r"(\d+)<([^>]*)>")
_UNFINISHED = re.compile(r"^(\d+) +(\w+)\((.*?) *<unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")


class Step(NamedTuple):
    """One call of the victim: `said` has no file, `synced` no data."""

    kind: str
    file: str = ""
    at: int = 0
    data: bytes = b""


def _calls(lines) -> Iterator[tuple[str, str]]:
    """Each call with its arguments, in the order in which they ended; what failed is left out."""
    begun: dict[str, str] = {}
    for line in lines:
        if found := _UNFINISHED.match(line):
            begun[found[1]] = found[3]
            continue
        whole = line
        if found := _RESUMED.match(line):
            whole = f"{found[1]} {found[2]}({begun.pop(found[1], '')}{found[3]}"
        if (found := _LINE.match(whole)) and int(found[4]) >= 0:
            yield found[2], found[3]


def _bytes(text) -> bytes:
    return bytes.fromhex(text.strip().strip('"').replace("\\x", ""))


def _name(text) -> str:
    return text if not text.startswith("\\x") else _bytes(text).decode()


def steps(trace: Path, folder: Path) -> list[Step]:
    """What a victim did to the files of its store, and what it said."""
    return [step for call, arguments in _calls(trace.read_text().splitlines())
            if (step := _step(call, arguments, str(folder))) is not None]


def _step(call, arguments, folder) -> Step | None:
    if call in {"unlink", "openat"}:
        path = _bytes(re.search(r'"([^"]*)"', arguments)[0]).decode()
        made = call == "unlink" or "O_CREAT" in arguments
        return Step("gone" if call == "unlink" else "made", Path(path).name) if made and folder in path else None
    found = _FILE.match(arguments)
    path, rest = _name(found[2]), arguments[found.end() :].lstrip(", ")
    if not path.startswith(folder) or path.endswith(("-shm", ".lock")):
        return None
    name = Path(path).name
    match call:
        case "write":
            return Step("said", data=_bytes(rest.rpartition(",")[0])) if name.endswith(".said") else None
        case "pwrite64":
            data, _, at = rest.rsplit(",", 2)
            return Step("wrote", name, int(at), _bytes(data))
        case "ftruncate":
            return Step("cut", name, int(rest))
    return Step("synced", "" if path == folder else name)


class Replay:
    """The disk, as a victim's steps leave it: what is there for sure, and what may be."""

    def __init__(self, *, ordered):
        self.ordered = ordered
        """Whether the sync of a new file keeps its name, too, as ext4 does."""
        self.said: list[str] = []
        self._sure: dict[str, bytearray] = {}
        self._names: set[str] = set()
        self._waiting: list[Step] = []

    def follow(self, step):
        if step.kind == "said":
            self.said += step.data.decode().splitlines()
        elif step.kind == "synced":
            self._sync(step.file)
        else:
            self._waiting.append(step)

    def _sync(self, file):
        left = []
        for step in self._waiting:
            of_name = step.kind in {"made", "gone"}
            if (not file and of_name) or (file and step.file == file and (self.ordered or not of_name)):
                _apply(self._sure, self._names, step)
            else:
                left.append(step)
        self._waiting = left

    def images(self, chance):
        """The crash images of this moment, by what they are called."""
        waiting = self._waiting
        part = chance.randrange(len(waiting) + 1)
        some = [step for step in waiting if chance.random() < 0.5]
        torn = [_torn(step, chance) for step in some]
        yield "nothing", self._image(())
        if waiting:
            yield "all", self._image(waiting)
            yield "a beginning", self._image(waiting[:part])
            yield "some", self._image(some)
            yield "torn", self._image(torn)

    def _image(self, landed):
        files, names = {name: bytearray(data) for name, data in self._sure.items()}, set(self._names)
        for step in landed:
            _apply(files, names, step)
        return {name: bytes(files.get(name, b"")) for name in names}


def _apply(files, names, step):
    match step.kind:
        case "made":
            names.add(step.file)
            files.setdefault(step.file, bytearray())
        case "gone":
            names.discard(step.file)
            files.pop(step.file, None)
        case "cut":
            file = files.setdefault(step.file, bytearray())
            del file[step.at :]
            file.extend(bytes(step.at - len(file)))
        case "wrote":
            file = files.setdefault(step.file, bytearray())
            file.extend(bytes(max(0, step.at - len(file))))
            file[step.at : step.at + len(step.data)] = step.data


def _torn(step, chance):
    """Of a write, the sectors up to some point."""
    if step.kind != "wrote" or len(step.data) <= SECTOR:
        return step
    return step._replace(data=step.data[: SECTOR * chance.randrange(len(step.data) // SECTOR)])
