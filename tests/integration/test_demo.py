"""`edge demo` as a newcomer runs it: the whole appliance, real rooms, real associations."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import support

from edge import opencv, part10
from edge.demo import inputs, phantom, wrap
from edge.demo.archive import Archive
from edge.scu import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION, Peer, Scu


def demo(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """`edge demo WORDS` in `folder`."""
    command = [sys.executable, "-m", "edge", "demo", *map(str, words)]
    environment = support.os.environ | {
        "PYTHONPATH": f"{support.REPOSITORY}:{support.os.environ.get('PYTHONPATH', '')}",
    }
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=90, cwd=folder, env=environment)


def test_without_a_file_it_pushes_the_phantom_and_prints_its_report(tmp_path: Path) -> None:
    ended = demo(tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "NOT FOR CLINICAL USE" in ended.stdout
    assert "Looked for Pneumonia" in ended.stdout
    (report,) = (tmp_path / "edge-demo" / "reports").iterdir()
    assert str(report) in ended.stdout
    assert pydicom.dcmread(report).PatientName == ""
    assert [path.name for path in (tmp_path / "edge-demo").iterdir()] == ["reports"]
    assert ended.stderr == ""


def test_every_file_gets_its_answer(tmp_path: Path, data: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(opencv.encode_png((phantom.chest(700, 600) >> 4).astype(np.uint8)))
    adult = tmp_path / "adult.dcm"
    adult.write_bytes(wrap.as_dx(phantom.chest(700, 600), bits_stored=12, age="044Y"))
    compressed = data / "dicom/files/fo-dicom__CT1_J2KI__ee5cb9.dcm"
    report = data / "dicom/sr_samples/dwv__tid1500-0_sr-roi.dcm"
    ended = demo(tmp_path, picture, adult, compressed, report, "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    outcomes = [(Path(each["file"]).name, each["outcome"], each["reason"]) for each in document["results"]]
    assert outcomes == [
        ("picture.png", "succeeded", ""),
        ("adult.dcm", "not-attempted", "not-applicable:PatientAge"),
        (compressed.name, "not-attempted", "not-applicable:SOPClassUID"),
        (report.name, "unrouted", "loop-guard"),
    ]
    (finding,) = document["findings"]
    assert finding["code"] == {"value": "233604007", "scheme": "SCT", "meaning": "Pneumonia"}
    assert isinstance(finding["present"], bool)
    assert 0 <= finding["score"] <= 1
    assert finding["region"] is None
    assert document["sop_instance_uid"] == pydicom.dcmread(document["report"]).SOPInstanceUID
    assert 0 < document["results"][0]["elapsed_ms"] < document["elapsed_ms"]
    assert [bool(each["report"]) for each in document["results"]] == [True, True, True, False]


def test_a_file_that_is_no_image_is_named_and_fails(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not an image")
    ended = demo(tmp_path, text)
    assert ended.returncode == 1
    assert "unreadable" in ended.stdout
    assert "not-an-image" in ended.stdout


def test_a_missing_file_is_wrong_use(tmp_path: Path) -> None:
    ended = demo(tmp_path, "missing.dcm")
    assert ended.returncode == 2
    assert "try:" in ended.stderr
    assert not (tmp_path / "edge-demo").exists()


def test_the_phantom_is_a_valid_dx_object(tmp_path: Path) -> None:
    file = tmp_path / "phantom.dcm"
    file.write_bytes(wrap.as_dx(phantom.chest(), bits_stored=phantom.BITS_STORED))
    checked = subprocess.run([support.tool("dciodvfy"), str(file)], check=False, capture_output=True, text=True)
    assert "Error" not in checked.stderr + checked.stdout
    assert pydicom.dcmread(file).pixel_array.shape == (1400, 1200)


def test_the_phantom_is_the_same_every_time_and_looks_like_a_chest() -> None:
    image = phantom.chest(700, 600)
    assert np.array_equal(image, phantom.chest(700, 600))
    lung, spine = image[300:340, 130:170].mean(), image[400:440, 290:310].mean()
    assert lung < 0.4 * spine


@pytest.mark.parametrize(("bits", "kind"), [(8, np.uint8), (16, np.uint16)])
def test_a_picture_keeps_its_pixels(tmp_path: Path, bits: int, kind: type[np.generic]) -> None:
    gray = np.arange(256 * 300, dtype=np.uint32).reshape(256, 300).astype(kind)
    data_set = pydicom.dcmread(BytesIO(wrap.as_dx(gray, bits_stored=bits)))
    assert np.array_equal(data_set.pixel_array, gray)
    picture = tmp_path / "picture.png"
    if kind is np.uint8:
        picture.write_bytes(opencv.encode_png(gray))
        read = inputs.read(picture)
        assert read.parts is not None
        assert read.wrapped


def test_dcmtk_can_store_into_the_stand_in_archive(tmp_path: Path) -> None:
    file = tmp_path / "phantom.dcm"
    file.write_bytes(wrap.as_dx(phantom.chest(256, 256), bits_stored=12))
    archive = Archive(tmp_path / "archive")
    try:
        target = ["-aec", "ARCHIVE", "127.0.0.1", str(archive.port)]
        subprocess.run([support.tool("echoscu"), *target], check=True, timeout=20)
        subprocess.run([support.tool("storescu"), "-xe", *target, str(file)], check=True, timeout=20)
        uid = pydicom.dcmread(file).SOPInstanceUID
        assert archive.wait(lambda arrived: uid in arrived, 10)
        assert part10.split(archive.path(uid).read_bytes()).data_set == part10.split(file.read_bytes()).data_set
    finally:
        archive.close()


def test_our_sender_is_heard_by_a_real_archive(storescp: support.Storescp) -> None:
    peer = Peer("127.0.0.1", storescp.port, "ARCHIVE", "TEST")
    parts = part10.split(wrap.as_dx(phantom.chest(512, 512), bits_stored=12))
    pair = (parts.sop_class_uid, parts.transfer_syntax_uid)
    with Scu(peer, [pair, (VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN), ("1.2.3.4", "1.2.840.10008.1.2")]) as scu:
        assert scu.echo() == 0
        assert scu.store(parts.sop_class_uid, parts.sop_instance_uid, parts.transfer_syntax_uid, parts.data_set) == 0
    (stored,) = support.wait_until(storescp.files)
    assert part10.split(stored.read_bytes()).data_set == parts.data_set
