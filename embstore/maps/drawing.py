"""Drawing with matplotlib, whose settings belong to the whole process: one picture at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib

# One for all kinds of pictures: each would otherwise change the settings under the others.
_LOCK = threading.Lock()


@contextmanager
def drawing(settings: Mapping[Any, Any]) -> Iterator[None]:
    """Draw with matplotlib's own defaults, whatever the user's matplotlibrc says, and some settings.

    Parameters
    ----------
    settings : mapping of str to value
        By matplotlib's names, such as ``svg.hashsalt``.
    """
    with _LOCK, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield
