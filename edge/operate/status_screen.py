"""`edge status` as a screen: what a person must act on first, then the rooms, the queues, the last results."""

from __future__ import annotations

from collections.abc import Iterator

from edge.operate.screen import ago, paint, table
from edge.operate.status import RoomStatus, Status

_QUEUES = (
    ("images", "instance", ("STORED", "ROUTED", "UNROUTED", "QUARANTINED", "ERASED")),
    ("units", "unit", ("OPEN", "READY")),
    ("jobs", "job", ("READY", "RUNNING", "DONE", "QUARANTINED", "DISCARDED")),
    ("deliveries", "delivery", ("PENDING", "SENT", "HELD", "FAILED", "SUPERSEDED", "DISCARDED")),
)


def render(status: Status) -> str:
    """The whole screen, ending with a newline."""
    parts = [f"edge {status.version}  {status.root}\n"]
    needed = list(_needed(status))
    if needed:
        parts.append("".join(f"{line}\n" for line in needed))
    parts += [_rooms(status), _queues(status), _packages(status), _deliveries(status), _disk(status)]
    return "\n".join(part for part in parts if part)


def _needed(status: Status) -> Iterator[str]:
    """What waits for a person."""
    deliveries, jobs = status.counts["delivery"], status.counts["job"]
    if deliveries["HELD"]:
        yield f"{paint('HELD')}  {deliveries['HELD']} results may not leave: edge deliveries list --state HELD"
    if status.paused:
        since = ago(status.paused.since, status.at)
        yield f"{paint('WARN')}  PAUSED {since} ({status.paused.reason}): images are stored, nothing else: edge resume"
    if deliveries["FAILED"]:
        yield f"{paint('FAIL')}  {deliveries['FAILED']} results were refused: edge deliveries list --state FAILED"
    if jobs["QUARANTINED"]:
        yield f"{paint('WARN')}  {jobs['QUARANTINED']} jobs are set aside: edge jobs list --state QUARANTINED"
    for problem in str(status.rooms["infer"].facts.get("problems", "")).split("; "):
        if problem:
            yield f"{paint('FAIL')}  route {problem}"
    for alarm in status.alarms:
        yield f"{paint('WARN')}  {alarm.name}: {alarm.reason}, for {ago(alarm.since, status.at)}"
    if not status.disk.accepting:
        yield f"{paint('FAIL')}  the disk reserve is reached, images are refused: edge doctor"


def _rooms(status: Status) -> str:
    lines = []
    for name, room in status.rooms.items():
        word = paint("UP".ljust(4) if room.up else "DOWN")
        detail = f"{ago(room.since, status.at):<7} {_facts(room)}" if room.up else "edge serve starts it"
        lines.append(f"  {name:<11} {word}  {detail}".rstrip())
    return _section("rooms", "\n".join(lines) + "\n")


def _facts(room: RoomStatus) -> str:
    return "  ".join(f"{key} {value}" for key, value in room.facts.items() if value and key != "problems")


def _queues(status: Status) -> str:
    lines = []
    for label, thing, states in _QUEUES:
        counted = status.counts[thing]
        shown = [f"{counted[state]} {state}" for state in states if counted[state]]
        lines.append(f"  {label:<11} {', '.join(shown) or '-'}")
    if status.associations:
        lines.append(f"  {'open':<11} {status.associations} associations")
    return _section("queues", "\n".join(lines) + "\n")


def _packages(status: Status) -> str:
    rows = [
        (each.name, each.version, each.status, each.digest[:12], ", ".join(each.routes), each.problem)
        for each in status.packages
    ]
    return _section("packages", table(rows, indent="  "))


def _deliveries(status: Status) -> str:
    rows = [
        (
            each.id,
            each.state,
            each.outcome,
            each.destination,
            ago(each.ended_at or each.created_at, status.at),
            each.reason,
        )
        for each in status.last_deliveries
    ]
    return _section("last results", table(rows, indent="  "))


def _disk(status: Status) -> str:
    disk = status.disk
    return _section(
        "disk", f"  {disk.free_gib:g} GiB free, {disk.used_percent:g} % used, reserve {disk.reserve_gib:g} GiB\n"
    )


def _section(title: str, body: str) -> str:
    return f"{paint(title, 'bold')}\n{body}" if body.strip() else ""
