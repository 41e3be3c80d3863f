"""Memory of freed tensors is kept, so that the next ones do not fault it in anew."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

OUTSIDE = ("GLIBC_TUNABLES", "LD_PRELOAD")
SCRIPT = """
import resource, torch
from embstore.encode.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        made = [torch.ones(8 << 20, dtype=torch.uint8) for _ in range(3)]
        del made
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
first = faults()
keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is taught")
def test_tensors_that_are_made_again_and_again_do_not_fault_again() -> None:
    # What is set for glibc from outside, or put in its place, is left as it is.
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", *OUTSIDE))}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ours)
    before, after = map(int, done.stdout.split())
    assert before > 100
    assert after < before / 10
