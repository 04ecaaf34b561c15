"""The manifest is closed: what is unknown, missing or out of range is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from package_maker import plain_manifest

from edge.errors import PackageError
from edge.packages import schema
from edge.packages.manifest import parse
from edge.packages.writer import manifest_text

MEMBERS = {
    name: {"sha256": "0" * 64, "size": 1} for name in ("model.onnx", "MODEL_CARD.md", "LICENSE", "selftest/zero.npy")
}


def text(**changes: Any) -> bytes:
    return manifest_text({**plain_manifest(), "members": MEMBERS, **changes}).encode()


def test_a_whole_manifest_is_read() -> None:
    manifest = parse(text())
    assert manifest.outputs[0].classes[0].threshold == 0.6
    assert manifest.applicability["Modality"].any_of == ("DX",)


def test_the_text_is_the_same_every_time() -> None:
    assert text() == text()


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(PackageError, match="treshold"):
        parse(text(treshold=0.5))


def test_a_missing_key_is_named() -> None:
    without = plain_manifest()
    del without["population"]
    with pytest.raises(PackageError, match="population"):
        parse(manifest_text({**without, "members": MEMBERS}).encode())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"schema": 2}, "schema"),
        ({"name": "../up"}, "name"),
        ({"name": "fine\n"}, "name"),
        ({"version": "1"}, "version"),
        ({"status": "approved"}, "status"),
        ({"limits": {"memory_mib": 0, "seconds": 1.0}}, "memory_mib"),
        ({"limits": {"memory_mib": 9, "seconds": float("inf")}}, "seconds"),
        ({"applicability": {"PatientAge": {"absent": "refuse"}}}, "PatientAge"),
        ({"applicability": {"PatientAge": {"absent": "refuse", "min": 3.0, "any_of": ["A"]}}}, "PatientAge"),
        ({"applicability": {"PatientAge": {"absent": "refuse", "min": 3.0, "max": 2.0}}}, "PatientAge"),
        ({"applicability": {"Rows": {"absent": "refuse", "min": float("nan")}}}, "Rows"),
        ({"applicability": {"Modality": {"absent": "perhaps", "any_of": ["DX"]}}}, "absent"),
        ({"selftest": {"tolerance": 1e-4, "cases": []}}, "cases"),
        ({"selftest": {"tolerance": 1e-4, "cases": [{"input": "selftest/none.npy", "expected": [1.0]}]}}, "none.npy"),
        ({"selftest": {"tolerance": 1e-4, "cases": [{"input": "../x.npy", "expected": [1.0]}]}}, "input"),
        ({"members": {**MEMBERS, "../../etc/passwd": {"sha256": "0" * 64, "size": 1}}}, "members"),
        ({"members": {**MEMBERS, "/etc/passwd": {"sha256": "0" * 64, "size": 1}}}, "members"),
        ({"members": {**MEMBERS, ".hidden": {"sha256": "0" * 64, "size": 1}}}, "members"),
        ({"members": {key: value for key, value in MEMBERS.items() if key != "LICENSE"}}, "LICENSE"),
    ],
)
def test_what_is_out_of_range_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(PackageError, match=named):
        parse(text(**changes))


def test_nan_is_no_threshold() -> None:
    manifest = plain_manifest()
    manifest["outputs"][0]["classes"][0]["threshold"] = float("nan")
    with pytest.raises(PackageError, match="threshold"):
        parse(manifest_text({**manifest, "members": MEMBERS}).encode())


def test_two_classes_cannot_share_a_score() -> None:
    manifest = plain_manifest()
    first = manifest["outputs"][0]["classes"][0]
    manifest["outputs"][0]["classes"] = [first, {**first, "name": "other"}]
    with pytest.raises(PackageError, match="same index"):
        parse(manifest_text({**manifest, "members": MEMBERS}).encode())


def test_no_toml_at_all() -> None:
    with pytest.raises(PackageError, match="not valid"):
        parse(b"\xff\xfe not toml [[[")


def test_the_schema_for_editors_is_current() -> None:
    assert schema.PATH.read_text() == schema.text(), "run `python -m edge.packages.schema`"


CODE = {"value": "T-1", "scheme": "99EDGETEST", "meaning": "Brightness"}
OUTPUT = plain_manifest()["outputs"][0]
INPUT = plain_manifest()["inputs"][0]
SEGMENT = {"index": 0, "name": "solid", "code": CODE, "category": CODE, "type": CODE, "threshold": 0.5}
QUANTITY = {"index": 0, "name": "length", "code": CODE, "unit": CODE, "min": 0.0, "max": 1.0}
PLAIN = {"tensor": "output", "activation": "none"}
BOXES = {"format": "xyxy", "units": "pixels"}
VOLUME = {
    "tensor": "input", "shape": [1, 1, 8, 8, 8], "dtype": "float32", "layout": "NCDHW", "axes": "stored",
    "fit": "tile", "low": 0.0, "high": 1.0, "spacing": [1.0, 1.0, 1.0],
}  # fmt: skip
SELECT = {"ViewPosition": {"absent": "refuse", "any_of": ["AP"]}}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"task": "detect"}, "boxes"),
        ({"outputs": [{**OUTPUT, "boxes": BOXES}]}, "boxes go with"),
        ({"task": "segment"}, "segments and nothing else"),
        ({"outputs": [{**OUTPUT, "segments": [SEGMENT]}]}, "classes and nothing else"),
        ({"task": "measure", "outputs": [{**PLAIN, "quantities": [QUANTITY], "activation": "sigmoid"}]}, "activation"),
        ({"task": "measure", "outputs": [{**PLAIN, "quantities": [{**QUANTITY, "min": 2.0}]}]}, "min must be below"),
        ({"inputs": []}, "at least one input"),
        ({"inputs": [INPUT, INPUT]}, "same tensor"),
        ({"inputs": [INPUT, {**INPUT, "tensor": "other"}]}, "select"),
        ({"inputs": [{**INPUT, "frames": "each"}, {**INPUT, "tensor": "other", "select": SELECT}]}, "stands alone"),
        ({"inputs": [{**INPUT, "shape": [2, 8, 8, 1]}]}, "batch of 1"),
        ({"inputs": [{**INPUT, "select": {"ViewPosition": {"absent": "refuse"}}}]}, "select.ViewPosition"),
        ({"volumes": [VOLUME]}, "one volume, or inputs"),
        ({"inputs": [], "volumes": [VOLUME]}, "tile"),
        ({"inputs": [], "volumes": [{**VOLUME, "fit": "squash"}]}, "spacing"),
        ({"inputs": [], "volumes": [{**VOLUME, "fit": "pad-crop", "high": 0.0}]}, "low < high"),
        ({"inputs": [], "volumes": [{**VOLUME, "fit": "pad-crop", "shape": [1, 2, 8, 8, 8]}]}, "1 channel"),
        ({"tables": [{"tensor": "t", "columns": [{"keyword": "KVP", "other": 1.0}]}]}, "other is for texts"),
        ({"tables": [{"tensor": "t", "columns": [{"keyword": "KVP", "codes": {"A": 1.0}, "max": 2.0}]}]},
         "either codes"),
        ({"tables": [{"tensor": "t", "columns": [{"keyword": "KVP"}]}]}, "others for every input"),
        ({"outputs": [{**OUTPUT, "cam": "auto", "heat": "heat"}]}, "either heat or cam"),
        ({"inputs": [{**INPUT, "frames": "each"}], "outputs": [{**OUTPUT, "cam": "occlusion"}]}, "occlusion"),
        ({"selftest": {"tolerance": 1e-4, "cases": [{"input": "selftest/zero.npy"}]}}, "either expected or answer"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(PackageError, match=named):
        parse(text(**changes))
