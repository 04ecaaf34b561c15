"""What a segmentation model marked, as DICOM Segmentations (PS3.3 A.51): binary masks on stored pixels.

Comes in: a Result and the box's identity. Goes out: DICOM files, one for the images of one series and size. A model's
attention is no segmentation and never comes here.

Written by hand, as the report is: highdicom wants the received data sets and copies from them who the patient is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge.records import UID, Code, Mask, Plane, Result, Segment, Source
from edge.report import codes
from edge.report.content import code_data_set, reference_data_set
from edge.report.encode import Element, binary, data_set, numbers, part10, sequence, tag_pointer, text, texts
from edge.report.groups import tracking_of_segments
from edge.report.identity import BoxIdentity, object_uid
from edge.report.kinds import SEG, numbered_uid
from edge.report.skeleton import references, skeleton
from edge.report.words import (
    CONTENT_LABEL,
    algorithm_parameters,
    decimal_text,
    plain,
    plain_code,
    plain_package,
    series_description,
)

COLOURS = ((34885, 53485, 50171), (42662, 24158, 41120), (49344, 15677, 48573), (38550, 45746, 20817))
"""CIELab (PS3.3 C.10.7.1.1), in turn: red, green, lime, violet."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One segment of one object: its number there, and its number in the result."""

    number: int
    in_result: int
    segment: Segment
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """What goes into one object: the images it lies on, and its segments. Objects and segments count from 1."""

    uid: UID
    sources: tuple[Source, ...]
    layers: tuple[Layer, ...]


def layouts(result: Result) -> tuple[Layout, ...]:
    """The objects of `result`; none where no pixel is marked."""
    by_uid = {source.sop_instance_uid: source for source in result.sources}
    alike: dict[object, set[UID]] = {}
    for segment in result.segments:
        for mask in segment.masks:
            if _is_marked(mask):
                alike.setdefault(_likeness(by_uid[mask.source], mask), set()).add(mask.source)
    return tuple(
        _layout(result, number, tuple(source for source in result.sources if source.sop_instance_uid in uids))
        for number, uids in enumerate(alike.values(), 1)
    )


def build_segmentations(result: Result, *, box: BoxIdentity) -> Iterator[tuple[UID, bytes]]:
    """(SOP Instance UID, DICOM file) of each segmentation; none where no pixel is marked."""
    for layout in layouts(result):
        elements = [*skeleton(result, box, SEG, layout.uid), *_image(result, layout), *_segments(result, layout)]
        elements += [*_dimensions(layout), *_functional_groups(layout)]
        elements.append(references("ReferencedSeriesSequence", "ReferencedInstanceSequence", layout.sources))
        elements.append(binary("PixelData", packed(layout)))
        yield layout.uid, part10(SEG.sop_class_uid, layout.uid, data_set(elements))


def packed(layout: Layout) -> bytes:
    """The frames one after the other, a bit a pixel, without padding between them (PS3.5 8.1.1)."""
    masks = [mask for _, mask in _frames(layout)]
    if all(mask.rows * mask.columns % 8 == 0 for mask in masks):
        return b"".join(mask.bits for mask in masks)
    bits = [
        np.unpackbits(np.frombuffer(mask.bits, np.uint8), count=mask.rows * mask.columns, bitorder="little")
        for mask in masks
    ]
    return np.packbits(np.concatenate(bits), bitorder="little").tobytes()


def _is_marked(mask: Mask) -> bool:
    return mask.bits.count(0) < len(mask.bits)


def _likeness(source: Source, mask: Mask) -> object:
    plane = source.plane
    where = (plane.frame_of_reference_uid, plane.orientation, plane.spacing) if plane else None
    return source.series_instance_uid, mask.rows, mask.columns, where


def _layout(result: Result, number: int, sources: tuple[Source, ...]) -> Layout:
    uids = [source.sop_instance_uid for source in sources]
    layers: list[Layer] = []
    for in_result, segment in enumerate(result.segments, 1):
        masks = [mask for mask in segment.masks if mask.source in uids and _is_marked(mask)]
        if masks:
            masks.sort(key=lambda mask: (uids.index(mask.source), mask.frame or 0))
            layers.append(Layer(len(layers) + 1, in_result, segment, tuple(masks)))
    return Layout(numbered_uid(result.report_uid, SEG, number), sources, tuple(layers))


def _frames(layout: Layout) -> list[tuple[Layer, Mask]]:
    return [(layer, mask) for layer in layout.layers for mask in layer.masks]


def _image(result: Result, layout: Layout) -> list[Element]:
    """General Image, Image Pixel, Segmentation Image and Frame of Reference modules."""
    frames = _frames(layout)
    mask, source = frames[0][1], layout.sources[0]
    elements = [
        texts("ImageType", ("DERIVED", "PRIMARY")),
        texts("PatientOrientation", source.patient_orientation or ()),
        text("PhotometricInterpretation", "MONOCHROME2"),
        text("LossyImageCompression", "00"),
        text("SegmentationType", "BINARY"),
        text("ContentLabel", CONTENT_LABEL),
        text("ContentDescription", series_description(plain_package(result.package))),
        text("ContentCreatorName"),
        text("NumberOfFrames", str(len(frames))),
        numbers("Rows", (mask.rows,)),
        numbers("Columns", (mask.columns,)),
    ]
    ones = ("SamplesPerPixel", "BitsAllocated", "BitsStored")
    elements += [*(numbers(keyword, (1,)) for keyword in ones)]
    elements += [*(numbers(keyword, (0,)) for keyword in ("HighBit", "PixelRepresentation"))]
    if source.plane:
        elements.append(text("FrameOfReferenceUID", source.plane.frame_of_reference_uid))
        elements.append(text("PositionReferenceIndicator"))
    return elements


def _segments(result: Result, layout: Layout) -> list[Element]:
    tracking = tracking_of_segments(result)
    items = []
    for layer in layout.layers:
        group = tracking[layer.in_result]
        items.append(
            data_set(
                (
                    numbers("SegmentNumber", (layer.number,)),
                    text("SegmentLabel", plain(layer.segment.code.meaning)[:64]),
                    text("SegmentAlgorithmType", "AUTOMATIC"),
                    text("SegmentAlgorithmName", plain(result.package.name)),
                    _codes("SegmentedPropertyCategoryCodeSequence", layer.segment.category),
                    _codes("SegmentedPropertyTypeCodeSequence", layer.segment.type),
                    sequence("SegmentationAlgorithmIdentificationSequence", [_algorithm(result)]),
                    numbers("RecommendedDisplayCIELabValue", COLOURS[(layer.in_result - 1) % len(COLOURS)]),
                    text("TrackingID", group.identifier),
                    text("TrackingUID", group.uid),
                )
            )
        )
    return [sequence("SegmentSequence", items)]


def _algorithm(result: Result) -> bytes:
    package = plain_package(result.package)
    return data_set(
        (
            _codes("AlgorithmFamilyCodeSequence", package.family),
            text("AlgorithmName", package.name),
            text("AlgorithmVersion", package.version),
            text("AlgorithmSource", package.vendor),
            text("AlgorithmParameters", "; ".join(algorithm_parameters(package, result.provider, None))),
        )
    )


def _dimensions(layout: Layout) -> list[Element]:
    """Frames are ordered by segment, then by where they lie, or by image where no place is known."""
    organization = object_uid(layout.uid, "dimensions")
    second = ("ImagePositionPatient", "PlanePositionSequence")
    if layout.sources[0].plane is None:
        second = ("InStackPositionNumber", "FrameContentSequence")
    items = (
        data_set(
            (
                text("DimensionOrganizationUID", organization),
                tag_pointer("DimensionIndexPointer", pointer),
                tag_pointer("FunctionalGroupPointer", group),
            )
        )
        for pointer, group in (("ReferencedSegmentNumber", "SegmentIdentificationSequence"), second)
    )
    return [
        sequence("DimensionOrganizationSequence", [data_set((text("DimensionOrganizationUID", organization),))]),
        sequence("DimensionIndexSequence", items),
    ]


def _functional_groups(layout: Layout) -> list[Element]:
    by_uid = {source.sop_instance_uid: source for source in layout.sources}
    at = {source.sop_instance_uid: _along(number, source) for number, source in enumerate(layout.sources)}
    places = sorted({(*at[mask.source], mask.frame or 0) for _, mask in _frames(layout)})
    frames = (
        _frame(layer, mask, by_uid[mask.source], places.index((*at[mask.source], mask.frame or 0)) + 1)
        for layer, mask in _frames(layout)
    )
    return [
        sequence("SharedFunctionalGroupsSequence", [data_set(_shared(layout.sources[0].plane))]),
        sequence("PerFrameFunctionalGroupsSequence", frames),
    ]


def _along(number: int, source: Source) -> tuple[float, ...]:
    """What orders a source among the others: along the slices' normal, or as they came where no place is known."""
    plane = source.plane
    if plane is None:
        return (float(number),)
    normal = np.cross(plane.orientation[:3], plane.orientation[3:])
    return float(np.dot(normal, plane.position)), *plane.position


def _shared(plane: Plane | None) -> list[Element]:
    if plane is None:
        return []
    measures = (
        texts("PixelSpacing", map(decimal_text, plane.spacing)),
        text("SliceThickness", decimal_text(plane.thickness)),
    )
    orientation = texts("ImageOrientationPatient", map(decimal_text, plane.orientation))
    return [
        sequence("PixelMeasuresSequence", [data_set(measures)]),
        sequence("PlaneOrientationSequence", [data_set((orientation,))]),
    ]


def _frame(layer: Layer, mask: Mask, source: Source, place: int) -> bytes:
    content = [numbers("DimensionIndexValues", (layer.number, place))]
    elements = [
        sequence("DerivationImageSequence", [_derivation(source, mask)]),
        sequence("SegmentIdentificationSequence", [data_set((numbers("ReferencedSegmentNumber", (layer.number,)),))]),
    ]
    if source.plane is None:
        content += [text("StackID", "1"), numbers("InStackPositionNumber", (place,))]
    else:
        position = texts("ImagePositionPatient", map(decimal_text, source.plane.position))
        elements.append(sequence("PlanePositionSequence", [data_set((position,))]))
    elements.append(sequence("FrameContentSequence", [data_set(content)]))
    return data_set(elements)


def _derivation(source: Source, mask: Mask) -> bytes:
    purpose = _codes("PurposeOfReferenceCodeSequence", codes.SOURCE_FOR_PROCESSING)
    more = (purpose, text("SpatialLocationsPreserved", "YES"))
    image = reference_data_set(source.sop_class_uid, source.sop_instance_uid, mask.frame, more=more)
    return data_set((_codes("DerivationCodeSequence", codes.SEGMENTATION), sequence("SourceImageSequence", [image])))


def _codes(keyword: str, *found: Code) -> Element:
    return sequence(keyword, (code_data_set(plain_code(code)) for code in found))
