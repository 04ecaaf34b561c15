"""Updates and ways back on a real boot, under load: nobody is refused, nothing is lost, what fails goes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import next_version
import pytest
from installed import Installed
from outside import Modalities
from support import wait_until

LATER, MUCH_LATER = "edge/journal/migrations/002.sql", "edge/journal/migrations/003.sql"
UPDATE = "sh /opt/edge/update.sh --bundle /root/next.tar"


def version(box: Installed) -> str:
    return box.machine.run("edge", "--version").split()[-1]


def update(box: Installed, bundle: Path, log: Path, watch: int = 3, load: list[Path] | None = None) -> str:
    """All that `update.sh` says; `load` is pushed from the moment on when it switches, and all of it has reports."""
    box.machine.put(bundle, "/root/next.tar")
    process = box.machine.start("sh", "-c", f"{UPDATE} --watch {watch}", log=log)
    if load:
        wait_until(lambda: b"switching" in log.read_bytes() or process.poll() is not None, 200, "the switch")
        check_load(box, load, while_=lambda: process.wait(200))
    code = process.wait(200)
    return f"{log.read_text()}{code}"


def check_load(box: Installed, paths: list[Path], while_: Callable[[], object]) -> None:
    """Everybody is served meanwhile, and everything that was acknowledged gets its report."""
    senders = Modalities(box.port, paths, senders=3, pause=0.05)
    while_()
    senders.join()
    print(dict(senders.failures), f"slowest {senders.slowest:.2f} s")
    assert senders.failures["unreachable"] == 0, dict(senders.failures)
    box.archive.wait_for(senders.acknowledged, 180)


def test_an_update_and_the_way_back_under_load(
    installed: Installed, bundle: Path, folder: Path, tmp_path: Path, xrays: list[Path]
) -> None:
    """The next version has another schema, which this one may read."""
    before = version(installed)
    schema = next_version.LATER_SCHEMA + next_version.OLDER_MAY_READ
    later = next_version.next_bundle(bundle, folder / "later.tar", "77.1", added={LATER: schema})
    said = update(installed, later, tmp_path / "said", load=xrays[:120])
    assert "the new version runs" in said, said
    assert version(installed) == "77.1"
    assert not [line for line in installed.machine.run("edge", "doctor", check=False).splitlines() if "FAIL" in line]

    check_load(installed, xrays[120:], lambda: installed.machine.run("sh", "/opt/edge/rollback.sh", network=False))
    assert version(installed) == before
    assert "OK" in installed.machine.run("edge", "audit", "verify")


def test_an_update_that_fails_its_health_check_goes_back_by_itself(
    installed: Installed, bundle: Path, folder: Path, tmp_path: Path, xrays: list[Path]
) -> None:
    """The hard case: its rooms end after some seconds, and it left a journal that this version cannot read."""
    before, place = version(installed), installed.machine.run("readlink", "-f", "/opt/edge/venv")
    broken = next_version.next_bundle(
        bundle, folder / "broken.tar", "77.2", added={MUCH_LATER: next_version.OTHER_SCHEMA},
        changed=("edge/rooms.py", next_version.FALLS_DOWN),
    )  # fmt: skip
    said = update(installed, broken, tmp_path / "said", watch=15, load=xrays)
    assert "the new version does not hold: going back" in said, said
    assert "the journal from before is" in said, "it is put aside, for the older version cannot read it"
    assert said.endswith("1")
    assert (version(installed), installed.machine.run("readlink", "-f", "/opt/edge/venv")) == (before, place)
    wait_until(lambda: not installed.machine.run("systemctl", "list-units", "--failed", "--no-legend", "edge*"), 30)
    assert "OK" in installed.machine.run("edge", "audit", "verify")


@pytest.mark.parametrize("damage", ["self-test", "same"])
def test_what_fails_before_the_switch_changes_nothing(
    installed: Installed, bundle: Path, folder: Path, tmp_path: Path, damage: str
) -> None:
    before = installed.machine.main_pid("receive")
    bad = bundle
    if damage == "self-test":
        bad = next_version.next_bundle(
            bundle, folder / "bad.tar", "77.3", changed=("edge/report/encode.py", "\nraise SystemExit(1)\n")
        )
    said = update(installed, bad, tmp_path / "said")
    assert "nothing was changed" in said, said
    assert installed.machine.main_pid("receive") == before


def test_a_box_with_a_pinned_vendor_takes_no_other_update(installed: Installed, bundle: Path, tmp_path: Path) -> None:
    machine = installed.machine
    machine.run("sh", "-c", "openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out /etc/edge/vendor.pem")
    try:
        said = update(installed, bundle, tmp_path / "said")
    finally:
        machine.run("rm", "/etc/edge/vendor.pem")
    assert "is not signed by /etc/edge/vendor.pem" in said
