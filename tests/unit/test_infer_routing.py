"""Which routes an instance meets, and why not; which routes can run at all; `edge route test`."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import package_maker
import pytest
from acceptance.objects import chest_dx, save
from infer_box import EXPLICIT_VR_LITTLE_ENDIAN
from pydicom.dataset import Dataset

from edge.config import Settings, load
from edge.config.routes import Route
from edge.errors import BadObject
from edge.infer.explain import explain
from edge.infer.roster import Line, line_up
from edge.infer.routing import decide
from edge.packages.registry import Registry
from edge.records import UID, Instance, Scope

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TODAY = datetime.date(2026, 3, 1)
DX = "1.2.840.10008.5.1.4.1.1.1.1"


def instance(**fields: Any) -> Instance:
    return Instance(**{
        "object_id": "1" * 32, "sop_instance_uid": UID("1.1"), "sop_class_uid": UID(DX),
        "study_instance_uid": UID("1.2"), "series_instance_uid": UID("1.3"),
        "transfer_syntax_uid": UID(EXPLICIT_VR_LITTLE_ENDIAN), "modality": "DX", "peer": "ct1",
        "association": "2" * 32, "tag": "3" * 64, "size": 1, "slot": 0, "received_at": 0.0, **fields,
    })  # fmt: skip


def dataset(**attributes: Any) -> Dataset:
    made = Dataset()
    for keyword, value in {"Modality": "DX", "StudyDate": "20260228", **attributes}.items():
        if value is not None:
            setattr(made, keyword, value)
    return made


def line(name: str = "chest", package: str = "brightness", **fields: Any) -> Line:
    return Line(Route(name=name, package=package, **fields), None)


def reasons_of(*lines: Line, what: Dataset | None = None, who: Instance | None = None) -> tuple[list[str], str]:
    decision = decide(who or instance(), what or dataset(), lines, TODAY)
    return [target.route for target in decision.targets], decision.reason


@pytest.mark.parametrize(
    ("when", "attributes", "matches"),
    [
        ({}, {}, True),
        ({"Modality": ("CR", "DX")}, {}, True),
        ({"Modality": ("CR", " dx ")}, {"Modality": "dx"}, True),
        ({"Modality": ("CT",)}, {}, False),
        ({"Modality": ("DX",), "StationName": ("ROOM1",)}, {"StationName": "ROOM1 "}, True),
        ({"Modality": ("DX",), "StationName": ("ROOM1",)}, {"StationName": "ROOM2"}, False),
        ({"StationName": ("ROOM1",)}, {}, False),
        ({"peer": ("ct1",)}, {}, True),
        ({"peer": ("ct2",)}, {}, False),
        ({"SOPClassUID": (DX,)}, {}, True),
    ],
)
def test_when(when: dict[str, tuple[str, ...]], attributes: dict[str, str], matches: bool) -> None:
    found = reasons_of(line(when=when), what=dataset(**attributes))
    assert found == ((["chest"], "") if matches else ([], "no-route"))


@pytest.mark.parametrize(
    ("sop_class_uid", "modality"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.34", "SR"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "PR"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "SEG"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "KO"),
        ("1.2.840.10008.5.1.4.1.1.7", "OT"),
        ("1.2.840.10008.5.1.4.1.1.7.2", "DX"),
        (DX, "SR"),
        ("1.2.840.10008.5.1.4.1.1.88.22", "DX"),
    ],
)
def test_loop_guard(sop_class_uid: str, modality: str) -> None:
    who = instance(sop_class_uid=UID(sop_class_uid))
    assert reasons_of(line(), what=dataset(Modality=modality), who=who) == ([], "loop-guard")


def test_visible_light_images_are_not_captures() -> None:
    who = instance(sop_class_uid=UID("1.2.840.10008.5.1.4.1.1.77.1.4"))
    assert reasons_of(line(), what=dataset(Modality="XC"), who=who) == (["chest"], "")


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({"StudyDate": "20260222"}, ""),
        ({"StudyDate": "20260221"}, "study-too-old"),
        ({"StudyDate": "2026.02.28"}, ""),
        ({"StudyDate": "", "ContentDate": "19990101"}, "study-too-old"),
        ({"StudyDate": None}, ""),
        ({"StudyDate": "20300101"}, ""),
    ],
)
def test_age_of_the_study(dates: dict[str, str], expected: str) -> None:
    assert reasons_of(line(max_study_age_days=7), what=dataset(**dates))[1] == expected


def test_every_matching_route_makes_a_job_but_a_package_only_one() -> None:
    lines = (line("a"), line("b"), line("c", package="other"))
    assert reasons_of(*lines) == (["a", "c"], "")


def test_priority_and_expected_count_go_with_the_target(tmp_path: Path) -> None:
    package = package_maker.make(tmp_path / "p", scope="series")
    series = Line(Route(name="chest", package="brightness", priority="stat"), package)
    (target,) = decide(instance(), dataset(NumberOfSeriesRelatedInstances=12), (series,), TODAY).targets
    assert (target.scope, target.priority, target.expected) == (Scope.SERIES, "stat", 12)


ROUTES = """
[box]
root = "root"
[[routes]]
name = "chest"
package = "brightness"
when = {{ Modality = ["DX"] }}
deliver = ["archive"]
allow_demonstration = {allow}
[destinations.archive]
kind = "{kind}"
accept_unfiled_results = true
ae_title = "ARCHIVE"
host = "{host}"
port = 104
"""


def settings(
    folder: Path, host: str = "127.0.0.1", allow: str = "false", text: str = ROUTES, kind: str = "deidentified"
) -> Settings:
    file = folder / "edge.toml"
    file.write_text(text.format(host=host, allow=allow, kind=kind))
    return load(file)


def problem(settings: Settings, folder: Path, **changes: Any) -> str:
    package = package_maker.make(folder / "package", **changes)
    (found,) = line_up(settings, Registry({"brightness": package}))
    return found.problem


def test_route_runs(tmp_path: Path) -> None:
    assert problem(settings(tmp_path), tmp_path) == ""


def test_missing_package_stops_its_route_alone(tmp_path: Path) -> None:
    text = ROUTES.replace("[box]", '[[routes]]\nname = "other"\npackage = "not-there"\n[box]')
    package = package_maker.make(tmp_path / "package")
    found = line_up(settings(tmp_path, text=text), Registry({"brightness": package}))
    assert [bool(each.problem) for each in found] == [True, False]
    assert "not-there" in found[0].problem
    assert "try:" in found[0].problem


@pytest.mark.parametrize(
    ("host", "kind", "why"),
    [
        ("127.0.0.1", "deidentified", ""),
        ("127.0.0.1", "relink", "gateway"),
        ("10.0.0.9", "relink", "gateway"),
        ("10.0.0.9", "deidentified", "not on this machine"),
    ],
)
def test_demonstration_reaches_no_patient_and_no_other_machine(tmp_path: Path, host: str, kind: str, why: str) -> None:
    found = problem(settings(tmp_path, host=host, kind=kind), tmp_path)
    assert why in found
    assert bool(found) == bool(why)
    assert problem(settings(tmp_path, host=host, kind=kind, allow="true"), tmp_path / "again") == ""


def test_a_rule_about_nothing_stops_the_route(tmp_path: Path) -> None:
    rules = {"Modalty": {"absent": "refuse", "any_of": ["DX"]}}
    assert "Modalty" in problem(settings(tmp_path), tmp_path, applicability=rules)
    inputs = package_maker.plain_manifest()["inputs"]
    selected = [{**inputs[0], "select": {"ViewPositon": {"absent": "refuse", "any_of": ["AP"]}}}]
    assert "ViewPositon" in problem(settings(tmp_path), tmp_path / "again", inputs=selected)


def test_changed_graph_stops_the_route(tmp_path: Path) -> None:
    package = package_maker.make(tmp_path / "package")
    graph = tmp_path / "package" / "model.onnx"
    data = bytearray(graph.read_bytes())
    data[-1] ^= 1
    graph.chmod(0o600)
    graph.write_bytes(data)
    (found,) = line_up(settings(tmp_path), Registry({"brightness": package}))
    assert "manifest" in found.problem


def test_explain_says_why_not_without_a_received_value(tmp_path: Path, blank: Any) -> None:
    package = package_maker.make(
        tmp_path / "package", applicability={"BodyPartExamined": {"absent": "refuse", "any_of": ["HAND"]}}
    )
    lines = line_up(settings(tmp_path), Registry({"brightness": package}))
    fits = save(chest_dx(blank, BodyPartExamined="HAND"), tmp_path / "hand.dcm")
    chest = save(chest_dx(blank, StationName="INVENTEDROOM"), tmp_path / "chest.dcm")
    ct = save(chest_dx(blank, Modality="CT"), tmp_path / "ct.dcm")
    today = datetime.datetime.now(datetime.UTC).date()
    views = [explain(path, lines, peer="", today=today).routes[0] for path in (fits, chest, ct)]
    assert [(view.matches, view.applicable) for view in views] == [(True, True), (True, False), (False, False)]
    assert [view.why for view in views] == ["", "not-applicable:BodyPartExamined", "Modality is not one of DX"]
    assert "INVENTED" not in json.dumps([view.why for view in views])


def test_explain_refuses_what_is_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"INVENTED^NAME")
    with pytest.raises(BadObject) as caught:
        explain(tmp_path / "x.dcm", (), peer="", today=TODAY)
    assert "INVENTED" not in str(caught.value)


@pytest.fixture
def blank() -> Any:
    import numpy as np

    return np.zeros((16, 16), np.uint8)
