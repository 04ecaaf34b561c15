"""A candidate looks and says nothing; the site measures it on its own studies, or every report says that it did not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from model_site import Site, site
from support import wait_until

from edge.journal import shadows, traces, views
from edge.packages.commissioning import share

__all__ = ["site"]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def looked(here: Site, digest: str, count: int) -> None:
    wait_until(lambda: len(shadows.pairs(here.box.journal, digest)) == count, 60, "what the shadow says")


def reports(here: Site) -> list[str]:
    """The plain sentences of all reports that were made, oldest first."""
    made = sorted(here.box.settings.outbox.glob("*.dcm"), key=lambda path: path.stat().st_mtime_ns)
    return [json.dumps(pydicom.dcmread(path).to_json_dict()) for path in made]


def test_a_shadow_says_nothing_and_is_compared(site: Callable[..., Site]) -> None:
    here = site()
    here.works("1.0.0", 0.0)
    candidate = here.models("install", here.vendor.archive("2.0.0", 2.0))["package"]["digest"]
    here.box.start()
    assert here.models("shadow", "brightness-2.0.0")["package"]["state"] == "SHADOW"
    jobs = [here.job() for _ in range(3)]
    looked(here, candidate, 3)
    told = here.models("compare", "brightness")
    assert (told["looked"], told["compared"], told["waiting"]) == (3, 3, 0)
    (finding,) = told["findings"]
    assert (finding["both"], finding["neither"], finding["only_active"], finding["only_shadow"]) == (0, 0, 0, 3)
    assert told["disagreements"] == [each.id for each in jobs]
    assert finding["mean_difference"] == pytest.approx(1 / (1 + np.exp(-2)) - 0.5, abs=1e-4)
    assert len(list(here.box.settings.outbox.glob("*.dcm"))) == 3
    assert all("2.0.0" not in each for each in reports(here))
    here.models("shadow", "brightness", "--off")
    here.job()
    assert here.states() == {"1.0.0": "ACTIVE", "2.0.0": "INSTALLED"}
    assert len(shadows.pairs(here.box.journal, candidate)) == 3


def test_a_shadow_must_have_looked_for_long_enough(site: Callable[..., Site]) -> None:
    here = site(more="promotion_min_shadow = 2\npromotion_max_disagreement = 0.25")
    here.works("1.0.0", 0.0)
    digest = here.models("install", here.vendor.archive("2.0.0", 2.0))["package"]["digest"]
    here.box.start()
    here.models("shadow", "brightness-2.0.0")
    assert "as a shadow it looked at 0 of 2 jobs" in here.models("activate", "brightness-2.0.0", code=1)
    for _ in range(2):
        here.job()
    looked(here, digest, 2)
    assert "as a shadow it disagreed on 2 of 2 jobs" in here.models("activate", "brightness-2.0.0", code=1)
    here.models("activate", "brightness-2.0.0", "--reason", "evaluation")


def test_a_package_is_accepted_on_the_sites_own_studies(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site()
    here.works("1.0.0", 0.0)
    digest = here.models("install", here.vendor.archive("2.0.0", 2.0))["package"]["digest"]
    here.box.start()
    here.models("shadow", "brightness-2.0.0")
    jobs = [here.job() for _ in range(4)]
    assert "The model was not accepted on studies of this site before use. It is under evaluation." in reports(here)[0]
    looked(here, digest, 4)
    truth = tmp_path / "truth.csv"
    lines = [f"{job.unit},bright,{label}" for job, label in zip(jobs, ("1", "yes", "negative", "0"), strict=True)]
    truth.write_text("UID,finding,label\n" + "\n".join([*lines, "1.2.3,T-1,1"]))
    record = here.models("accept", "brightness-2.0.0", "--truth", truth, "--by", "INVENTED Person")
    (found,) = record["findings"]
    assert (found["positives"], found["negatives"], found["missing"]) == (2, 2, 1)
    assert found["sensitivity"] == {
        "count": 2,
        "of": 2,
        "value": 1.0,
        "low": pytest.approx(0.3424, abs=1e-4),
        "high": 1.0,
    }
    assert found["specificity"]["value"] == 0.0  # it flags every image
    here.models("activate", "brightness-2.0.0")  # no reason is asked for
    here.job()
    assert "not accepted" not in reports(here)[-1]
    kept = list((here.box.settings.root / "models" / "records").glob("*.json"))
    assert [json.loads(path.read_text())["by"] for path in kept] == ["INVENTED Person"]
    assert b"INVENTED Person" not in b"".join(path.read_bytes() for path in _leaves(here))


def _leaves(here: Site) -> list[Path]:
    """Everything that may leave, or be read by a room that can speak to others."""
    root = here.box.settings.root
    return [root / "journal.db", root / "journal.db-wal", *(root / "outbox").iterdir(), *(root / "run").glob("*.*prom")]


def test_a_truth_file_is_read_strictly(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site()
    here.works("1.0.0")
    truth = tmp_path / "truth.csv"
    for text, said in {
        "UID,label\n1.2,1\n": "lacks a column",
        "UID,finding,label\n": "no lines",
        "UID,finding,label\nDOE^JANE,bright,1\n": "this is not a UID [line 2]",
        "UID,finding,label\n1.2,gout,1\n": "no such finding [line 2]",
        "UID,finding,label\n1.2,bright,maybe\n": "no label [line 2]",
    }.items():
        truth.write_text(text)
        told = here.models("accept", "brightness", "--truth", truth, "--by", "INVENTED Person", code=2)
        assert said in told
        assert "DOE" not in told
    truth.write_text("UID,finding,label\n1.2,bright,1\n")
    told = here.models("accept", "brightness", "--truth", truth, "--by", "INVENTED Person", code=1)
    assert "no result of this package" in told


def test_a_canary_works_on_its_share_of_units(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site(route='canary = { version = "2.0.0", percent = 50 }')
    here.works("1.0.0", 0.0)
    digest = here.models("install", here.vendor.archive("2.0.0", 2.0))["package"]["digest"]
    here.box.start()
    here.models("shadow", "brightness-2.0.0")
    first = here.job()
    looked(here, digest, 1)
    assert version(here, first) == "1.0.0"  # nobody accepted the canary yet
    truth = tmp_path / "truth.csv"
    truth.write_text(f"UID,finding,label\n{first.unit},bright,1\n")
    here.models("accept", "brightness-2.0.0", "--truth", truth, "--by", "INVENTED Person")
    jobs = [here.job() for _ in range(16)]
    seen = [version(here, each) for each in jobs]
    assert set(seen) == {"1.0.0", "2.0.0"}
    places = [int.from_bytes(hashlib.sha256(each.unit.encode()).digest()[:4], "big") % 100 for each in jobs]
    assert seen == ["2.0.0" if place < 50 else "1.0.0" for place in places]


def version(here: Site, job: views.JobView) -> str:
    told = traces.of_job(here.box.journal, job.id)
    assert told is not None
    return str(told["package"]["version"])


def test_wilson_intervals_are_those_of_the_books() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for count, of, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
                                 (1, 29, 0.0061, 0.1718)):  # fmt: skip
        found = share(count, of)
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert share(0, 0).of == 0
