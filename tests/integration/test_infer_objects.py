"""Several objects of one result on their way: each destination's form, all signed, the report last, all or none."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from infer_box import TOML, InferBox
from pydicom import dcmread
from test_infer_regions import holds_the_opacity, stored

from edge import keys
from edge.deliver import outbox
from edge.errors import GateHit
from edge.infer import egress
from edge.journal import outgoing, views
from edge.packages.registry import Registry
from edge.report.identity import object_uid

FORMS = """
presentation = true
[destinations.old]
kind = "deidentified"
ae_title = "OLD"
host = "127.0.0.1"
port = 11114
sr = "comprehensive"
[destinations.twin]
kind = "deidentified"
ae_title = "TWIN"
host = "127.0.0.1"
port = 11115
presentation = true
"""
SR, OLD_SR, PR = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("88.34", "88.33", "11.1"))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[InferBox]:
    package = Registry().resolve("cxr-pneumonia-native")
    toml = TOML.replace('deliver = ["archive"]', 'deliver = ["archive", "old", "twin"]') + FORMS.lstrip()
    box = InferBox(tmp_path / "box", {package.manifest.name: package}, toml)
    try:
        yield box
    finally:
        box.stop()


def by_destination(box: InferBox) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for alias in ("archive", "old", "twin"):
        found[alias] = outgoing.due(box.journal, alias)
    return found


def test_each_destination_gets_its_form_and_every_object_is_signed_for_it(box: InferBox) -> None:
    box.start()
    job = box.job(box.store(stored((700, 600), "right", "MONOCHROME1")))
    assert (job.state, job.outcome) == ("DONE", "succeeded")
    found = by_destination(box)

    classes = {alias: [str(each.sop_class_uid) for each in items] for alias, items in found.items()}
    assert classes == {"archive": [PR, SR], "old": [OLD_SR], "twin": [PR, SR]}
    verify_key = keys.load(box.settings.keys, "verify.pub")
    for items in found.values():
        for each in items:
            outbox.read(box.settings.outbox, each, verify_key)  # raises if digest, names or signature are not its own
    written = {dcmread(path).SOPInstanceUID: path for path in box.settings.outbox.glob("*.dcm")}
    assert len(written) == 3
    report = found["archive"][1].sop_instance_uid
    assert found["old"][0].sop_instance_uid == object_uid(report, f"SR {OLD_SR}") != report
    assert {each.sop_instance_uid for items in found.values() for each in items} == set(written)


def test_the_drawn_region_is_the_reported_one(box: InferBox) -> None:
    box.start()
    box.job(box.store(stored((700, 600), "left", "MONOCHROME1")))
    state, report = (
        dcmread(box.settings.outbox / f"{each.sop_instance_uid}.dcm") for each in by_destination(box)["archive"]
    )
    graphic = state.GraphicAnnotationSequence[0].GraphicObjectSequence[0]

    def outlines(dataset: Any) -> Iterator[list[float]]:
        if dataset.get("ValueType") == "SCOORD":
            yield list(dataset.GraphicData)
        for item in dataset.get("ContentSequence", ()):
            yield from outlines(item)

    assert list(graphic.GraphicData) in list(outlines(report))
    points = [graphic.GraphicData[at : at + 2] for at in range(0, len(graphic.GraphicData), 2)]
    assert holds_the_opacity(points, (700, 600), "left")
    assert state.PresentationLUTShape == "INVERSE"


def test_where_the_gate_stops_one_object_all_are_held(box: InferBox, monkeypatch: pytest.MonkeyPatch) -> None:
    real = egress.release

    def strict(blob: bytes, **options: Any) -> None:
        if dcmread(io.BytesIO(blob)).Modality == "PR":
            raise GateHit("a test", hint="none", reason="not-ours:GraphicData")
        real(blob, **options)

    monkeypatch.setattr(egress, "release", strict)
    box.start()
    box.job(box.store(stored((700, 600), "right", "as it is")))
    found = views.deliveries(box.journal)

    assert len(found) == 5
    assert {(each.state, each.reason) for each in found} == {("HELD", "not-ours:GraphicData")}
    assert list(box.settings.outbox.glob("*.dcm")) == []
    assert all(items == [] for items in by_destination(box).values())


def test_a_result_of_one_object_is_adopted_and_one_of_several_is_made_again(tmp_path: Path) -> None:
    package = Registry().resolve("cxr-pneumonia-native")
    for name, toml, again in (("one", TOML, False), ("several", TOML + "presentation = true\n", True)):
        box = InferBox(tmp_path / name, {package.manifest.name: package}, toml).start()
        try:
            box.job(box.store(stored((700, 600), "right", "as it is")))
            before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in box.settings.outbox.glob("*.dcm")}
            for table in ("trace", "delivery"):
                box.journal.database.execute(f"DELETE FROM {table}")
            box.journal.database.execute("UPDATE job SET state = 'READY', outcome = '', report = ''")
            box.ringer.ring("infer")
            instance = next(iter(views.jobs(box.journal)))
            box.job(_Named(instance.unit))
            after = {path.name: (path.read_bytes(), path.stat().st_ino) for path in box.settings.outbox.glob("*.dcm")}
        finally:
            box.stop()
        assert {key: blob for key, (blob, _) in after.items()} == {key: blob for key, (blob, _) in before.items()}
        assert (after != before) == again


class _Named:
    """What InferBox.job looks at."""

    def __init__(self, uid: str) -> None:
        self.sop_instance_uid = uid
