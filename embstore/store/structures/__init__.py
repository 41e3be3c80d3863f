"""The structures that an index can have; together the one door to faiss.

faiss's wheel brings an OpenBLAS of 2021. A newer processor of Intel's it takes for one of 2004, and
multiplies 2.5 times as slowly as it can. When it is loaded, and never again, a variable of the environment
tells it what to take the processor for: it is set to what numpy finds, where faiss is first imported here.
"""

from __future__ import annotations

import importlib
import os

from numpy._core._multiarray_umath import __cpu_features__  # type: ignore[import-not-found]

_VARIABLE = "OPENBLAS_CORETYPE"
# What numpy finds, as faiss itself asks it, and the processor that OpenBLAS then goes by; the best first.
_CORES = {"AVX512_SKX": "SkylakeX", "AVX2": "Haswell"}


def _load_faiss() -> None:
    """Import faiss with the variable set, unless the user did; processes that start later do not see it."""
    core = next((core for feature, core in _CORES.items() if __cpu_features__.get(feature)), None)
    if core is None or _VARIABLE in os.environ:
        return
    os.environ[_VARIABLE] = core
    try:
        importlib.import_module("faiss")
    finally:
        os.environ.pop(_VARIABLE, None)


_load_faiss()
