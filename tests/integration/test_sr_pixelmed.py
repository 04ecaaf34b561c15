"""PixelMed's DicomSRValidator knows the templates row by row: it recognises TID 1500 and finds nothing new.

Mark `pixelmed`: half a minute a report (`apt-get install libpixelmed-java`). Its tables are of 2022.
"""

from __future__ import annotations

import re
import subprocess
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import support
from golden import object_cases, sr_cases
from golden.object_cases import FORMS

from edge.report.sr import build_sr

pytestmark = [pytest.mark.pixelmed, pytest.mark.timeout(300)]
JARS = Path("/usr/share/java")
NEEDED = ("pixelmed", "commons-codec", "commons-net", "vecmath", "slf4j-api")
UNLIMITED = ("xpathExprOpLimit", "xpathTotalOpLimit", "xpathExprGrpLimit")  # JDK 17 stops at 10,000 XPath operators
CASES = {
    "detected": (sr_cases.DETECTED, "3d"),
    "failed": (sr_cases.FAILED, "3d"),
    "refused": (sr_cases.CASES["refused-cleared-none-first"], "3d"),
    "partial": (sr_cases.CASES["partial-investigational-region-revised"], "3d"),
    "segmented": (object_cases.CASES["segmented"], "3d"),
    "segmented-old": (object_cases.CASES["segmented"], "old"),
    "measured": (object_cases.CASES["measured"], "3d"),
    "several-regions": (object_cases.CASES["several-regions"], "old"),
    "urgent": (object_cases.CASES["urgent"], "3d"),
}
GROUP = re.compile(r"Template (\d+) .* within 1\.(\d+)\.(\d+): .*: Missing conditional content item")
NEWER_THAN_THE_TOOL = ('43468-8,LN,"XR unspecified body region"',)  # of CID 100 since


def validated(path: Path) -> list[str]:
    if not (JARS / "pixelmed.jar").exists():
        pytest.skip("libpixelmed-java is not installed")
    jars = ":".join(str(JARS / f"{name}.jar") for name in NEEDED)
    options = [f"-Djdk.xml.{name}=0" for name in UNLIMITED]
    command = [support.tool("java"), *options, "-cp", jars, "com.pixelmed.validate.DicomSRValidator", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    return (done.stdout + done.stderr).splitlines()


def is_known(line: str, report: pydicom.Dataset) -> bool:
    """Groups of TID 1501, 1410 and 1411 have one concept name: the tool tries each with the others' conditions."""
    found = GROUP.search(line)
    if found is None:
        return any(code in line for code in NEWER_THAN_THE_TOOL)
    template, at, number = found.groups()
    group = report.ContentSequence[int(at) - 1].ContentSequence[int(number) - 1]
    return group.ContentTemplateSequence[0].TemplateIdentifier not in ("", template)


@pytest.mark.parametrize("name", CASES)
def test_pixelmed_recognises_the_template_and_finds_no_error(name: str, tmp_path: Path) -> None:
    case, form = CASES[name]
    blob = build_sr(case, box=sr_cases.BOX, form=FORMS[form])
    path = tmp_path / "report.dcm"
    path.write_bytes(blob)
    said = validated(path)

    assert any("Found Root Template TID_1500" in line for line in said)
    assert any("Root Template Validation Complete" in line for line in said)
    errors = [line for line in said if "Error" in line]
    assert [line for line in errors if not is_known(line, pydicom.dcmread(BytesIO(blob)))] == []


def test_pixelmed_would_find_an_error(tmp_path: Path) -> None:
    report = pydicom.dcmread(BytesIO(build_sr(sr_cases.DETECTED, box=sr_cases.BOX)))
    for item in report.iterall():
        if item.keyword == "ContentSequence":
            for child in item.value:
                if child.ConceptNameCodeSequence[0].CodeValue == "130400":
                    child.RelationshipType = "HAS CONCEPT MOD"
    report.save_as(tmp_path / "report.dcm")
    errors = [line for line in validated(tmp_path / "report.dcm") if "Error" in line]
    assert [line for line in errors if not is_known(line, report)] != []
