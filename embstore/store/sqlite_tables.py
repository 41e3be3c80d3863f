"""The door to sqlite_utils, kept from loading pandas: 70 MiB of each build, and a third of a second."""

from __future__ import annotations

import sys

# It looks for pandas to store its timestamps, which no column here has. For so long pandas cannot be found.
_HIDDEN = {"pandas": None} if "pandas" not in sys.modules else {}
sys.modules.update(_HIDDEN)  # type: ignore[arg-type]
try:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations
finally:
    for _name in _HIDDEN:
        del sys.modules[_name]

__all__ = ["Database", "Migrations"]
