"""The support bundle of a box that has received somebody: what helps is in it, and nothing that names anybody."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import support
from acceptance.objects import Markers, chest_dx, mark_identity, save
from support import wait_until

from edge.config import load
from edge.operate.scrub import Scrubber

TOML = """
[box]
root = "root"
[receive]
port = 0
ae_title = "INVENTEDHOUSE"
[[receive.peers]]
alias = "ct1"
ae_title = "DR INVENTED CT"
hosts = ["127.0.0.1", "10.77.1.2"]
[storage]
reserve_gib = 0.1
refuse_at_percent = 100
[[routes]]
name = "chest"
package = "cxr-pneumonia"
when = {{ Modality = ["DX"], StationName = ["INVENTEDSTATION"] }}
deliver = ["archive"]
[destinations.archive]
kind = "deidentified"
ae_title = "INVENTEDSTORE"
host = "127.0.0.1"
port = {port}
"""
DAY = "19991231"
MakeBox = Callable[..., support.Box]


def members(path: Path) -> dict[str, str]:
    with tarfile.open(path) as tar:
        return {each.name.removeprefix("edge-support/"): tar.extractfile(each).read().decode() for each in tar}


def test_it_helps_and_names_nobody(box: MakeBox, storescp: support.Storescp, tmp_path: Path) -> None:
    made = box(text=TOML.format(port=storescp.port)).start()
    markers = Markers("QZ")
    study = f"1.2.826.0.1.77.{DAY}.4"
    image = mark_identity(chest_dx(np.full((64, 64), 90, np.uint8)), markers)
    image.StudyInstanceUID, image.StationName = study, "INVENTEDSTATION"
    command = [support.tool("storescu"), "-aet", "DR INVENTED CT", "-aec", "INVENTEDHOUSE", "127.0.0.1", str(made.port)]
    support.subprocess.run([*command, str(save(image, tmp_path / "one.dcm"))], check=True, timeout=60)
    wait_until(lambda: made.json("jobs", "list", "--state", "DONE"), 60, "the end of the job")
    with made.log.open("a") as log:
        log.write(f"2026-01-31T12:00:00 INFO infer: job 1 of study {study} at 10.77.1.2 from DR INVENTED CT\n")
        log.write("2026-01-31T12:00:00+0000 systemd[1]: edge-infer.service: Main process exited, code=killed\n")
        log.write(f"a decoder's own words about {markers.needles[0].decode('latin-1')}\n")

    out = tmp_path / "bundle.tar.gz"
    ended = support.run_edge("support-bundle", out, "--logs", made.log, "--config", made.file)
    assert ended.returncode == 0, ended.stderr
    found = members(out)
    everything = "\n".join(found.values())
    tokens = [each.decode("latin-1") for each in markers.needles]
    for secret in ("INVENTED", DAY, "10.77.1", str(tmp_path), *tokens):
        assert secret not in everything, secret
    assert [*found][:2] == ["README.txt", "versions.json"]
    assert json.loads(found["config.json"])["routes"][0]["when"]["StationName"] == ["(15 characters)"]
    assert json.loads(found["config.json"])["receive"]["peers"][0]["alias"] == "ct1"
    assert json.loads(found["journal.json"])["counts"]["instance"]["ROUTED"] == 1
    assert {"name", "ok", "detail", "try"} <= json.loads(found["doctor.json"])[0].keys()
    assert json.loads(found["versions.json"])["packages"]["numpy"] == np.__version__
    assert "code=killed" in found["log.txt"]
    assert re.search(r"of study uid-[0-9a-f]{12} at <address> from <ct1>\n", found["log.txt"])
    assert "1 lines of another shape left out" in found["log.txt"]
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_box_that_was_never_made_has_a_bundle_too(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text('[box]\nroot = "root"\n')
    ended = support.run_edge("support-bundle", tmp_path / "b.tar.gz", "--config", tmp_path / "edge.toml")
    assert ended.returncode == 0, ended.stderr
    assert "missing" in json.loads(members(tmp_path / "b.tar.gz")["status.json"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2"),
        ("onnxruntime 1.31.1 on 127.0.0.1", "onnxruntime 1.31.1 on 127.0.0.1"),
        ("10.1.2.3:104", "<address>:104"),
        ("fd00::17", "<address>"),
        ("12:30:59", "12:30:59"),
        ("DR INVENTED CT's", "<ct1>'s"),
    ],
)
def test_what_is_replaced_in_a_text(tmp_path: Path, text: str, shown: str) -> None:
    (tmp_path / "edge.toml").write_text(TOML.format(port=1))
    assert Scrubber(load(tmp_path / "edge.toml"), b"secret").text(text) == shown


def test_a_uid_is_the_same_sign_in_one_bundle_and_another_in_the_next(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(TOML.format(port=1))
    one, two = (Scrubber(load(tmp_path / "edge.toml"), secret) for secret in (b"one", b"two"))
    assert one.text("spool/2.25.7001.dcm") == one.text("spool/2.25.7001.dcm") != two.text("spool/2.25.7001.dcm")
    assert "7001" not in one.text("x2.25.7001.dcm")
