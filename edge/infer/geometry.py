"""The numbers and bytes that one result's geometry may show: coordinates, sizes, windows, masks.

The egress gate compares with these. They are made from the result anew, not taken from what the emitter wrote.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from edge.records import Display, Plane, Region, Result, Source
from edge.report import presentation, segmentation
from edge.report.words import decimal_text

_CONSTANTS = frozenset(str(number) for number in range(9))
"""Bits, samples, dimensions, orders and stacks."""


def coordinates(result: Result) -> frozenset[bytes]:
    """Every encoded row of coordinates: closed regions, and the boxes of the words beside them."""
    found = {_floats(point for pair in presentation.closed(region) for point in pair) for region in _regions(result)}
    found |= {_floats(corner) for corner in presentation.CAUTION_BOX}
    by_uid = {source.sop_instance_uid: source for source in result.sources}
    for region in _regions(result):
        if region.source in by_uid:
            found |= {_floats(corner) for corner in presentation.text_box(region, by_uid[region.source])}
    return frozenset(found)


def pixels(result: Result) -> frozenset[bytes]:
    """The pixel data of each segmentation, padded to even length."""
    packed = (segmentation.packed(layout) for layout in segmentation.layouts(result))
    return frozenset(bits + b"\0" * (len(bits) % 2) for bits in packed)


def numbers(result: Result) -> frozenset[str]:
    """Every number of a source's size, gray scale and place, and every count, as text."""
    found = {str(number) for source in result.sources for number in _source_numbers(source)}
    masks = [mask for segment in result.segments for mask in segment.masks]
    found |= {str(number) for mask in masks for number in (mask.rows, mask.columns)}
    found |= {str(len(presentation.closed(region))) for region in _regions(result)}
    frames = {mask.frame for mask in masks} | {region.frame for region in _regions(result)}
    found |= {str(frame) for frame in frames - {None}}
    found |= {str(number) for number in range(1, max(len(masks), len(result.segments)) + 1)}
    return frozenset(found) | _CONSTANTS | _colours()


def _source_numbers(source: Source) -> Iterator[int | str]:
    yield from (source.rows, source.columns)
    if source.display is not None:
        yield from presentation.aspect_ratio(source.display)
        yield from display_numbers(source.display)
    if source.plane is not None:
        yield from plane_numbers(source.plane)


def received_numbers(result: Result) -> frozenset[str]:
    """The numbers that a device made up: windows, rescales and places."""
    displays = (text for source in result.sources if source.display for text in display_numbers(source.display))
    planes = (text for source in result.sources if source.plane for text in plane_numbers(source.plane))
    return frozenset((*displays, *planes))


def display_numbers(display: Display) -> Iterator[str]:
    """Rescale and window, as a presentation state writes them."""
    yield from map(decimal_text, (display.slope, display.intercept, *(display.window or ())))


def plane_numbers(plane: Plane) -> Iterator[str]:
    """Place, direction and spacing, as a segmentation writes them."""
    yield from map(decimal_text, (*plane.position, *plane.orientation, *plane.spacing, plane.thickness))


def _colours() -> frozenset[str]:
    return frozenset(str(part) for colour in (presentation.LAYER_COLOUR, *segmentation.COLOURS) for part in colour)


def _regions(result: Result) -> Iterator[Region]:
    for finding in result.findings:
        yield from finding.regions
    for measurement in result.measurements:
        yield from measurement.regions


def _floats(values: Iterable[float]) -> bytes:
    flat = list(values)
    return struct.pack(f"<{len(flat)}f", *flat)
