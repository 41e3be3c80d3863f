"""A storm: far more are refused than the queue holds, so that a long queue only makes answers later."""

from __future__ import annotations

import time

# Of about so many of the last requests it is known which share was refused.
_LAST = 32
# It is a storm where three of four are refused, and in a second connections that are so many times the queue.
_SHARE, _TIMES, _SECOND = 0.75, 4, 1.0


class Storm:
    """Tells whether there is a storm from who was refused lately.

    A few clients that ask again at once are refused often and are no storm: they fit into the queue as soon
    as they are let in, and with a short one they would go on for ever. A storm is many connections, told by
    address and port: clients that open a new one for each request count as often as they ask.

    Parameters
    ----------
    queue : int
        Requests that are admitted at a time without one.

    Attributes
    ----------
    was_there : bool
        What `is_there` said last; for other threads, which may not call that.
    """

    def __init__(self, queue: int) -> None:
        self._crowd = _TIMES * queue
        self._share = 0.0
        self._clients: set[object] = set()
        self._since = time.monotonic()
        self._before = False
        self.was_there = False

    def is_there(self) -> bool:
        """Tell whether there is one now."""
        now = time.monotonic()
        passed = now - self._since
        if passed > _SECOND:
            self._before = passed < 2 * _SECOND and self._is_crowd()
            self._clients.clear()
            self._since = now
        self.was_there = self._share > _SHARE and (self._before or self._is_crowd())
        return self.was_there

    def saw(self, client: object, *, refused: bool) -> None:
        """Take note of a request, and of the connection that it came by."""
        self._share += (refused - self._share) / _LAST
        if refused and not self._is_crowd():
            self._clients.add(client)

    def _is_crowd(self) -> bool:
        return len(self._clients) > self._crowd
