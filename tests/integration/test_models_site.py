"""A hospital takes a vendor's package: installed, activated, rolled back, removed; by command, the box up or down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from model_site import Site, site
from vendor import Vendor

from edge.packages.lifecycle import Lifecycle
from edge.packages.offline import Offline
from edge.packages.registry import Registry
from edge.packages.site import policy_of, store_of

__all__ = ["site"]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_from_archive_to_work_and_back_while_the_room_runs(site: Callable[..., Site]) -> None:
    here = site()
    old, new = here.vendor.archive("1.0.0", 0.0), here.vendor.archive("1.1.0", 2.0)
    here.box.start()
    assert here.models("install", old)["package"]["state"] == "INSTALLED"
    assert here.job().reason == "package-unavailable"
    here.models("activate", "brightness", "--reason", "evaluation")
    assert here.answered() == ("1.0.0", pytest.approx(0.5))

    here.models("install", new)
    assert here.answered()[0] == "1.0.0"  # installed is not active
    changed = here.models("activate", "brightness-1.1.0", "--reason", "evaluation")
    assert (changed["was"], changed["package"]["state"]) == ("INSTALLED", "ACTIVE")
    assert here.answered() == ("1.1.0", pytest.approx(1 / (1 + np.exp(-2))))

    assert here.models("rollback", "brightness")["package"]["version"] == "1.0.0"
    assert here.answered()[0] == "1.0.0"
    assert here.states() == {"1.0.0": "ACTIVE", "1.1.0": "RETIRED"}
    here.models("remove", "brightness-1.1.0")
    assert here.states()["1.1.0"] == "REMOVED"
    assert len(list((here.box.settings.root / "models").iterdir())) == 1
    moved = [(row["version"], row["old"], row["new"]) for row in here.models("history", "brightness-1.1.0")]
    assert moved[::-1] == [
        ("1.1.0", "", "STAGED"), ("1.1.0", "STAGED", "INSTALLED"), ("1.1.0", "INSTALLED", "ACTIVE"),
        ("1.1.0", "ACTIVE", "RETIRED"), ("1.1.0", "RETIRED", "REMOVED"),
    ]  # fmt: skip


def test_what_was_decided_while_the_room_was_down_is_what_it_starts_with(site: Callable[..., Site]) -> None:
    here = site()
    here.models("install", here.vendor.package("1.0.0", 1.0).folder)  # a folder will do
    here.models("activate", "brightness", "--reason", "evaluation")
    here.box.start()
    assert here.answered() == ("1.0.0", pytest.approx(1 / (1 + np.exp(-1))))
    assert "route" not in here.models("list")[-1]["problem"]


def test_a_stranger_is_not_let_in(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site()
    stranger = Vendor(tmp_path / "stranger", "stranger")
    told = here.models("install", stranger.archive("1.0.0"), code=1)
    assert told.startswith("E-PACKAGE: no trusted key signed this manifest")
    assert here.states() == {}
    assert not list((here.box.settings.root / "models").iterdir())


def test_gates_open_for_a_named_reason_only(site: Callable[..., Site]) -> None:
    here = site()
    for version, shift in (("1.0.0", 0.0), ("2.0.0", 1.0)):
        here.models("install", here.vendor.archive(version, shift))
    assert "was not accepted on this site" in here.models("activate", "brightness-2.0.0", code=1)
    here.models("activate", "brightness-2.0.0", "--reason", "evaluation")
    assert "2.0.0 was in use: this one is older" in here.models("activate", "brightness-1.0.0", code=1)
    assert "not a code" in here.models("activate", "brightness-1.0.0", "--reason", "because I say so", code=2)
    here.models("activate", "brightness-1.0.0", "--reason", "ticket-4711")
    assert here.states() == {"1.0.0": "ACTIVE", "2.0.0": "RETIRED"}
    here.models("rollback", "brightness")
    here.models("remove", "brightness-1.0.0")
    here.models("install", here.vendor.package("1.5.0").folder)
    assert "2.0.0 was in use" in here.models("activate", "brightness-1.5.0", code=1)  # also by who is gone
    (last,) = here.models("history", "brightness-2.0.0", "--limit", "1")  # however much was of others since
    assert (last["version"], last["new"]) == ("2.0.0", "ACTIVE")


def test_a_withdrawn_package_works_for_nobody_without_a_reason(site: Callable[..., Site]) -> None:
    made = Vendor(Path(site().box.settings.root) / "elsewhere")
    package = made.package("1.0.0")
    here = site(key=made.public, revoked=[package.digest])
    assert "withdrawn" in here.models("install", package.folder, code=1)
    here.models("install", package.folder, "--reason", "comparison")
    assert "withdrawn" in here.models("activate", "brightness", code=1)
    assert "withdrawn" in here.models("shadow", "brightness", code=1)
    here.models("activate", "brightness", "--reason", "comparison")
    assert here.states() == {"1.0.0": "ACTIVE"}


def test_an_installation_that_the_machine_interrupts_can_be_repeated(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = site()
    settings, archive = here.box.settings, here.vendor.archive("1.0.0")
    bench = Offline(settings)
    lifecycle = Lifecycle(here.box.journal, store_of(settings), Registry({}), bench, policy_of(settings))

    def no_memory(_: object) -> None:
        raise OSError("no memory for a worker")

    with archive.open("rb") as source, monkeypatch.context() as patch:
        patch.setattr(bench, "selftest", no_memory)
        with pytest.raises(OSError, match="no memory"):
            lifecycle.install(source)
    assert here.states() == {"1.0.0": "FAILED"}
    with archive.open("rb") as source:
        assert lifecycle.install(source).package.state == "INSTALLED"


def test_a_rollback_to_a_withdrawn_package_needs_a_reason_and_then_works(site: Callable[..., Site]) -> None:
    made = Vendor(Path(site().box.settings.root) / "elsewhere")
    first = made.package("1.0.0")
    here = site(key=made.public)
    here.models("install", first.folder)
    here.models("activate", "brightness", "--reason", "evaluation")
    here.models("install", made.package("2.0.0").folder)
    here.models("activate", "brightness-2.0.0", "--reason", "evaluation")
    file = here.box.settings.file
    file.write_text(file.read_text().replace("revoked = []", f'revoked = ["{first.digest}"]'))
    assert "withdrawn" in here.models("rollback", "brightness", code=1)
    here.models("rollback", "brightness", "--reason", "comparison")
    assert [row["problem"] for row in here.models("list") if row["state"] == "ACTIVE"] == [""]


@pytest.mark.slow
def test_a_key_that_is_trusted_no_longer_takes_its_packages_with_it(site: Callable[..., Site]) -> None:
    here = site()
    here.models("install", here.vendor.archive("1.0.0"))
    here.models("activate", "brightness", "--reason", "evaluation")
    file = here.box.settings.file
    file.write_text(file.read_text().replace(str(here.vendor.public), str(Vendor(file.parent, "other").public)))
    (row,) = (row for row in here.models("list") if row["origin"] == "installed")
    assert row["problem"] == "no trusted key signed this manifest"
    file.write_text(file.read_text().replace("other.pub", "nowhere.pub"))
    (row,) = (row for row in here.models("list") if row["origin"] == "installed")
    assert "key file cannot be read" in row["problem"]


def test_changed_files_are_found_and_nothing_else_runs_instead(site: Callable[..., Site]) -> None:
    here = site()
    installed = here.models("install", here.vendor.archive("1.0.0"))["package"]
    here.models("activate", "brightness", "--reason", "evaluation")
    graph = here.box.settings.root / "models" / installed["digest"] / "model.onnx"
    graph.chmod(0o600)
    graph.write_bytes(bytes(graph.stat().st_size))
    here.box.start()
    job = here.job()
    assert (job.state, job.reason) == ("QUARANTINED", "package-unavailable")


@pytest.mark.slow
def test_a_package_that_does_not_keep_its_word_here_is_failed(site: Callable[..., Site]) -> None:
    here = site()
    wrong = {"tolerance": 1e-5, "cases": [{"input": "selftest/zero.npy", "expected": [0.9]}]}
    told = here.models("install", here.vendor.archive("1.0.0", selftest=wrong), code=1)
    assert "the self-test failed: the answer is off by 0.4" in told
    assert here.states() == {"1.0.0": "FAILED"}
    assert not list((here.box.settings.root / "models").iterdir())
