"""Packages are looked after: tested after a crash, stopped when they break their word, calmed when they overdo."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import package_maker
import pydicom
import pytest
from model_site import Site, site
from onnx import TensorProto, helper
from support import wait_until

from edge.errors import PackageError
from edge.infer import selftest
from edge.journal import alarms, packages
from edge.packages.package import Package

__all__ = ["site"]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def standing(here: Site) -> dict[str, str]:
    return {each.name: each.reason for each in alarms.standing(here.box.journal)}


def slow_on_bright() -> bytes:
    """sigmoid(mean), after ten thousand rounds of work where the mean is above zero."""
    big = helper.make_tensor("big", TensorProto.FLOAT, [256, 256], np.eye(256, dtype=np.float32).ravel())
    body = helper.make_graph(
        [helper.make_node("MatMul", ["w", "big"], ["wo"]), helper.make_node("Identity", ["c"], ["co"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("c", TensorProto.BOOL, []),
         helper.make_tensor_value_info("w", TensorProto.FLOAT, [256, 256])],
        [helper.make_tensor_value_info("co", TensorProto.BOOL, []),
         helper.make_tensor_value_info("wo", TensorProto.FLOAT, [256, 256])],
    )  # fmt: skip
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
        helper.make_node("Greater", ["mean", "nothing"], ["work"]),
        helper.make_node("Loop", ["n", "work", "big"], ["worked"], body=body),
        helper.make_node("ReduceMin", ["worked"], ["zero"], keepdims=0),
        helper.make_node("Add", ["mean", "zero"], ["sum"]),
        helper.make_node("Reshape", ["sum", "column"], ["one"]),
        helper.make_node("Sigmoid", ["one"], ["output"]),
    ]
    constants = (
        big,
        helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.01]),
        helper.make_tensor("n", TensorProto.INT64, [], [10_000]),
        helper.make_tensor("column", TensorProto.INT64, [2], [1, 1]),
    )
    return package_maker.model_of(nodes, constants)


def test_an_image_that_a_model_cannot_end_with_costs_itself_alone(site: Callable[..., Site]) -> None:
    here = site(attempts=1)
    members = package_maker.plain_members(**{"model.onnx": slow_on_bright()})
    here.works("1.0.0", members=members, limits={"memory_mib": 256, "seconds": 1.0})
    here.box.start()
    assert here.answered()[0] == "1.0.0"
    job = here.job(level=200)
    assert (job.state, job.reason) == ("QUARANTINED", "time-limit")
    wait_until(lambda: here.models("history", "brightness")[0]["new"] == "TESTED", 60, "the self-test after it")
    assert here.states() == {"1.0.0": "ACTIVE"}
    assert standing(here) == {}
    assert here.answered()[0] == "1.0.0"


def broken(monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    """From now on this machine computes something else for one package: memory gone bad, a library exchanged."""
    honest = selftest.run_alone

    def run_alone(package: Package, *words: Any) -> selftest.Passed:
        if package.digest == digest:
            raise PackageError("the self-test failed: the answer is off by 0.3", which="selftest/zero.npy", hint="ask")
        return honest(package, *words)

    monkeypatch.setattr(selftest, "run_alone", run_alone)


def accepted(here: Site, digest: str) -> None:
    """As if the site had measured it; the measuring itself has its own test."""
    packages.accept(here.box.journal, digest, 10, "0" * 64)


@pytest.mark.parametrize("takes_over", [False, True])
def test_a_package_that_breaks_its_word_stops(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, takes_over: bool
) -> None:
    here = site(more="auto_rollback = true" if takes_over else "")
    accepted(here, here.works("1.0.0", 0.0))
    digest = here.works("2.0.0", 2.0)
    here.box.start()
    assert here.answered()[0] == "2.0.0"
    broken(monkeypatch, digest)
    here.box.room._caretaker.suspect(digest)
    wait_until(lambda: here.states()["2.0.0"] == "FAILED", 30, "the end of the broken package")
    assert standing(here) == {"selftest.brightness": "selftest-failed"}
    if not takes_over:
        assert here.job().reason == "package-unavailable"
        assert here.models("rollback", "brightness")["package"]["version"] == "1.0.0"
    assert here.states()["1.0.0"] == "ACTIVE"
    assert here.answered()[0] == "1.0.0"


def test_a_package_that_breaks_its_word_stops_also_where_the_one_before_it_is_broken(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = site(more="auto_rollback = true")
    first = here.works("1.0.0", 0.0)
    accepted(here, first)
    digest = here.works("2.0.0", 2.0)
    manifest = here.box.settings.store / first / "model.toml"
    manifest.chmod(0o640)
    manifest.write_bytes(manifest.read_bytes() + b"#")
    here.box.start()
    broken(monkeypatch, digest)
    here.box.room._caretaker.suspect(digest)
    wait_until(lambda: here.states()["2.0.0"] == "FAILED", 30, "the end of the broken package")
    assert here.states()["1.0.0"] == "RETIRED"
    assert here.job().reason == "package-unavailable"


@pytest.mark.slow
def test_nobody_takes_over_whom_the_site_did_not_accept(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = site(more="auto_rollback = true")
    here.works("1.0.0", 0.0)
    digest = here.works("2.0.0", 2.0)
    here.box.start()
    broken(monkeypatch, digest)
    here.box.room._caretaker.suspect(digest)
    wait_until(lambda: here.states()["2.0.0"] == "FAILED", 30, "the end of the broken package")
    assert here.states()["1.0.0"] == "RETIRED"
    assert here.job().reason == "package-unavailable"


def test_what_flags_too_much_is_not_urgent_any_more(site: Callable[..., Site]) -> None:
    here = site()
    outputs = package_maker.plain_manifest()["outputs"]
    outputs[0]["classes"][0] |= {"urgent": True, "flag_rate": {"min": 0.0, "max": 0.5, "window": 20}}
    here.works("1.0.0", 2.0, outputs=outputs)
    here.box.start()
    for _ in range(20):
        here.job()
    assert all("Urgent" in each for each in _reports(here))
    here.box.room._caretaker.look()
    assert standing(here) == {"flag-rate.brightness": "above"}
    here.job()
    assert "Urgent" not in _reports(here)[-1]


def _reports(here: Site) -> list[str]:
    made: list[Path] = sorted(here.box.settings.outbox.glob("*.dcm"), key=lambda path: path.stat().st_mtime_ns)
    return [json.dumps(pydicom.dcmread(path).to_json_dict()) for path in made]
