"""Memory of a process: what it has, and a limit that the kernel enforces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# Where cgroups for memory are made: version 1, and 2, with the names of limit and peak.
_PLACES = (
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
    ("/sys/fs/cgroup", "memory.max", "memory.peak"),
)


@dataclass(frozen=True)
class Limit:
    """A cgroup that holds its processes to some memory; the kernel kills what needs more.

    Parameters
    ----------
    folder : Path
        Of the cgroup.
    size : int
        Bytes.
    peak : str
        Name of the file with the most that was charged, file pages included.
    """

    folder: Path
    size: int
    peak: str

    def inside(self, command: list[str]) -> list[str]:
        """Return a command that runs another one in the cgroup, from its first byte on."""
        return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self.folder), *command]

    def __str__(self) -> str:
        most = int((self.folder / self.peak).read_text(encoding="utf-8")) >> 20
        held = f"The kernel held it to {self.size >> 20} MiB"
        return f"{held}; {most} MiB at most were charged, pages of files included."


@contextmanager
def limit(size: int) -> Iterator[Limit | None]:
    """Make a cgroup of so many bytes; yields None where this user cannot make one."""
    made = None
    for place, name, peak in _PLACES:
        folder = Path(place) / f"embstore-{os.getpid()}"
        with suppress(OSError):
            folder.mkdir()
            if (folder / "cgroup.procs").exists():
                (folder / name).write_text(str(size), encoding="utf-8")
                made = Limit(folder, size, peak)
                break
            folder.rmdir()
    try:
        yield made
    finally:
        if made is not None:
            made.folder.rmdir()


def resident(pid: int) -> float:
    """Return the MB of resident memory of a process and of those that it has started."""
    folder = Path(f"/proc/{pid}")
    lines = (folder / "status").read_text(encoding="utf-8").splitlines()
    own = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
    # By thread: each lists its own.
    started = [file.read_text(encoding="utf-8").split() for file in folder.glob("task/*/children")]
    return own + sum(resident(int(one)) for some in started for one in some)
