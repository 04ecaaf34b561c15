"""What a model points at, as a Grayscale Softcopy Presentation State (PS3.3 A.33.1): lines and words over the image.

Comes in: a Result and the box's identity. Goes out: DICOM files, one for all images that are shown in the same way.
A presentation state replaces the image's own gray scale (PS3.4 N.2), so it repeats it: rescale, window, and INVERSE
where the image is MONOCHROME1. Where numbers cannot say how the image is shown (tables, colour) there is none.

Graphics lie in pixels, corner origin (PS3.3 C.10.5.1.2): the same numbers as the report's regions.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from edge.records import UID, Display, Region, Result, Source
from edge.report.content import reference_data_set
from edge.report.encode import Element, data_set, numbers, part10, sequence, text, texts
from edge.report.groups import Group, groups
from edge.report.identity import BoxIdentity
from edge.report.kinds import PR, numbered_uid
from edge.report.sentence import label
from edge.report.skeleton import references, skeleton
from edge.report.words import CONTENT_LABEL, Phrase, decimal_text, plain_package, series_description

LAYER_COLOUR = (53970, 32896, 50629)
"""CIELab (PS3.3 C.10.7.1.1): a light yellow, legible on black and on white."""

Point = tuple[float, float]
Box = tuple[Point, Point]

CAUTION_BOX: Box = ((0.02, 0.94), (0.98, 0.99))
"""Of the displayed area: below, along its left edge."""

_TEXT_HEIGHT = 0.03
_GAP = 0.005


def build_presentations(result: Result, *, box: BoxIdentity) -> Iterator[tuple[UID, bytes]]:
    """(SOP Instance UID, DICOM file) of each presentation state; none where there is nothing to point at."""
    for number, sources in enumerate(shown_alike(result), 1):
        uid = numbered_uid(result.report_uid, PR, number)
        elements = [*skeleton(result, box, PR, uid), *_identification(result), *_relationship(sources)]
        elements += [*_annotations(result, sources), *_layer(), *_gray_scale(sources)]
        yield uid, part10(PR.sop_class_uid, uid, data_set(elements))


def pointed_at(result: Result) -> Iterator[tuple[Source, list[tuple[Group, Region]]]]:
    """Each image that can be drawn on, with the regions of present findings on it."""
    found = [
        (group, region)
        for group in groups(result)
        for region in group.regions
        if not group.finding or group.finding.present
    ]
    for source in result.sources:
        here = [(group, region) for group, region in found if region.source == source.sop_instance_uid]
        if here and source.display is not None and source.rows and source.columns:
            yield source, here


def text_box(region: Region, source: Source) -> Box:
    """Where the words of a region go: above it, or below it where there is no room."""
    left = min(column for column, _ in region.points)
    top, bottom = min(row for _, row in region.points), max(row for _, row in region.points)
    height, gap = source.rows * _TEXT_HEIGHT, source.rows * _GAP
    above = top - gap - height
    at = above if above >= 0 else min(bottom + gap, source.rows - height)
    return (min(left, source.columns * 0.5), at), (float(source.columns), at + height)


def closed(region: Region) -> tuple[Point, ...]:
    """The region's points, the first repeated at the end."""
    points = region.points
    return points if points[0] == points[-1] else (*points, points[0])


def aspect_ratio(display: Display) -> tuple[int, int]:
    """Height and width of a pixel in whole numbers."""
    ratio = Fraction(display.pixel_aspect_ratio).limit_denominator(10_000)
    return ratio.numerator, ratio.denominator


def shown_alike(result: Result) -> list[list[Source]]:
    """The images to draw on, those together that one presentation state can show."""
    alike: dict[tuple[bool, float, float], list[Source]] = {}
    for source, _ in pointed_at(result):
        if source.display is not None:
            display = source.display
            alike.setdefault((display.inverted, display.slope, display.intercept), []).append(source)
    return list(alike.values())


def _identification(result: Result) -> list[Element]:
    return [
        text("ContentLabel", CONTENT_LABEL),
        text("ContentDescription", series_description(plain_package(result.package))),
        text("ContentCreatorName"),
        text("Laterality"),
    ]


def _relationship(sources: list[Source]) -> list[Element]:
    areas = (
        data_set(
            (
                _image(source),
                numbers("DisplayedAreaTopLeftHandCorner", (1, 1)),
                numbers("DisplayedAreaBottomRightHandCorner", (source.columns, source.rows)),
                text("PresentationSizeMode", "SCALE TO FIT"),
                texts("PresentationPixelAspectRatio", map(str, aspect_ratio(_display(source)))),
            )
        )
        for source in sources
    )
    return [
        references("ReferencedSeriesSequence", "ReferencedImageSequence", sources),
        sequence("DisplayedAreaSelectionSequence", areas),
    ]


def _annotations(result: Result, sources: list[Source]) -> list[Element]:
    items = []
    for source, found in pointed_at(result):
        if source in sources:
            frames = dict.fromkeys(region.frame for _, region in found)
            items += [
                _annotation(result, source, frame, [each for each in found if each[1].frame == frame])
                for frame in frames
            ]
    return [sequence("GraphicAnnotationSequence", items)]


def _annotation(result: Result, source: Source, frame: int | None, found: list[tuple[Group, Region]]) -> bytes:
    labels = {id(group): (group, region) for group, region in reversed(found)}  # once for each group, at its first
    words = [_caution(result), *(_label(group, region, source) for group, region in reversed(labels.values()))]
    return data_set(
        (
            _image(source, frame),
            text("GraphicLayer", CONTENT_LABEL),
            sequence("TextObjectSequence", words),
            sequence("GraphicObjectSequence", (_polyline(group, region) for group, region in found)),
        )
    )


def _polyline(group: Group, region: Region) -> bytes:
    points = closed(region)
    return data_set(
        (
            text("GraphicAnnotationUnits", "PIXEL"),
            numbers("GraphicDimensions", (2,)),
            numbers("NumberOfGraphicPoints", (len(points),)),
            numbers("GraphicData", [coordinate for point in points for coordinate in point]),
            text("GraphicType", "POLYLINE"),
            text("GraphicFilled", "N"),
            text("TrackingID", group.identifier),
            text("TrackingUID", group.uid),
        )
    )


def _label(group: Group, region: Region, source: Source) -> bytes:
    words = label(group.finding) if group.finding else f"{Phrase.AI}: {group.code.meaning}"
    return _text_object(words, "PIXEL", text_box(region, source))


def _caution(result: Result) -> bytes:
    parts = [Phrase.NOT_FOR_CLINICAL_USE] if result.package.status != "cleared" else []
    return _text_object(" ".join(f"{part}." for part in (*parts, Phrase.NOT_VERIFIED)), "DISPLAY", CAUTION_BOX)


def _text_object(words: str, units: str, corners: Box) -> bytes:
    return data_set(
        (
            text("BoundingBoxAnnotationUnits", units),
            text("UnformattedTextValue", words),
            numbers("BoundingBoxTopLeftHandCorner", corners[0]),
            numbers("BoundingBoxBottomRightHandCorner", corners[1]),
            text("BoundingBoxTextHorizontalJustification", "LEFT"),
        )
    )


def _layer() -> list[Element]:
    layer = (
        text("GraphicLayer", CONTENT_LABEL),
        text("GraphicLayerOrder", "1"),
        text("GraphicLayerDescription", Phrase.LAYER),
        numbers("GraphicLayerRecommendedDisplayCIELabValue", LAYER_COLOUR),
    )
    return [sequence("GraphicLayerSequence", [data_set(layer)])]


def _gray_scale(sources: list[Source]) -> list[Element]:
    """Modality LUT, Softcopy VOI LUT and Softcopy Presentation LUT modules (PS3.3 C.11.1, C.11.8, C.11.6)."""
    display = _display(sources[0])
    elements = [text("PresentationLUTShape", "INVERSE" if display.inverted else "IDENTITY")]
    if (display.slope, display.intercept) != (1.0, 0.0):
        elements += [
            text("RescaleIntercept", decimal_text(display.intercept)),
            text("RescaleSlope", decimal_text(display.slope)),
            text("RescaleType", "US"),
        ]
    windows = [_window(source) for source in sources if _display(source).window]
    return [*elements, sequence("SoftcopyVOILUTSequence", windows)] if windows else elements


def _window(source: Source) -> bytes:
    display = _display(source)
    center, width = display.window or (0.0, 1.0)
    elements = [
        _image(source),
        text("WindowCenter", decimal_text(center)),
        text("WindowWidth", decimal_text(width)),
    ]
    return data_set([*elements, text("VOILUTFunction", display.function)])


def _display(source: Source) -> Display:
    return source.display or Display(inverted=False)


def _image(source: Source, frame: int | None = None) -> Element:
    return sequence(
        "ReferencedImageSequence", [reference_data_set(source.sop_class_uid, source.sop_instance_uid, frame)]
    )
