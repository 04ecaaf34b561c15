"""Draws edge/docs/pictures/region.png: an X-ray, the outline as the report states it, and the report beside it.

    python models/recipes/region_picture.py        (needs pillow)

The X-ray is the phantom of `edge demo`, a child who does not exist, with a soft opacity drawn into one lung. It goes
the whole way: DX object, C-STORE, box, worker, report, gate, archive. The outline is read from the archive's copy.
It shows how a region looks in a report, and proves nothing about the network: the place was chosen far from the
phantom's heart, which the network takes for ill too.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge import part10
from edge.demo import house, inputs, phantom, wrap
from edge.demo.archive import Archive
from edge.demo.run import demonstrate
from edge.report.reader import ReportView
from edge.report.show import as_text

TARGET = Path(__file__).resolve().parents[2] / "edge" / "docs" / "pictures" / "region.png"
PACKAGE = "cxr-pneumonia-native"
CENTRE, RADIUS = (0.50, 0.22), 0.12
"""Where the opacity is drawn: (row, column) and radius, in shares of the frame."""

_INK, _PAPER, _OUTLINE = (225, 230, 235), (18, 22, 28), (255, 190, 60)
_SHOWN_ROWS, _TEXT_COLUMNS = 700, 800


def main() -> int:
    frame = opacity(phantom.chest())
    view = report(frame)
    (finding,) = view.findings
    if not finding.regions:
        raise SystemExit("the report has no region")
    TARGET.parent.mkdir(exist_ok=True)
    drawn(frame, finding.regions[0].points, as_text(view)).save(TARGET, optimize=True)
    return 0


def opacity(frame: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]]
    distance = np.hypot(y / frame.shape[0] - CENTRE[0], x / frame.shape[1] - CENTRE[1]) / RADIUS
    share = 0.9 / (1 + np.exp(9 * (distance - 0.8)))
    return np.rint(frame + share * np.maximum(0, 2900.0 - frame)).astype(np.uint16)


def report(frame: np.ndarray) -> ReportView:
    """What a PACS would receive about `frame`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Archive(Path(folder) / "reports")) as archive,
        house.starting(Path(folder), archive.port, package=PACKAGE) as starting,
    ):
        parts = part10.split(wrap.as_dx(frame, bits_stored=phantom.BITS_STORED))
        picture = inputs.Picture("phantom", parts, wrapped=True)
        (answer,) = demonstrate(starting.ready(), archive, [picture], lambda _text: None)
    if answer.view is None:
        raise SystemExit(f"no report: {answer.outcome} {answer.reason}")
    return answer.view


def drawn(frame: np.ndarray, points: tuple[tuple[float, float], ...], text: str) -> Image.Image:
    """The X-ray with its outline on the left, the report on the right."""
    scale = _SHOWN_ROWS / frame.shape[0]
    size = (round(frame.shape[1] * scale), _SHOWN_ROWS)
    gray = Image.fromarray((frame >> (phantom.BITS_STORED - 8)).astype(np.uint8))
    sheet = Image.new("RGB", (size[0] + _TEXT_COLUMNS, _SHOWN_ROWS), _PAPER)
    sheet.paste(gray.resize(size, Image.Resampling.LANCZOS).convert("RGB"), (0, 0))
    pen = ImageDraw.Draw(sheet)
    line = [(column * scale, row * scale) for column, row in (*points, points[0])]
    pen.line(line, fill=_OUTLINE, width=3, joint="curve")
    heading, body = (ImageFont.truetype(f"DejaVuSans{kind}.ttf", size) for kind, size in (("-Bold", 15), ("Mono", 12)))
    left, top = size[0] + 24, 24
    pen.text((left, top), "The report in the PACS", _INK, heading)
    pen.text((left, top + 32), text, _INK, body, spacing=4)
    pen.line([(left, _SHOWN_ROWS - 36), (left + 34, _SHOWN_ROWS - 36)], fill=_OUTLINE, width=3)
    legend = "where the model looked (SCOORD of the report); a generated phantom, no patient"
    pen.text((left + 46, _SHOWN_ROWS - 44), legend, _INK, body)
    return sheet


if __name__ == "__main__":
    sys.exit(main())
