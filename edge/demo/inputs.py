"""What the demonstration pushes: the phantom, or the files that the user names.

Comes in: paths. Goes out: DICOM objects ready to send. A DICOM file goes as it is, in its own transfer syntax; a JPEG
or PNG becomes a Digital X-Ray image of an invented child.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge import opencv, part10
from edge.demo import phantom, wrap
from edge.errors import BadObject, UsageError
from edge.part10 import Part10

PHANTOM = "generated phantom"


@dataclass(frozen=True, slots=True)
class Picture:
    """One FILE: `parts` to push, or None with the reason in `refused`. `wrapped` says that its identity is invented."""

    file: str
    parts: Part10 | None
    wrapped: bool = False
    refused: str = ""


def the_phantom() -> Picture:
    """A generated chest radiograph; no file is needed."""
    return Picture(PHANTOM, part10.split(wrap.as_dx(phantom.chest(), bits_stored=phantom.BITS_STORED)), wrapped=True)


def check(files: list[Path]) -> None:
    """Raise UsageError for a name that is no file, before anything is started."""
    for path in files:
        if not path.is_file():
            raise UsageError("there is no such file", which=str(path), hint="name DICOM, JPEG or PNG files")


def read(path: Path) -> Picture:
    """`path` as something to push; what is neither DICOM nor a picture is said so, not raised."""
    try:
        data = path.read_bytes()
        if data[128:132] == b"DICM":
            return Picture(str(path), part10.split(data))
        image = opencv.decode_gray(data)
    except (BadObject, OSError):
        return Picture(str(path), None, refused="not-an-image")
    bits = 16 if image.dtype.itemsize == 2 else 8
    return Picture(str(path), part10.split(wrap.as_dx(image, bits_stored=bits)), wrapped=True)
