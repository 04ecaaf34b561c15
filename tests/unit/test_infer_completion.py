"""When a series is whole: quiet time, known counts, the longest wait; on a clock that nobody can set."""

from __future__ import annotations

from typing import Any

from edge.config.routes import Route
from edge.infer.completion import Completion


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def row(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "route": "ct", "package": "p", "scope": "series", "expected": 0, "opened_at": 5.0,
            "last_at": 5.0, "arrived": 1, "busy": 0, **fields}  # fmt: skip


def completion(clock: Clock, **fields: Any) -> Completion:
    route = Route(name="ct", package="p", **{"quiet_seconds": 30.0, "max_wait_seconds": 600.0, **fields})
    return Completion({"ct": route}, clock)


def reasons(one: Completion, **fields: Any) -> list[str]:
    return [unit.reason for unit in one.ready([row(**fields)])]


def test_quiet_time_counts_from_the_last_arrival() -> None:
    clock = Clock()
    one = completion(clock)
    assert reasons(one) == []
    clock.now += 29
    assert reasons(one, arrived=2, last_at=34.0) == []
    clock.now += 29
    assert reasons(one, arrived=2, last_at=34.0) == []
    clock.now += 1
    assert reasons(one, arrived=2, last_at=34.0) == ["quiet"]


def test_open_association_keeps_a_unit_open() -> None:
    clock = Clock()
    one = completion(clock)
    assert reasons(one, busy=1) == []
    clock.now += 100
    assert reasons(one, busy=1) == []
    assert reasons(one, busy=0) == [], "the quiet time begins when the association ends"
    clock.now += 30
    assert reasons(one, busy=0) == ["quiet"]


def test_known_count_is_ready_at_once_even_while_the_association_is_open() -> None:
    one = completion(Clock())
    assert reasons(one, expected=3, arrived=2, busy=1) == []
    assert reasons(one, expected=3, arrived=3, busy=1) == ["count"]


def test_longest_wait_ends_a_series_that_never_falls_quiet() -> None:
    clock = Clock()
    one = completion(clock)
    for arrived in range(1, 61):
        assert reasons(one, arrived=arrived, last_at=float(arrived), busy=1) == []
        clock.now += 10
    assert reasons(one, arrived=61, last_at=61.0, busy=1) == ["max-wait"]


def test_reopened_unit_waits_anew() -> None:
    clock = Clock()
    one = completion(clock)
    reasons(one)
    clock.now += 599
    assert reasons(one, opened_at=700.0, last_at=700.0, arrived=2, busy=1) == []
    clock.now += 599
    assert reasons(one, opened_at=700.0, last_at=700.0, arrived=2, busy=1) == []
    clock.now += 1
    assert reasons(one, opened_at=700.0, last_at=700.0, arrived=2, busy=1) == ["max-wait"]


def test_jump_of_the_box_clock_changes_nothing() -> None:
    """`last_at` and `opened_at` are the wall clock's: a year forward or back is only another number."""
    clock = Clock()
    one = completion(clock)
    assert reasons(one, last_at=-3e7, opened_at=-3e7) == []
    clock.now += 30
    assert reasons(one, last_at=-3e7, opened_at=-3e7) == ["quiet"]
    future = completion(clock)
    assert reasons(future, last_at=3e9, opened_at=3e9) == []
    clock.now += 30
    assert reasons(future, last_at=3e9, opened_at=3e9) == ["quiet"]


def test_unit_whose_route_is_gone_does_not_wait() -> None:
    assert reasons(completion(Clock()), route="gone") == ["no-route"]


def test_forgets_units_that_are_no_longer_open() -> None:
    one = completion(Clock())
    one.ready([row(id=number) for number in range(100)])
    one.ready([])
    assert not one._seen
