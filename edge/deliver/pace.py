"""How many results may leave for one destination within a minute: a migration of old studies must not flood it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from edge.records import Priority

_MINUTE = 60.0


class Pace:
    """`most` in any 60 s; 0 is no bound. What is urgent (stat) goes at once, and counts."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._sent: deque[float] = deque(maxlen=most or None)

    def allows(self, priority: Priority) -> bool:
        """Whether a result of `priority` may leave now."""
        if not self._most or priority is Priority.STAT or len(self._sent) < self._most:
            return True
        return self._clock() - self._sent[0] >= _MINUTE

    def sent(self) -> None:
        """One left."""
        if self._most:
            self._sent.append(self._clock())
