"""Updates and ways back on a real boot, under load: nobody is refused, nothing is lost, what fails goes back."""

from __future__ import annotations

from pathlib import Path

import next_version
import pytest
from installed import Installed
from outside import Modalities
from support import wait_until

LATER = "edge/journal/migrations/002.sql"
UPDATE = "sh /opt/edge/update.sh --bundle /root/next.tar"


def version(box: Installed) -> str:
    return box.machine.run("edge", "--version").split()[-1]


def update(box: Installed, bundle: Path, *, watch: int) -> str:
    """All that `update.sh` says; it runs as from an administrator's shell, without a network."""
    box.machine.put(bundle, "/root/next.tar")
    return box.machine.run("sh", "-c", f"{UPDATE} --watch {watch} 2>&1 || echo REFUSED", network=False)


def check_load(box: Installed, senders: Modalities) -> None:
    """Everybody was served, and everything that was acknowledged has its report."""
    senders.join()
    print(dict(senders.failures), f"slowest {senders.slowest:.2f} s")
    assert senders.failures["unreachable"] == 0, dict(senders.failures)
    box.archive.wait_for(senders.acknowledged, 180)


def test_an_update_and_the_way_back_under_load(
    installed: Installed, bundle: Path, folder: Path, xrays: list[Path]
) -> None:
    """The next version has another schema, which this one may read."""
    before = version(installed)
    schema = next_version.LATER_SCHEMA + next_version.OLDER_MAY_READ
    later = next_version.next_bundle(bundle, folder / "later.tar", "77.1", added={LATER: schema})
    senders = Modalities(installed.port, xrays[:150], senders=2, pause=0.1)
    said = update(installed, later, watch=3)
    assert "the new version runs" in said, said
    assert version(installed) == "77.1"
    assert not [line for line in installed.machine.run("edge", "doctor", check=False).splitlines() if "FAIL" in line]

    said = installed.machine.run("sh", "-c", "sh /opt/edge/rollback.sh 2>&1")
    assert version(installed) == before, said
    check_load(installed, senders)
    assert "OK" in installed.machine.run("edge", "audit", "verify")


def test_an_update_that_fails_its_health_check_goes_back_by_itself(
    installed: Installed, bundle: Path, folder: Path, xrays: list[Path]
) -> None:
    """The hard case: its rooms end after some seconds, and it left a journal that this version cannot read."""
    before, place = version(installed), installed.machine.run("readlink", "-f", "/opt/edge/venv")
    broken = next_version.next_bundle(
        bundle, folder / "broken.tar", "77.2", added={LATER: next_version.LATER_SCHEMA},
        changed=("edge/rooms.py", next_version.FALLS_DOWN),
    )  # fmt: skip
    senders = Modalities(installed.port, xrays[150:], senders=2, pause=0.2)
    said = update(installed, broken, watch=15)
    assert "does not stay up" in said, said
    assert said.rstrip().endswith("REFUSED")
    assert (version(installed), installed.machine.run("readlink", "-f", "/opt/edge/venv")) == (before, place)
    check_load(installed, senders)
    wait_until(lambda: not installed.machine.run("systemctl", "list-units", "--failed", "--no-legend", "edge*"), 30)
    assert "OK" in installed.machine.run("edge", "audit", "verify")


@pytest.mark.parametrize("damage", ["self-test", "same"])
def test_what_fails_before_the_switch_changes_nothing(
    installed: Installed, bundle: Path, folder: Path, damage: str
) -> None:
    before = installed.machine.main_pid("receive")
    bad = bundle
    if damage == "self-test":
        bad = next_version.next_bundle(
            bundle, folder / "bad.tar", "77.3", changed=("edge/infer/worker.py", "\nraise SystemExit(1)\n")
        )
    said = update(installed, bad, watch=3)
    assert "nothing was changed" in said, said
    assert installed.machine.main_pid("receive") == before


def test_a_box_with_a_pinned_vendor_takes_no_other_update(installed: Installed, bundle: Path) -> None:
    machine = installed.machine
    machine.run("sh", "-c", "openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out /etc/edge/vendor.pem")
    try:
        said = update(installed, bundle, watch=3)
    finally:
        machine.run("rm", "/etc/edge/vendor.pem")
    assert "is not signed by /etc/edge/vendor.pem" in said
