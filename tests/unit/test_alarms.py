"""What is wrong with the box: raised once, cleared once, told in words that hold no received value."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import support
from certificates import Authority

from edge.config import Settings, load
from edge.deliver import watch
from edge.deliver.pace import Pace
from edge.journal import Journal, alarms, following
from edge.operate import alerts
from edge.operate.network_checks import check_network
from edge.operate.status import look
from edge.operate.status_screen import render
from edge.operate.storage_checks import check_storage
from edge.records import Priority

MakeBox = Callable[..., support.Box]
DAY = 86400.0


def events(journal: Journal) -> list[tuple[str, str, str, str]]:
    return [(each.name, each.old, each.new, each.reason) for each in following.after(journal, 0)]


def test_an_alarm_is_two_events_however_often_it_is_seen(box: MakeBox) -> None:
    journal = Journal(box().settings.journal)
    for found in ({"disk": "reserve-reached"}, {"disk": "reserve-reached"}, {}, {}):
        alarms.settle(journal, frozenset({"disk"}), found)
    assert events(journal) == [
        ("disk", "CLEARED", "RAISED", "reserve-reached"),
        ("disk", "RAISED", "CLEARED", ""),
    ]
    assert alarms.standing(journal) == []
    journal.close()


def test_settling_one_kind_leaves_others_alone(box: MakeBox) -> None:
    journal = Journal(box().settings.journal)
    alarms.raise_alarm(journal, "selftest.cxr-pneumonia", "failed")
    alarms.settle(journal, watch.KINDS, {})
    assert [alarm.name for alarm in alarms.standing(journal)] == ["selftest.cxr-pneumonia"]
    journal.close()


def test_a_certificate_that_ends_soon(tmp_path: Path) -> None:
    pair = Authority(tmp_path / "ca").pair("box", "127.0.0.1")  # it lives for an hour
    settings = with_tls(tmp_path, pair.certificate, pair.key)
    now = time.time()
    name = "certificate.destinations.archive.tls"
    assert dict(watch.certificates(settings, now)) == {name: "expires-within-7-days"}
    assert dict(watch.certificates(settings, now - 20 * DAY)) == {name: "expires-within-30-days"}
    assert dict(watch.certificates(settings, now - 59 * DAY)) == {name: "expires-within-60-days"}
    assert dict(watch.certificates(settings, now - 90 * DAY)) == {}
    assert dict(watch.certificates(settings, now + 2 * DAY)) == {name: "expired"}
    checks = {check.name: check for check in check_network(settings)}
    assert not checks["certificate destinations.archive.tls"].ok


def with_tls(folder: Path, certificate: Path, key: Path) -> Settings:
    file = folder / "edge.toml"
    file.write_text(
        support.EDGE_TOML.format(port=1)
        + f'[destinations.archive.tls]\ncertificate = "{certificate}"\nkey = "{key}"\nca = "{certificate}"\n'
    )
    return load(file)


def test_a_device_that_went_silent(box: MakeBox) -> None:
    text = support.EDGE_TOML.format(port=1).replace(
        'hosts = ["127.0.0.1"]', 'hosts = ["127.0.0.1"]\nexpect_every_hours = 24'
    )
    settings = box(text=text).settings
    now = [1_800_000_000.0]
    journal = Journal(settings.journal, clock=lambda: now[0])
    assert dict(watch.silent_peers(settings, journal)) == {}
    journal.note("box", "room.receive", "", "STARTED")
    now[0] += 2 * DAY
    assert dict(watch.silent_peers(settings, journal)) == {"peer-silent.test": "silent-for-24-hours"}
    journal.database.execute(
        "INSERT INTO association (id, peer, opened_at) VALUES (?, 'test', ?)", (f"{7:032x}", now[0] - 3600)
    )
    assert dict(watch.silent_peers(settings, journal)) == {}
    journal.close()


def test_a_full_disk(box: MakeBox) -> None:
    text = support.EDGE_TOML.format(port=1).replace("reserve_gib = 0.1", "reserve_gib = 1000000")
    assert dict(watch.disk(box(text=text).settings)) == {"disk": "reserve-reached"}
    assert dict(watch.disk(box().settings)) == {}


def test_what_stands_is_seen_by_status_and_doctor_and_held_is_the_first_line(box: MakeBox) -> None:
    settings = box().settings
    journal = Journal(settings.journal)
    alarms.raise_alarm(journal, "peer-silent.test", "silent-for-24-hours")
    journal.close()
    status = look(settings, "0.0.0")
    assert "WARN  peer-silent.test: silent-for-24-hours" in render(status)
    assert status.as_json()["alarms"][0]["name"] == "peer-silent.test"
    checks = {check.name: check for check in check_storage(settings)}
    assert checks["alarms"].warning


@pytest.mark.parametrize(
    ("thing", "old", "new", "name"),
    [
        ("delivery", "", "HELD", "delivery-held"),
        ("delivery", "PENDING", "FAILED", "delivery-failed"),
        ("job", "RUNNING", "QUARANTINED", "job-quarantined"),
        ("instance", "STORED", "QUARANTINED", "object-quarantined"),
        ("delivery", "PENDING", "SENT", ""),
        ("delivery", "PENDING", "PENDING", ""),
        ("job", "READY", "RUNNING", ""),
    ],
)
def test_what_a_person_must_know(thing: str, old: str, new: str, name: str) -> None:
    alert = alerts.of_event(following.Event(7, 0.0, thing, "12", old, new, "code", "", ""))
    assert (alert.name if alert else "") == name


def test_a_syslog_line_is_of_rfc_5424() -> None:
    line = alerts.syslog_line(1_800_000_000.25, alerts.ERROR, "delivery-held", b"delivery-held 12", "EDGE BOX")
    assert line == b"<27>1 2027-01-15T08:00:00.250000Z EDGE-BOX edge - delivery-held - delivery-held 12"


def test_the_pace_bounds_what_is_not_urgent() -> None:
    now = [0.0]
    pace = Pace(2, clock=lambda: now[0])
    allowed = []
    for _ in range(3):
        allowed.append(pace.allows(Priority.ROUTINE))
        pace.sent()
    assert allowed == [True, True, False]
    assert pace.allows(Priority.STAT)
    now[0] = 60.0
    assert pace.allows(Priority.BACKFILL)
    assert all(Pace(0).allows(Priority.ROUTINE) for _ in range(100))
