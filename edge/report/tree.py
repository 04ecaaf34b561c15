"""The content tree of any Structured Report as frozen nodes.

Comes in: a pydicom data set from anywhere. Goes out: nodes whose texts are safe to print (no control characters).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from edge.errors import BadObject
from edge.records import Code

NO_CODE = Code("", "", "")
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Node:
    """One content item. `text` is its value for a reader; `code` its coded value or unit; `points` its region."""

    relationship: str
    value_type: str
    name: Code
    text: str
    code: Code
    points: tuple[tuple[float, float], ...]
    children: tuple[Node, ...]

    def find(self, *names: Code) -> Iterator[Node]:
        """The direct children of one of these names, compared by value and scheme."""
        wanted = {(name.value, name.scheme) for name in names}
        return (child for child in self.children if (child.name.value, child.name.scheme) in wanted)

    def first_text(self, name: Code) -> str:
        return next((child.text for child in self.find(name)), "")

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()


def printable(value: object) -> str:
    """`value` on one line, without control characters: a foreign report could drive the terminal with them."""
    text = "" if value is None else str(value)
    return " ".join("".join(part if part.isprintable() else " " for part in text).split())


def read_tree(dataset: Dataset, depth: int = 0) -> Node:
    """The node of `dataset`, with all below it.

    Raises
    ------
    BadObject
        If the tree is deeper than any report is.
    """
    if depth > _DEEPEST:
        raise BadObject("the report's tree is too deep", hint="ask its maker for a valid one")
    value_type = printable(dataset.get("ValueType"))
    return Node(
        relationship=printable(dataset.get("RelationshipType")),
        value_type=value_type,
        name=_code(dataset, "ConceptNameCodeSequence"),
        text=_text(dataset, value_type),
        code=_code(_measured(dataset), "MeasurementUnitsCodeSequence")
        if value_type == "NUM"
        else _code(dataset, "ConceptCodeSequence"),
        points=_points(dataset),
        children=tuple(read_tree(item, depth + 1) for item in dataset.get("ContentSequence") or ()),
    )


def _text(dataset: Dataset, value_type: str) -> str:
    match value_type:
        case "CODE":
            return _code(dataset, "ConceptCodeSequence").meaning
        case "NUM":
            return printable(_measured(dataset).get("NumericValue"))
        case "IMAGE" | "COMPOSITE" | "WAVEFORM":
            return printable(_first(dataset, "ReferencedSOPSequence").get("ReferencedSOPInstanceUID"))
        case "SCOORD" | "SCOORD3D":
            return printable(dataset.get("GraphicType"))
    keywords = {"TEXT": "TextValue", "UIDREF": "UID", "PNAME": "PersonName", "DATETIME": "DateTime"}
    return printable(dataset.get(keywords.get(value_type, value_type.capitalize())))


def _measured(dataset: Dataset) -> Dataset:
    return _first(dataset, "MeasuredValueSequence")


def _first(dataset: Dataset, keyword: str) -> Dataset:
    return next(iter(dataset.get(keyword) or ()), Dataset())


def _code(dataset: Dataset, keyword: str) -> Code:
    item = _first(dataset, keyword)
    value = next((item.get(key) for key in ("CodeValue", "LongCodeValue", "URNCodeValue") if item.get(key)), "")
    return Code(printable(value), printable(item.get("CodingSchemeDesignator")), printable(item.get("CodeMeaning")))


def _points(dataset: Dataset) -> tuple[tuple[float, float], ...]:
    flat = dataset.get("GraphicData") or ()
    if dataset.get("ValueType") != "SCOORD" or len(flat) < 2:
        return ()
    return tuple(zip((float(x) for x in flat[0::2]), (float(y) for y in flat[1::2]), strict=False))
