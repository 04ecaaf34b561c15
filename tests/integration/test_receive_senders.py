"""Real senders and all they may propose: dcmtk's storescu and dcmsend, Orthanc, pynetdicom; queries are refused."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from acceptance.objects import chest_dx
from pydicom.dataset import Dataset
from pynetdicom import AE
from receiver import EXPLICIT, IMPLICIT, Receiver
from support import Orthanc, tool, wait_until

from edge.part10 import split

DEFLATED = "1.2.840.10008.1.2.1.99"
UNCOMPRESSED = ("-x=", "-xe", "-xb", "-xi")
FALL_BACK = ("-xs", "-xy", "-xx", "-xv", "-xw", "-xt", "-xu", "-xr", "-xd")
VIDEO = ("-xm", "-xh", "-xn", "-xl", "-x2", "-x3", "-xo", "-x4", "-x5")
HOW = {
    "combined": ("+C",), "required only": ("-R",), "required and combined": ("-R", "+C"), "no new VRs": ("-u",),
    "smallest PDU": ("-pdu", "4096"), "largest PDU": ("-pdu", "131072"), "smallest sent": ("--max-send-pdu", "4096"),
    "user identity": ("-usr", "INVENTED", "-pwd", "INVENTED"), "twice": ("--repeat", "2"), "abort": ("--abort",),
    "invented UIDs": ("+II",), "go on": ("-nh",),
}  # fmt: skip
SEND = {
    "many": ("+ma",), "one": ("-ma",), "smallest PDU": ("-pdu", "4096"), "smallest sent": ("--max-send-pdu", "4096"),
    "never decompress": ("-dn",), "decompress lossless": ("+dls",), "decompress lossy": ("+dly",),
}  # fmt: skip


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    made = Receiver(tmp_path_factory.mktemp("senders"), reserve=0.01).start()
    yield made
    made.stop()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A file of an object that nobody has sent yet."""
    path = tmp_path / "image.dcm"
    dataset(np.random.default_rng().integers(0, 255, (64, 64), np.uint8)).save_as(path, enforce_file_format=True)
    return path


def dataset(pixels: np.ndarray) -> Dataset:
    made = chest_dx(pixels)
    made.file_meta.TransferSyntaxUID = EXPLICIT
    return made


def send(program: str, receiver: Receiver, *words: str | Path, before: tuple[str, ...] = ()) -> tuple[int, str]:
    """Exit code and all that was said."""
    titles = ("-aet", "TEST", "-aec", "EDGE", *before)
    command = [tool(program), *titles, "127.0.0.1", str(receiver.port), *map(str, words)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


def stored(receiver: Receiver, image: Path) -> dict[str, object] | None:
    """The row of the image's object."""
    uid = split(image.read_bytes()).sop_instance_uid
    return next((row for row in receiver.rows() if row["sop_instance_uid"] == uid), None)


@pytest.mark.parametrize("option", [*UNCOMPRESSED, *FALL_BACK])
def test_storescu_proposes_what_it_likes_and_the_object_comes(receiver: Receiver, image: Path, option: str) -> None:
    code, said = send("storescu", receiver, image, before=(option,))
    assert code == 0, said
    assert stored(receiver, image)["transfer_syntax_uid"] in (EXPLICIT, IMPLICIT, "1.2.840.10008.1.2.2")


@pytest.mark.parametrize("option", VIDEO)
def test_storescu_proposes_video_and_is_accepted(receiver: Receiver, image: Path, option: str) -> None:
    """It has nothing to send in it; the contexts are open."""
    _, said = send("storescu", receiver, image, before=("-d", option))
    assert "(Accepted)" in said
    assert "Not Supported)" not in said
    assert stored(receiver, image) is None


def test_storescu_proposes_deflated_and_hears_no(receiver: Receiver, image: Path) -> None:
    _, said = send("storescu", receiver, image, before=("-d", "-xd", "-R"))
    assert "(Transfer Syntaxes Not Supported)" in said
    assert stored(receiver, image)["transfer_syntax_uid"] != DEFLATED


@pytest.mark.parametrize("how", HOW)
def test_storescu_by_every_way_of_sending(receiver: Receiver, image: Path, how: str) -> None:
    before = len(receiver.rows())
    code, said = send("storescu", receiver, image, before=HOW[how])
    assert code == 0, said
    wait_until(lambda: len(receiver.rows()) == before + 1, what="one new object")
    if how != "invented UIDs":
        row = stored(receiver, image)
        assert receiver.data_set(row["object_id"])[-1000:] == split(image.read_bytes()).data_set[-1000:]


@pytest.mark.parametrize("how", SEND)
def test_dcmsend_by_every_way_of_sending(receiver: Receiver, image: Path, how: str) -> None:
    code, said = send("dcmsend", receiver, image, before=SEND[how])
    assert code == 0, said
    assert stored(receiver, image) is not None


def test_orthanc_sends_a_study(receiver: Receiver, tmp_path: Path) -> None:
    peer = {"AET": "EDGE", "Host": "127.0.0.1", "Port": receiver.port}
    server = Orthanc(tmp_path, DicomModalities={"edge": peer}, DicomAet="TEST")
    try:
        images = [dataset(np.full((32, 32), level, np.uint8)) for level in range(5)]
        for number, each in enumerate(images):
            path = tmp_path / f"{number}.dcm"
            each.StudyInstanceUID = images[0].StudyInstanceUID
            each.save_as(path, enforce_file_format=True)
            post(server, "/instances", path.read_bytes())
        (study,) = server.get("/studies")
        post(server, "/modalities/edge/store", study.encode())
    finally:
        server.stop()
    sent = {str(each.SOPInstanceUID) for each in images}
    assert sent <= {row["sop_instance_uid"] for row in receiver.rows()}


def post(server: Orthanc, path: str, body: bytes) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{server.http_port}{path}", data=body)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def test_pynetdicom_sends_by_many_contexts(receiver: Receiver) -> None:
    image = dataset(np.full((32, 32), 7, np.uint8))
    ae = AE("TEST")
    for syntaxes in ([EXPLICIT], [IMPLICIT], [EXPLICIT, IMPLICIT, DEFLATED]):
        ae.add_requested_context(image.SOPClassUID, syntaxes)
    association = ae.associate("127.0.0.1", receiver.port, ae_title="EDGE")
    assert len(association.accepted_contexts) > 0
    assert association.send_c_store(image).Status == 0
    association.release()
    assert str(image.SOPInstanceUID) in {row["sop_instance_uid"] for row in receiver.rows()}


@pytest.mark.parametrize(
    "words", [("findscu", "-P"), ("findscu", "-S"), ("findscu", "-W"), ("movescu", "-P"), ("movescu", "-S")]
)
def test_queries_and_moves_are_refused_politely(receiver: Receiver, words: tuple[str, str]) -> None:
    """No context is accepted, nothing is aborted, and the next peer is served."""
    code, said = send(
        words[0], receiver, before=(words[1], "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2")
    )
    assert code != 0
    assert "No Acceptable Presentation Contexts" in said
    assert send("echoscu", receiver)[0] == 0
