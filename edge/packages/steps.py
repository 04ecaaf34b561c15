"""Steps of preprocessing that a package may ask for beyond window and resize: align, denoise, contrast. Default off."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edge.packages.fields import Closed

Direction = Literal["A", "F", "H", "L", "P", "R"]
Side = Annotated[int, msgspec.Meta(ge=3, le=63)]
Tiles = Annotated[int, msgspec.Meta(ge=1, le=64)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Align(Closed, frozen=True, kw_only=True):
    """To a standard view; regions go back through the same steps to the stored pixels.

    `patient`: turned and mirrored until rows go on to `view[0]` and columns to `view[1]`, by PatientOrientation or
    ImageOrientationPatient; `detector`: FieldOfViewRotation and FieldOfViewHorizontalFlip undone. `unknown` says what
    to do with an image that does not tell. `crop` and `deskew_degrees` look for straight collimation edges.
    """

    orientation: Literal["none", "patient", "detector"] = "none"
    view: tuple[Direction, Direction] = ("L", "F")
    unknown: Literal["refuse", "leave"] = "refuse"
    crop: Literal["none", "collimation"] = "none"
    deskew_degrees: Annotated[float, msgspec.Meta(ge=0, le=15)] = 0.0

    @property
    def is_off(self) -> bool:
        """Whether the frame stays as it is stored."""
        return self.orientation == "none" and self.crop == "none" and not self.deskew_degrees


class Denoise(Closed, frozen=True, kw_only=True):
    """Noise removal on stored values. `strength` is a share of the frame's range from its 1st to its 99th percentile.

    `size`: side of the median's square, diameter of the bilateral filter's circle, side of the square in which
    non-local means look for likenesses, in stored pixels.
    """

    method: Literal["none", "median", "bilateral", "non-local-means"] = "none"
    size: Side = 3
    strength: Share = 0.05


class Contrast(Closed, frozen=True, kw_only=True):
    """On the displayed picture in full size, 16 bits: after window and polarity, before the resize."""

    method: Literal["none", "clahe", "equalize"] = "none"
    tiles: tuple[Tiles, Tiles] = (8, 8)
    clip_limit: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 2.0
