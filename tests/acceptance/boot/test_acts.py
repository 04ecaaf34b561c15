"""Every forbidden act, tried inside each room's own unit and in a worker, and by a plain user and root as controls."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import outcomes
import pytest
from installed import Installed
from machine import Machine
from support import free_port, wait_until

ACTS = Path(__file__).parent / "acts"
INSIDE = "/opt/edge/releases/acts"
NAMES = {
    name for path in ACTS.glob("*.py") for name in re.findall(r"^@group\ndef (\w+)", path.read_text(), re.MULTILINE)
}
RESULTS = "/var/tmp/act-results"
SPOOL = "/var/lib/edge/spool"
UNITS = {"receive": "receive", "infer": "infer", "worker": "infer", "deliver": "deliver"}
# setting the machine's clock is no test's business
_NOT_FOR_ROOT = ("set_the_clock",)


class Neighbours:
    """Listeners outside of the machine, so that an act that gets through finds somebody."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
        self.port = self._stack.enter_context(listener).getsockname()[1]
        self.stream, self.datagram = f"edge-act-stream-{self.port}", f"edge-act-datagram-{self.port}"
        stream = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        stream.bind("\0" + self.stream)
        stream.listen(64)
        self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).bind("\0" + self.datagram)

    def close(self) -> None:
        self._stack.close()


def own_address() -> str:
    """An address of this machine that is not loopback; without one, a loopback address that nobody allowed."""
    said = subprocess.run(["hostname", "-I"], check=False, capture_output=True, text=True).stdout
    return next((word for word in said.split() if "." in word), "127.0.0.3")


@pytest.fixture(scope="module")
def neighbours() -> Iterator[Neighbours]:
    made = Neighbours()
    yield made
    made.close()


def set_the_scene(machine: Machine) -> None:
    """What the acts look for; some of it is lost by a reboot."""
    machine.run("sh", "-c", "mkdir -p /home/operator && echo secret >/home/operator/secret")
    machine.run("sh", "-c", "for f in /tmp /dev/shm; do echo x >$f/act-outside; chmod 644 $f/act-outside; done")
    machine.run("sh", "-c", f"touch {SPOOL}/canary && chown edge-receive:edge-spool {SPOOL}/canary")


@pytest.fixture(scope="module")
def stage(installed: Installed, neighbours: Neighbours) -> Iterator[dict[str, str]]:
    """What the acts are told, and the things that they look for."""
    machine = installed.machine
    machine.put(ACTS, INSIDE)
    set_the_scene(machine)
    sealed = next(path.name for path in machine.path(SPOOL).iterdir() if len(path.name) == 32)
    yield {
        "ACT_DESTINATION": f"127.0.0.1 {installed.archive.port}",
        "ACT_OTHER": f"127.0.0.2 {neighbours.port}",
        "ACT_OTHER6": f"::1 {neighbours.port}",
        "ACT_OUTSIDE": f"{own_address()} {neighbours.port}",
        "ACT_ABSTRACT_STREAM": neighbours.stream,
        "ACT_ABSTRACT_DATAGRAM": neighbours.datagram,
        "ACT_SEALED": sealed,
        "ACT_CANARY": "canary",
    }
    machine.run("rm", "-rf", INSIDE, "/home/operator", f"{SPOOL}/canary", "/dev/shm/act-outside", "/tmp/act-outside")


def run_in_unit(machine: Machine, room: str, told: dict[str, str]) -> dict[str, str]:
    """The results in the very unit of `room`: a drop-in makes it run the acts once instead of the room."""
    unit = f"edge-{UNITS[room]}.service"
    drop_in = f"/run/systemd/system/{unit}.d/90-acts.conf"
    lines = ["[Service]", "Type=oneshot", "Restart=no", "WatchdogSec=0", "ExecStart=", *runs(machine, room, told)]
    machine.write(drop_in, lines)
    try:
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "stop", unit)
        machine.run("systemctl", "start", unit, check=False)
        return results(machine, unit)
    finally:
        machine.run("rm", drop_in)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", unit)
        wait_until(lambda: machine.main_pid(UNITS[room]), 30, "the room to be back")


def run_without_walls(machine: Machine, user: str, told: dict[str, str]) -> dict[str, str]:
    """The results of infer's user, or of root, with the same sockets passed but without any wall."""
    unit = f"control-{user}.service"
    groups = [] if user == "root" else ["Group=edge", "SupplementaryGroups=edge-spool"]
    skipped = _NOT_FOR_ROOT if user == "root" else ()
    service = ["[Service]", "Type=oneshot", "RemainAfterExit=yes", f"User={user}", *groups, "PrivateMounts=yes"]
    service += runs(machine, user, told, *skipped)
    listeners = [f"ListenStream=127.0.0.1:{free_port()}", f"ListenDatagram=/run/control-{user}.sock"]
    machine.write(f"/run/systemd/system/{unit}", service)
    machine.write(f"/run/systemd/system/control-{user}.socket", ["[Socket]", *listeners])
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", f"control-{user}.socket")
    machine.run("systemctl", "start", unit, check=False)
    return results(machine, unit, *skipped)


def runs(machine: Machine, room: str, told: dict[str, str], *skipped: str) -> list[str]:
    """Lines of a unit that runs the acts once and appends their results to a file."""
    other = "infer" if UNITS.get(room) == "deliver" else "deliver"
    told = {**told, "ACT_OTHER_ROOM": other, "ACT_VICTIM": str(machine.main_pid(other))}
    command = " ".join(["/opt/edge/venv/bin/python", "-I", f"{INSIDE}/run.py", room, *skipped])
    environment = [f'Environment="{name}={value}"' for name, value in told.items()]
    machine.run("rm", "-f", RESULTS)
    return [f"ExecStart={command}", "TimeoutStartSec=120", f"StandardOutput=append:{RESULTS}", *environment]


def results(machine: Machine, unit: str, *skipped: str) -> dict[str, str]:
    """Result by act; a bell that rings meanwhile may make the unit run again, which adds the same."""
    lines = machine.path(RESULTS).read_text().splitlines()
    found = {row["act"]: row["result"] for row in map(json.loads, lines[: len(NAMES)])}
    assert set(found) == NAMES - set(skipped), f"the acts of {unit} ended early:\n{machine.journal(unit)}"
    return found


@pytest.fixture(scope="module")
def controls(installed: Installed, stage: dict[str, str]) -> dict[str, dict[str, str]]:
    """What the same acts do where no unit stands in their way."""
    return {user: run_without_walls(installed.machine, user, stage) for user in ("edge-infer", "root")}


@pytest.mark.parametrize("room", UNITS)
def test_a_room_can_do_what_it_must_and_nothing_else(
    installed: Installed, stage: dict[str, str], controls: dict[str, dict[str, str]], room: str
) -> None:
    found = run_in_unit(installed.machine, room, stage)
    allowed = {act for act, result in found.items() if result == "ALLOWED"}
    for act, result in found.items():
        print(f"\n{room} {act} {result} {controls['edge-infer'][act]} {controls['root'].get(act, '-')}", end="")
    assert allowed == outcomes.ALLOWED[room], f"differs: {sorted(allowed ^ outcomes.ALLOWED[room])}"


def test_with_old_control_groups_only_the_address_filter_is_missing(
    installed: Installed, stage: dict[str, str]
) -> None:
    """The tricks with the passed socket, above all, must not depend on the filter of addresses."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("this kernel was booted with new control groups only")
    machine = installed.machine
    machine.off()
    try:
        machine.boot(unified=False)
        set_the_scene(machine)
        for room in UNITS:
            found = run_in_unit(machine, room, stage)
            allowed = {act for act, result in found.items() if result == "ALLOWED"}
            more = outcomes.WITHOUT_ADDRESS_FILTER if room == "deliver" else set()
            assert allowed == outcomes.ALLOWED[room] | more, f"{room}: {sorted(allowed ^ outcomes.ALLOWED[room])}"
    finally:
        machine.off()
        machine.boot()
        set_the_scene(machine)


def test_each_refused_act_works_where_no_unit_stands_in_its_way(controls: dict[str, dict[str, str]]) -> None:
    works = {act for found in controls.values() for act, result in found.items() if result == "ALLOWED"}
    everything = set(controls["edge-infer"])
    unproven = everything - works
    print(f"{len(everything)} acts, {len(unproven)} cannot be shown here: {sorted(unproven)}")
    assert unproven <= outcomes.NOT_SHOWN_HERE, sorted(unproven - outcomes.NOT_SHOWN_HERE)
    assert len(works) >= 120
    assert outcomes.NOT_SHOWN_HERE < NAMES
    assert set().union(*outcomes.ALLOWED.values()) < NAMES
