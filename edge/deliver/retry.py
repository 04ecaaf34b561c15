"""What an answer means for a delivery, and when to try again: decisions, not loops.

    0000                                   SENT
    0001 0107 0116 0111 Bxxx               SENT with the status as reason (0111: it is there already, and our
                                           bytes for one UID never change)
    A7xx 0110 0213                         can heal: PENDING, tried again (the relink gateway's A701 and A702 too)
    anything else                          refused for good: FAILED, waits for a person
    no association, silence, an abort      PENDING, tried again
    the object's context refused for good  FAILED

Statuses: PS3.4 B.2.3, PS3.7 annex C.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from edge.records import DeliveryState

FIRST_SECONDS = 2.0
MOST_SECONDS = 600.0

_WARNINGS = frozenset({0x0001, 0x0107, 0x0111, 0x0116})
_HEALING = frozenset({0x0110, 0x0213})


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a delivery. PENDING means: again, after a pause."""

    state: DeliveryState
    reason: str = ""


def of_status(status: int) -> Decision:
    """What the status of a C-STORE response means."""
    reason = f"status-{status:04X}"
    if status == 0x0000:
        return Decision(DeliveryState.SENT)
    if status in _WARNINGS or status >> 12 == 0xB:
        return Decision(DeliveryState.SENT, reason)
    if status in _HEALING or status >> 8 == 0xA7:
        return Decision(DeliveryState.PENDING, reason)
    return Decision(DeliveryState.FAILED, reason)


def of_failure(reason: str) -> Decision:
    """What a `PeerFailure` while one object was being sent means for that object."""
    if reason.startswith("context-refused"):
        return Decision(DeliveryState.FAILED, reason)
    return Decision(DeliveryState.PENDING, reason)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds until the next attempt: doubling from `first` to `most`, with jitter."""

    first: float = FIRST_SECONDS
    most: float = MOST_SECONDS
    chance: Callable[[], float] = random.random

    def seconds(self, attempts: int) -> float:
        """The pause after `attempts` earlier ones failed: between half and the whole of the doubled time."""
        whole = min(self.most, self.first * 2.0 ** min(attempts, 32))
        return whole * (0.5 + 0.5 * self.chance())
