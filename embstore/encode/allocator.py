"""Keeping the memory of freed tensors for the next ones."""

from __future__ import annotations

from functools import cache

import torch

# The largest block whose freeing teaches glibc, less what it adds to it.
_TAUGHT = (32 << 20) - (64 << 10)


@cache
def keep_freed_memory() -> None:
    """Make glibc keep freed blocks of less than 32 MiB, for the whole process and from then on.

    At first it gives the memory of each larger tensor back to the system, and every page that the next one
    touches faults anew: 40 faults a text, a tenth of the time of a long build on two cores of a virtual
    machine. It raises both thresholds, of mapping and of giving back, when a larger mapped block is freed
    (``M_MMAP_THRESHOLD`` in mallopt(3)). This one is never touched and so takes no memory. Some 64 MiB of
    what is freed stay at the end of the heap, and as much in each other thread that makes large tensors.
    Where there is another allocator, or the thresholds were set for the process, nothing changes.
    """
    torch.empty(_TAUGHT, dtype=torch.uint8, device="cpu")
