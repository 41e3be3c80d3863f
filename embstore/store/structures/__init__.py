"""The structures that an index can have; together the one door to faiss.

faiss's wheel brings an OpenBLAS of 2021. On a processor that this does not know, which is any newer one of
Intel's, it multiplies by the instructions of 2004: that takes 2.5 times as long. It reads once, when it is
loaded, by which of those that it knows it is to go.
"""

from __future__ import annotations

import importlib
import os

from numpy._core._multiarray_umath import __cpu_features__  # type: ignore[import-not-found]

_VARIABLE = "OPENBLAS_CORETYPE"
# What numpy finds, as faiss itself asks it, and the processor that OpenBLAS then goes by; the best first.
_CORES = {"AVX512_SKX": "SkylakeX", "AVX2": "Haswell"}


def _load_faiss() -> None:
    """Import faiss with the variable set, unless it is the user's; a child process does not inherit it."""
    core = next((core for feature, core in _CORES.items() if __cpu_features__.get(feature)), None)
    if core is None or _VARIABLE in os.environ:
        return
    os.environ[_VARIABLE] = core
    try:
        importlib.import_module("faiss")
    finally:
        del os.environ[_VARIABLE]


_load_faiss()
