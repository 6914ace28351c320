"""The most memory that this process held since it was last asked to forget.

What `getrusage` calls the most outlives an `exec`: a small process that a large one starts begins with the large one's
most, and whatever it then takes is hidden under that. Linux keeps a most of its own for each program, and forgets it
when told (proc(5): `VmHWM`, `clear_refs`).
"""

import resource
import sys
from pathlib import Path


def forget_the_most() -> None:
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5", "ascii")


def most_held() -> int:
    """In bytes; elsewhere than on Linux the most that `getrusage` knows of."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1 << 10)
