"""A day in operations, with three real rooms and dcmtk at both ends: pause, push, resume, find, erase, verify."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import support
from acceptance.objects import chest_dx, save
from support import wait_until

MakeBox = Callable[..., support.Box]
ACCESSION = "INVENTEDACC99"


def test_a_maintenance_window_and_an_erasure(box: MakeBox, storescp: support.Storescp, tmp_path: Path) -> None:
    made = box(storescp.port).start()
    assert made.json("pause", "--reason", "update") == {"paused": True, "changed": True}
    assert made.json("pause") == {"paused": True, "changed": False}
    image = chest_dx(np.full((256, 256), 90, np.uint8), AccessionNumber=ACCESSION)
    pushed = made.push(save(image, tmp_path / "one.dcm"))
    assert pushed.returncode == 0, pushed.stderr
    wait_until(lambda: made.json("jobs", "list", "--state", "READY"), what="the job that waits")

    made.stop()
    again = support.Box(made.file.parent, made.file.read_text()).start()
    try:
        screen = support.run_edge("status", "--config", again.file).stdout
        assert "PAUSED" in screen.split("\n\n")[1].splitlines()[0]
        assert [job["state"] for job in again.json("jobs", "list")] == ["READY"]
        assert storescp.files() == []
        assert again.json("resume") == {"paused": False, "changed": True}
        wait_until(storescp.files, 60, "the report")
        wait_until(lambda: again.json("deliveries", "list", "--state", "SENT"), what="SENT")

        asked = support.run_edge("find", "--accession", "-", "--json", "--config", again.file, input=f"{ACCESSION}\n")
        (study,) = json.loads(asked.stdout)["studies"]
        assert (study["study_instance_uid"], study["deliveries"]) == (str(image.StudyInstanceUID), {"SENT": 1})
        erased = again.json("erase", study["study_instance_uid"], "--reason", "request")
        assert (erased["objects"], erased["slots"]) == (1, 1)
        assert [path.name for path in again.settings.spool.iterdir()] == ["slots"]
        assert list(again.settings.outbox.iterdir()) == []
        assert again.json("audit", "verify")["ok"]
    finally:
        again.stop()
    done = again.json("audit", "verify")
    assert done["problems"] == []
    assert done["events"] - done["signed"] <= 2  # the other rooms may say that they stopped after infer has signed
    assert ACCESSION not in again.log.read_text()
