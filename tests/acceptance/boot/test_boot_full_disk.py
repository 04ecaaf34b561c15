"""A disk that fills up under load, on a real boot: first to its reserve, then, by a foreign hand, to its last byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from installed import Installed
from outside import Modalities
from support import wait_until

ROOT = "/var/lib/edge"
RENEW = (
    "systemd-tmpfiles --create edge.conf && edge init --config /etc/edge/edge.toml"
    " && systemd-tmpfiles --create edge.conf && systemctl restart edge-deliver.socket && systemctl start edge.target"
)


@pytest.fixture
def small_disk(installed: Installed) -> Iterator[Installed]:
    """The box on a new, empty root: 112 MiB, of which 0.1 GiB are the reserve."""
    machine = installed.machine
    machine.run("systemctl", "stop", "edge.target")
    machine.run("mount", "-t", "tmpfs", "-o", "size=112m,mode=755", "tmpfs", ROOT)
    machine.run("sh", "-c", RENEW)
    yield installed
    machine.run("systemctl", "stop", "edge.target")
    machine.run("umount", "-l", ROOT)
    machine.run("sh", "-c", RENEW)


def test_a_disk_filled_to_the_brim_loses_nothing_and_goes_on_by_itself(
    small_disk: Installed, xrays: list[Path]
) -> None:
    machine, archive = small_disk.machine, small_disk.archive
    receive = machine.main_pid("receive")

    senders = Modalities(small_disk.port, xrays[:120])
    wait_until(lambda: senders.failures["A700"] >= 10, 60, "senders that are told 0xA700")
    archive.wait_for(set(senders.acknowledged), 60)  # results are still written and sent
    machine.run("mount", "-o", "remount,size=512m", ROOT)
    senders.join()
    print("reserve:", dict(senders.failures))

    senders = Modalities(small_disk.port, xrays[120:], pause=0.1)
    senders.wait_acknowledged(10)
    machine.run("sh", "-c", f"head -c 4G /dev/zero >{ROOT}/somebody-elses 2>/dev/null || :")
    before = senders.failures["A700"]
    wait_until(lambda: senders.failures["A700"] >= before + 10, 60, "senders that are told 0xA700")
    machine.run("rm", f"{ROOT}/somebody-elses")
    senders.join()
    print("brim:", dict(senders.failures))

    assert len(senders.acknowledged) == len(xrays[120:])
    archive.wait_for(senders.acknowledged, 120)
    assert machine.main_pid("receive") == receive, "the listener stays, so that senders are told why"
    assert "OK" in machine.run("edge", "audit", "verify")
    assert not [line for line in machine.run("edge", "doctor", check=False).splitlines() if line.startswith("FAIL")]
