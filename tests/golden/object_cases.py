"""Results with masks, measurements and regions that lie on images of every gray scale, for the tests of all objects.

All identities are invented.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from golden.sr_cases import BOX, DIGEST, EFFUSION, IMAGE, PNEUMONIA, REGION, STUDY, finding, result

from edge.records import UID, Code, Display, Mask, Measurement, Plane, Region, Result, Segment, Source
from edge.report.kinds import OLD_SR, SR, Form

__all__ = ["BOX", "DIGEST", "EFFUSION", "PNEUMONIA", "STUDY"]

LUNG = Code("39607008", "SCT", "Lung")
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
MILLILITRE = Code("mL", "UCUM", "milliliter")
MILLIMETRE = Code("mm", "UCUM", "millimeter")
VOLUME = Code("118565006", "SCT", "Volume")
DIAMETER = Code("103339001", "SCT", "Long Axis")
CT_CLASS = UID("1.2.840.10008.5.1.4.1.1.2")
SHOWN = Display(inverted=False, window=(2048.0, 4096.0))
IMAGE_SHOWN = dataclasses.replace(IMAGE, display=SHOWN, patient_orientation=("L", "F"))
SERIES = UID("1.2.826.0.1.3680043.8.498.710")
FRAME_OF_REFERENCE = UID("1.2.826.0.1.3680043.8.498.799")


def slices(count: int, rows: int = 64, columns: int = 60, spacing: float = 2.5) -> tuple[Source, ...]:
    """An axial CT series, from the feet up."""
    return tuple(
        Source(
            CT_CLASS,
            UID(f"{SERIES}.{number + 1}"),
            SERIES,
            STUDY,
            "CT",
            rows,
            columns,
            display=Display(inverted=False, intercept=-1024.0, window=(40.0, 400.0)),
            plane=Plane(
                FRAME_OF_REFERENCE,
                (-120.5, -130.25, spacing * number),
                (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
                (0.7, 0.7),
                spacing,
            ),
        )
        for number in range(count)
    )


def disc(source: Source, row: float, column: float, radius: float, frame: int | None = None) -> Mask:
    """A round mask on `source`."""
    y, x = np.ogrid[: source.rows, : source.columns]
    inside = (y + 0.5 - row) ** 2 + (x + 0.5 - column) ** 2 <= radius**2
    bits = np.packbits(inside.ravel(), bitorder="little").tobytes()
    return Mask(source.sop_instance_uid, frame, source.rows, source.columns, bits)


def segmented(sources: tuple[Source, ...] = (), **changes: Any) -> Result:
    """A lung on some slices, an effusion that is a finding too on one, and the volume of it."""
    sources = sources or slices(4)
    effusion = Code("60046008", "SCT", "Pleural effusion")
    abnormal = Code("49755003", "SCT", "Morphologically Abnormal Structure")
    lung = Segment(LUNG, ANATOMY, LUNG, tuple(disc(source, 30, 20, 12) for source in sources[:3]))
    fluid = Segment(effusion, abnormal, effusion, (disc(sources[-1], 40, 40, 6.5),))
    plain = {
        "sources": sources,
        "findings": (finding(code=effusion), finding(present=False, score=0.1)),
        "segments": (lung, fluid),
        "measurements": (
            Measurement(VOLUME, 12.34567, MILLILITRE, finding=effusion),
            Measurement(VOLUME, 2345.6, MILLILITRE, finding=LUNG),
            Measurement(DIAMETER, 7.5, MILLIMETRE),
        ),
    }
    return result(**{**plain, **changes})


def pointed(source: Source = IMAGE_SHOWN, **changes: Any) -> Result:
    """A box around one finding, the attention for another, on one image."""
    box = dataclasses.replace(REGION, source=source.sop_instance_uid)
    around = tuple(
        (600 + 80 * float(np.cos(angle)), 700 + 60 * float(np.sin(angle))) for angle in np.linspace(0, 6, 24)
    )
    attention = Region(source.sop_instance_uid, around, attention=True)
    found = (finding(regions=(box,)), finding(code=EFFUSION, regions=(attention,)))
    return result(**{"sources": (source,), "findings": found, **changes})


FORMS = {
    "3d": Form(SR, segmentation=True, presentation=True),
    "old": Form(OLD_SR, segmentation=True, presentation=True),
    "no-segments": Form(SR, segmentation=False),
    "old-no-segments": Form(OLD_SR, segmentation=False),
}
_SEVERAL = dataclasses.replace(REGION, points=((10.0, 10.0), (60.0, 10.0), (60.0, 50.0)))
_ANGIOGRAM = dataclasses.replace(IMAGE_SHOWN, sop_class_uid=UID("1.2.840.10008.5.1.4.1.1.12.1"), modality="XA")
_MANY_FRAMES = (dataclasses.replace(_ANGIOGRAM, rows=64, columns=60),)
_ON_FRAMES = (disc(_MANY_FRAMES[0], 20, 20, 5, 7), disc(_MANY_FRAMES[0], 24, 20, 5, 3))
CASES: dict[str, Result] = {
    "pointed": pointed(),
    "pointed-inverted": pointed(dataclasses.replace(IMAGE_SHOWN, display=dataclasses.replace(SHOWN, inverted=True))),
    "pointed-rescaled": pointed(slices(1, 1000, 1200)[0]),
    "pointed-plain": pointed(
        dataclasses.replace(IMAGE_SHOWN, display=Display(inverted=False, pixel_aspect_ratio=1.25))
    ),
    "pointed-frame": pointed(
        _ANGIOGRAM,
        findings=(finding(regions=(dataclasses.replace(REGION, frame=2), dataclasses.replace(REGION, frame=5))),),
    ),
    "several-regions": pointed(findings=(finding(regions=(REGION, _SEVERAL)),)),
    "urgent": pointed(findings=(finding(regions=(REGION,), urgent=True),)),
    "segmented": segmented(),
    "segmented-no-plane": segmented(
        tuple(dataclasses.replace(source, plane=None, patient_orientation=("L", "F")) for source in slices(4))
    ),
    "segmented-odd": segmented(slices(4, 63, 61)),
    "segmented-only": segmented(findings=(), measurements=()),
    "segmented-frames": segmented(_MANY_FRAMES, segments=(Segment(LUNG, ANATOMY, LUNG, _ON_FRAMES),), findings=()),
    "measured": result(measurements=(Measurement(DIAMETER, 7.5, MILLIMETRE, regions=(REGION,)),)),
    "two-sizes": segmented((*slices(3), dataclasses.replace(slices(4)[3], rows=80, columns=72))),
}
"""Everything beyond a plain classification, by name; sr_cases.CASES has those."""
