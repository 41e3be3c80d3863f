"""The door to sqlite_utils, which `embstore build` keeps from loading pandas: 70 MiB, a third of a second."""

from __future__ import annotations

import sys

# It looks for pandas to store its timestamps, which no column here has. For so long pandas cannot be found,
# in the process of a command alone: elsewhere others may use sqlite_utils too, or load pandas meanwhile.
_HIDDEN = {"pandas": None} if "embstore_cli" in sys.modules and "pandas" not in sys.modules else {}
sys.modules.update(_HIDDEN)  # type: ignore[arg-type]
try:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations
finally:
    for _name in _HIDDEN:
        del sys.modules[_name]

__all__ = ["Database", "Migrations"]
