"""Content items of a Structured Report (PS3.3 C.17.3) as small frozen values.

A tree of items is a value: two equal trees are one byte string. `item_data_set` encodes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge.records import Code
from edge.report.encode import Element, data_set, numbers, sequence, text


class Relationship(StrEnum):
    """How a content item belongs to its parent (PS3.3 table C.17.3-8)."""

    CONTAINS = "CONTAINS"
    HAS_CONCEPT_MOD = "HAS CONCEPT MOD"
    HAS_OBS_CONTEXT = "HAS OBS CONTEXT"
    SELECTED_FROM = "SELECTED FROM"
    ROOT = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One content item: its concept name, its encoded value and the items below it."""

    relationship: Relationship
    value_type: str
    name: Code
    value: tuple[Element, ...]
    children: tuple[Item, ...] = ()


def code_item(relationship: Relationship, name: Code, value: Code) -> Item:
    return Item(relationship, "CODE", name, (sequence("ConceptCodeSequence", [code_data_set(value)]),))


def text_item(relationship: Relationship, name: Code, value: str) -> Item:
    return Item(relationship, "TEXT", name, (text("TextValue", value),))


def uidref_item(relationship: Relationship, name: Code, value: str) -> Item:
    return Item(relationship, "UIDREF", name, (text("UID", value),))


def num_item(relationship: Relationship, name: Code, value: str, unit: Code) -> Item:
    """`value` is a decimal string (DS), already in the fixed decimals of the report."""
    measured = data_set((text("NumericValue", value), sequence("MeasurementUnitsCodeSequence", [code_data_set(unit)])))
    return Item(relationship, "NUM", name, (sequence("MeasuredValueSequence", [measured]),))


def image_item(relationship: Relationship, name: Code, referenced: bytes) -> Item:
    """`referenced` is a `reference_data_set`."""
    return Item(relationship, "IMAGE", name, (sequence("ReferencedSOPSequence", [referenced]),))


def scoord_item(relationship: Relationship, name: Code, points: Sequence[tuple[float, float]], source: Item) -> Item:
    """A polyline of (column, row) pairs; it is closed here when its last point is not its first."""
    closed = points if points[0] == points[-1] else (*points, points[0])
    flat = [coordinate for point in closed for coordinate in point]
    value = (numbers("GraphicData", flat), text("GraphicType", "POLYLINE"))
    return Item(relationship, "SCOORD", name, value, (source,))


def container(relationship: Relationship, name: Code, children: Sequence[Item], template: str = "") -> Item:
    """A heading with items below it; `template` is its TID of PS3.16."""
    value = [text("ContinuityOfContent", "SEPARATE")]
    if template:
        identifier = data_set((text("MappingResource", "DCMR"), text("TemplateIdentifier", template)))
        value.append(sequence("ContentTemplateSequence", [identifier]))
    return Item(relationship, "CONTAINER", name, tuple(value), tuple(children))


def reference_data_set(
    sop_class_uid: str,
    sop_instance_uid: str,
    frame: int | None = None,
    segments: Sequence[int] = (),
    more: Sequence[Element] = (),
) -> bytes:
    """The item of a sequence that refers to an instance: to all of it, to one frame, or to some segments."""
    elements = [
        text("ReferencedSOPClassUID", sop_class_uid),
        text("ReferencedSOPInstanceUID", sop_instance_uid),
        *more,
    ]
    if frame is not None:
        elements.append(text("ReferencedFrameNumber", str(frame)))
    if segments:
        elements.append(numbers("ReferencedSegmentNumber", segments))
    return data_set(elements)


def code_data_set(code: Code) -> bytes:
    """A code as the item of a code sequence (PS3.3 8.8); values over 16 characters are Long Code Values."""
    value = "CodeValue" if len(code.value) <= 16 else "LongCodeValue"
    return data_set(
        (text(value, code.value), text("CodingSchemeDesignator", code.scheme), text("CodeMeaning", code.meaning))
    )


def item_elements(item: Item) -> list[Element]:
    """The elements of one item with its whole tree; the root's go straight into the data set."""
    elements = [
        text("ValueType", item.value_type),
        sequence("ConceptNameCodeSequence", [code_data_set(item.name)]),
        *item.value,
    ]
    if item.relationship:
        elements.append(text("RelationshipType", item.relationship))
    if item.children:
        elements.append(sequence("ContentSequence", (data_set(item_elements(child)) for child in item.children)))
    return elements
