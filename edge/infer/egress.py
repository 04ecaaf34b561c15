"""The egress gate: the last step of the infer room. Nothing reaches the outbox that has not passed it.

Comes in: an encoded object, the result it was made from, and the identity tokens of the images it is about.
Goes out: nothing, or a GateHit that says which attribute, never which value.

First net: the object is parsed back by pydicom; every attribute must be on the allow-list of its SOP class, and
every value provably ours. Second net: no identity token in a word that is only plausible, and no PatientID,
accession number or birth date inside a received UID (DESIGN 3).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType

from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator

from edge.errors import GateHit
from edge.infer import geometry
from edge.infer.allow_list import ALLOWED, AllowList, Kind, Rule
from edge.infer.identity import is_of_patient, numbers_among
from edge.infer.provenance import Ours, ours, ours_of_note, words_of
from edge.records import UID, Result
from edge.report.attributes import ATTRIBUTES
from edge.report.encode import NUMBER_FORMATS, part10
from edge.report.identity import BoxIdentity
from edge.report.rejection import Note

_COMPOSED = frozenset({"TextValue", "UnformattedTextValue", "AlgorithmParameters"})
"""Sentences: of our words, where every other text is ours as a whole."""
_ITEM = b"\xfe\xff\x00\xe0"
_MOST_NESTED = 32
_CODE_ATTRIBUTES = MappingProxyType(
    {
        (ATTRIBUTES[keyword].tag, ATTRIBUTES[keyword].vr): position
        for keyword, position in (
            ("CodeValue", 0),
            ("LongCodeValue", 0),
            ("CodingSchemeDesignator", 1),
            ("CodeMeaning", 2),
        )
    }
)


@dataclass(frozen=True, slots=True)
class _Check:
    """What one object is held against."""

    ours: Ours
    levels: Mapping[str, AllowList]
    identity: frozenset[str]


def release(blob: bytes, *, result: Result, box: BoxIdentity, identity: frozenset[str]) -> None:
    """Let `blob` pass, or raise.

    Parameters
    ----------
    blob : bytes
        The encoded object: a whole DICOM file.
    identity : frozenset of str
        The union of `identity_tokens` of every source image.

    Raises
    ------
    GateHit
        With `reason` one of `unreadable`, `not-allowed:ATTRIBUTE`, `not-ours:ATTRIBUTE`,
        `identity-in-text:ATTRIBUTE`, `identity-in-uid`, `identity-in-number`. No message holds a value.
    """
    known = ours(result, box)
    levels, data_set = _open(blob, known.objects)
    check = _Check(known, levels, identity)
    _check_level(data_set, "", check, depth=0)
    _check_received_uids(check)
    _check_received_numbers(result, check)


def release_note(blob: bytes, *, note: Note, box: BoxIdentity) -> None:
    """Let a rejection note pass, or raise GateHit as `release` does.

    The images are going, and nobody asks them again: every UID in a note has passed the gate before, in a result that
    was sent.
    """
    known = ours_of_note(note, box)
    levels, data_set = _open(blob, known.objects)
    _check_level(data_set, "", _Check(known, levels, frozenset()), depth=0)


def is_whole(blob: bytes, sop_instance_uid: UID, sop_class_uid: UID) -> bool:
    """Whether `blob` is from its first to its last byte what the emitter writes: false for what a power cut tore.

    A lenient parser takes a shortened file, or one with a page of zeros, for a shorter report.
    """
    try:
        levels, data_set = _open(blob, {sop_instance_uid: sop_class_uid})
        _walk(data_set, "", levels)
    except GateHit:
        return False
    return True


def _walk(data_set: bytes, level: str, levels: Mapping[str, AllowList]) -> None:
    for element in _elements(data_set):
        rule = levels[level].get(element.tag)
        if rule is None:
            raise _unreadable()
        if rule.kind is Kind.ITEMS:
            for item in _items(element.value or b"", rule.keyword):
                _walk(item, rule.items, levels)
        elif rule.kind is Kind.CODE:
            for item in _items(element.value or b"", rule.keyword):
                list(_elements(item))


def _open(blob: bytes, objects: Mapping[str, str]) -> tuple[Mapping[str, AllowList], bytes]:
    """The allow-list and the data set of `blob`, if it is one of `objects`: SOP Class UID by SOP Instance UID."""
    # Preamble and File Meta Information are constants but for the UIDs, so they are compared whole.
    for sop_instance_uid, sop_class_uid in objects.items():
        head = part10(sop_class_uid, sop_instance_uid, b"")
        if blob.startswith(head) and sop_class_uid in ALLOWED:
            return ALLOWED[sop_class_uid], blob[len(head) :]
    raise _hit("not-allowed", "FileMetaInformation", "the file meta information is not the emitter's")


def _check_level(data_set: bytes, level: str, check: _Check, depth: int) -> None:
    allowed = check.levels[level]
    for element in _elements(data_set):
        rule = allowed.get(element.tag)
        if rule is None or rule.vr != element.VR:
            raise _hit("not-allowed", _name(element), "an attribute is not on the allow-list of its object")
        _check_value(element.value or b"", rule, check, depth)


def _check_value(value: bytes, rule: Rule, check: _Check, depth: int) -> None:
    match rule.kind:
        case Kind.ITEMS:
            if depth >= _MOST_NESTED:
                raise _hit("not-allowed", rule.keyword, "sequences are nested deeper than the emitter nests them")
            for item in _items(value, rule.keyword):
                _check_level(item, rule.items, check, depth + 1)
        case Kind.CODE:
            for item in _items(value, rule.keyword):
                _check_code(item, rule, check)
        case Kind.COORDINATES:
            if value not in check.ours.coordinates:
                raise _hit("not-ours", rule.keyword, "coordinates are not those of this result's regions")
        case Kind.PIXELS:
            if value not in check.ours.pixels:
                raise _hit("not-ours", rule.keyword, "pixels are not the masks of this result")
        case Kind.EMPTY:
            if value:
                raise _refusal(_text(value, rule.vr) or "", rule.keyword, check)
        case _:
            _check_text(_text(value, rule.vr), rule, check)


def _check_text(text: str | None, rule: Rule, check: _Check) -> None:
    if text is None:
        raise _hit("not-ours", rule.keyword, "a text is not ASCII, as everything of ours is")
    if rule.kind is Kind.TEXT:
        _check_words(text, rule.keyword, check)
        return
    known = {
        Kind.CONSTANT: rule.constants,
        Kind.UID: check.ours.uids,
        Kind.NUMBER: check.ours.numbers,
    }[rule.kind]
    values = text.split("\\") if rule.kind is Kind.NUMBER else [text]
    if not known.issuperset(values):
        raise _refusal(text, rule.keyword, check)


def _check_words(text: str, keyword: str, check: _Check) -> None:
    """A text that is ours as a whole, or (Text Value only) words of ours; a plausible word carries no identity."""
    if text in check.ours.texts.get(keyword, ()):
        return
    strange = {word for word in words_of(text) if word not in check.ours.words}
    if keyword not in _COMPOSED or not strange <= check.ours.plausible_words:
        raise _refusal(text, keyword, check)
    if any(_identity_in(word, check) for word in strange):
        raise _refusal(text, keyword, check)


def _check_code(item: bytes, rule: Rule, check: _Check) -> None:
    """A code is ours as a whole: value, scheme and meaning together."""
    texts = []
    for element in _elements(item):
        if (element.tag, element.VR) not in _CODE_ATTRIBUTES:
            raise _hit("not-allowed", _name(element), "an attribute is not on the allow-list of a code")
        texts.append((_CODE_ATTRIBUTES[element.tag, element.VR], _text(element.value or b"", element.VR) or ""))
    triple = tuple(text for _, text in sorted(texts))
    if triple not in check.ours.codes:
        raise _refusal(" ".join(triple), rule.keyword, check)


def _check_received_uids(check: _Check) -> None:
    numbers = numbers_among(check.identity)
    if any(number in uid for number in numbers for uid in check.ours.received_uids):
        raise GateHit(
            "a UID of the source images contains a patient identifier",
            hint="correct the UIDs that the sending device makes, then `edge jobs retry`",
            reason="identity-in-uid",
        )


def _check_received_numbers(result: Result, check: _Check) -> None:
    known = numbers_among(check.identity)
    if any(is_of_patient(number, known) for number in geometry.received_numbers(result)):
        raise GateHit(
            "a window or a place of the source images is a patient identifier",
            hint="correct what the sending device writes, then `edge jobs retry`",
            reason="identity-in-number",
        )


def _elements(data_set: bytes) -> Iterator[RawDataElement]:
    """The elements of one level as pydicom reads them; every byte must belong to one, in ascending order."""
    try:
        elements = list(data_element_generator(BytesIO(data_set), is_implicit_VR=False, is_little_endian=True))
    except Exception:  # noqa: BLE001 - whatever the parser stumbles over, the object is not what the emitter wrote
        raise _unreadable() from None
    last, end = -1, 0
    for element in elements:
        if not isinstance(element, RawDataElement) or element.tag <= last:
            raise _unreadable()
        last, end = element.tag, element.value_tell + element.length
        yield element
    if end != len(data_set):
        raise _unreadable()


def _items(value: bytes, keyword: str) -> Iterator[bytes]:
    """The items of a sequence of defined length, as the emitter writes it."""
    position = 0
    while position < len(value):
        start = position + 8
        end = start + int.from_bytes(value[position + 4 : start], "little")
        if value[position : position + 4] != _ITEM or end > len(value):
            raise _hit("unreadable", keyword, "a sequence is not encoded as the emitter encodes it")
        yield value[start:end]
        position = end


def _text(value: bytes, vr: str | None) -> str | None:
    """The value without its one character of padding, numbers and tags in digits; None when it is not ASCII."""
    form = NUMBER_FORMATS.get(vr or "")
    if form:
        count, rest = divmod(len(value), struct.calcsize(form))
        return None if rest else "\\".join(map(str, struct.unpack(f"<{count}{form}", value)))
    if vr == "AT":
        return "{:04X}{:04X}".format(*struct.unpack("<HH", value)) if len(value) == 4 else None
    if not value.isascii():
        return None
    return value.decode("ascii").removesuffix("\0" if vr == "UI" else " ")


def _identity_in(text: str, check: _Check) -> bool:
    folded = text.upper()
    return any(token in folded for token in check.identity)


def _refusal(text: str, keyword: str, check: _Check) -> GateHit:
    if _identity_in(text, check):
        return _hit("identity-in-text", keyword, "a text holds a word of the source images' identity")
    return _hit("not-ours", keyword, "a value is neither of the emitter, the manifest, the catalogue nor this result")


def _name(element: RawDataElement) -> str:
    known = {attribute.tag: attribute.keyword for attribute in ATTRIBUTES.values()}
    return known.get(element.tag, f"{int(element.tag):08X}")


def _unreadable() -> GateHit:
    return GateHit(
        "the object cannot be parsed back as the emitter wrote it",
        hint="keep the object and report this; `edge jobs retry` makes it anew",
        reason="unreadable",
    )


def _hit(reason: str, keyword: str, what: str) -> GateHit:
    return GateHit(
        what,
        which=keyword,
        hint="report the package or this software; once it is corrected, `edge jobs retry` makes the report anew",
        reason=f"{reason}:{keyword}",
    )
