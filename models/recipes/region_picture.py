"""Draws edge/docs/pictures/region.png: an X-ray as a viewer shows it with our objects, and the report beside it.

    python models/recipes/region_picture.py        (needs pillow)

The X-ray is the phantom of `edge demo`, a child who does not exist, with a soft opacity drawn into one lung. It goes
the whole way: DX object, C-STORE, box, worker, report, gate, archive. What is drawn on it is what the archive's copy
of the presentation state says, word for word and line for line, and its outline is the one of the report.
It shows how a region looks in a report, and proves nothing about the network: the place was chosen far from the
phantom's heart, which the network takes for ill too.
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmread

from edge import part10
from edge.demo import house, inputs, phantom, wrap
from edge.demo.archive import Archive
from edge.demo.run import demonstrate
from edge.report.reader import ReportView

TARGET = Path(__file__).resolve().parents[2] / "edge" / "docs" / "pictures" / "region.png"
PACKAGE = "cxr-pneumonia-native"
CENTRE, RADIUS = (0.50, 0.22), 0.12
"""Where the opacity is drawn: (row, column) and radius, in shares of the frame."""

_INK, _DIM, _PAPER, _OUTLINE = (232, 236, 240), (150, 158, 168), (18, 22, 28), (255, 200, 60)
_SHOWN_ROWS, _TEXT_COLUMNS = 760, 660
_TEXT_SHARE = 0.024
"""Height of a letter on the image, in shares of its rows: what fits into the boxes of the presentation state."""


def main() -> int:
    frame = opacity(phantom.chest())
    view, state = objects(frame)
    (finding,) = view.findings
    outline = np.ravel(finding.regions[0].points)
    if not np.allclose(outline, state.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData):
        raise SystemExit("report and presentation state do not point at the same place")
    TARGET.parent.mkdir(exist_ok=True)
    sheet(as_a_viewer_shows(frame, state), view).save(TARGET, optimize=True)
    return 0


def opacity(frame: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]]
    distance = np.hypot(y / frame.shape[0] - CENTRE[0], x / frame.shape[1] - CENTRE[1]) / RADIUS
    share = 0.9 / (1 + np.exp(9 * (distance - 0.8)))
    return np.rint(frame + share * np.maximum(0, 2900.0 - frame)).astype(np.uint16)


def objects(frame: np.ndarray) -> tuple[ReportView, Dataset]:
    """What a PACS would receive about `frame`: the report and the presentation state."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Archive(Path(folder) / "reports")) as archive,
        house.starting(Path(folder), archive.port, package=PACKAGE) as starting,
    ):
        parts = part10.split(wrap.as_dx(frame, bits_stored=phantom.BITS_STORED))
        picture = inputs.Picture("phantom", parts, wrapped=True)
        (answer,) = demonstrate(starting.ready(), archive, [picture], lambda _text: None)
        found = [dcmread(path) for path in (Path(folder) / "reports").iterdir() if path.is_file()]
    states = [dataset for dataset in found if dataset.Modality == "PR"]
    if answer.view is None or len(states) != 1:
        raise SystemExit(f"no report with a region: {answer.outcome} {answer.reason}")
    return answer.view, states[0]


def as_a_viewer_shows(frame: np.ndarray, state: Dataset) -> Image.Image:
    """The frame in the gray scale of the presentation state, with its lines and words."""
    scale = _SHOWN_ROWS / frame.shape[0]
    picture = Image.fromarray(gray(frame, state)).convert("RGB")
    picture = picture.resize((round(frame.shape[1] * scale), _SHOWN_ROWS), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    letters = ImageFont.truetype("DejaVuSans-Bold.ttf", round(_SHOWN_ROWS * _TEXT_SHARE))
    for item in state.GraphicAnnotationSequence:
        for graphic in item.GraphicObjectSequence:
            points = np.reshape(graphic.GraphicData, (-1, 2)) * scale
            pen.line([tuple(point) for point in points], fill=_OUTLINE, width=3, joint="curve")
        for words in item.TextObjectSequence:
            column, row = words.BoundingBoxTopLeftHandCorner
            on_display = words.BoundingBoxAnnotationUnits == "DISPLAY"
            at = (column * picture.width, row * picture.height) if on_display else (column * scale, row * scale)
            pen.text(at, words.UnformattedTextValue, _OUTLINE, letters, stroke_width=2, stroke_fill=(0, 0, 0))
    return picture


def gray(frame: np.ndarray, state: Dataset) -> np.ndarray:
    """0..255 by the state's window (PS3.3 C.11.2.1.2), or all that the stored bits hold."""
    low, high = 0.0, float((1 << phantom.BITS_STORED) - 1)
    if "SoftcopyVOILUTSequence" in state:
        window = state.SoftcopyVOILUTSequence[0]
        low = window.WindowCenter - 0.5 - (window.WindowWidth - 1) / 2
        high = low + window.WindowWidth - 1
    shown = np.clip((frame - low) / (high - low), 0, 1)
    return np.rint(255 * (1 - shown if state.PresentationLUTShape == "INVERSE" else shown)).astype(np.uint8)


def sheet(picture: Image.Image, view: ReportView) -> Image.Image:
    """The picture on the left, the report on the right: what matters first, and largest."""
    made = Image.new("RGB", (picture.width + _TEXT_COLUMNS, _SHOWN_ROWS), _PAPER)
    made.paste(picture, (0, 0))
    pen = ImageDraw.Draw(made)
    left, top = picture.width + 32, 30
    for kind, size, colour, width, text in lines(view):
        letters = ImageFont.truetype(f"DejaVuSans{kind}.ttf", size)
        for line in textwrap.wrap(text, width, break_on_hyphens=False) or [""]:
            pen.text((left, top), line, colour, letters)
            top += round(size * 1.45)
        top += round(size * 0.6)
    return made


def lines(view: ReportView) -> list[tuple[str, int, tuple[int, int, int], int, str]]:
    """(face, size, colour, letters in a line, text) of each paragraph."""
    package = view.package
    found = [
        ("-Bold", 30, _OUTLINE, 34, f"{finding.code.meaning}: {'detected' if finding.present else 'not detected'}")
        for finding in view.findings
    ]
    return [
        ("", 14, _DIM, 74, "The report in the PACS (DICOM SR)"),
        *found,
        ("", 19, _INK, 56, view.sentence),
        ("", 14, _DIM, 74, f"Model: {package.name} {package.version} by {package.vendor}, {package.status}"),
        ("", 14, _DIM, 74, f"Purpose: {view.purpose}"),
        ("", 14, _DIM, 74, f"Population: {view.population}"),
        ("", 14, _DIM, 74, f"State: {', '.join(view.flags).lower()}; {len(view.sources)} image"),
        ("", 14, _DIM, 74, f"Series: {view.series_description}"),
        ("", 14, _INK, 74, "Yellow: lines and words of the presentation state (GSPS); the outlines are the "
         "report's own regions. A generated phantom with a planted opacity, no patient."),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
