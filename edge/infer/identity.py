"""What the images of a result say about their patient, as words: the egress gate's second net looks for them.

Comes in: a received data set, however broken. Goes out: upper-case tokens, never stored, never logged. An element
that cannot be decoded gives the tokens of its raw bytes; nothing here raises.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

UID_MARK = "uid:"
"""A token that begins so must not occur in a UID either. Lower case, so it is never a word's token."""

_TEXT_VRS = frozenset({"PN", "LO", "SH", "ST", "LT", "UT", "UC", "DA", "DT", "TM", "AS", "AE", "UN"})
_PATIENT_ID, _ACCESSION_NUMBER, _BIRTH_DATE = 0x00100020, 0x00080050, 0x00100030
_NEVER_IN_A_UID = frozenset({_PATIENT_ID, _ACCESSION_NUMBER, _BIRTH_DATE})
_SPECIFIC_CHARACTER_SET = 0x00080005
_SHORTEST = 4
_SHORTEST_IN_UID = 5
_LONGEST_SCANNED = 1 << 20
_DELIMITERS = frozenset(b"\\^=")
_WORD = re.compile(r"\w+")
_GROUP = re.compile(r"[\\=]+")
_PART = re.compile(r"[\\^=\r\n\0]+")
_DIGITS = re.compile(r"[0-9]+")
_SEPARATORS = re.compile(r"[\s\-/._\0]")
_PRINTABLE = re.compile(rb"[\x20-\x7e]{4,}")


def identity_tokens(dataset: Dataset) -> frozenset[str]:
    """The identifying words of `dataset`, of its private and nested elements too.

    Tokens are whole values, name components and words of at least 4 bytes (UTF-8), in upper case; every run of at
    least 5 digits of a PatientID, accession number or birth date comes a second time behind `UID_MARK`.
    """
    tokens: set[str] = set()
    _collect(dataset, ["iso8859"], tokens)
    return frozenset(tokens)


def patient_numbers(dataset: Dataset) -> frozenset[str]:
    """The runs of at least 5 digits of the data set's own PatientID, accession number and birth date."""
    tokens: set[str] = set()
    encodings = _encodings(dataset, ["iso8859"])
    for tag in _NEVER_IN_A_UID:
        with contextlib.suppress(Exception):  # what cannot be read here is met again by the gate, as bytes
            if tag in dataset:
                _collect_element(dataset, BaseTag(tag), encodings, tokens)
    return numbers_among(tokens)


def numbers_among(tokens: Iterable[str]) -> frozenset[str]:
    """The patient's numbers among identity tokens."""
    return frozenset(token.removeprefix(UID_MARK) for token in tokens if token.startswith(UID_MARK))


def is_of_patient(number: str, numbers: frozenset[str]) -> bool:
    """Whether a decimal string is, but for sign and point, one of the patient's numbers."""
    digits = number.lstrip("-")
    return bool({digits.partition(".")[0], digits.replace(".", "")} & numbers)


def _collect(dataset: Dataset, encodings: list[str], tokens: set[str]) -> None:
    encodings = _encodings(dataset, encodings)
    for tag in list(dataset.keys()):
        try:
            _collect_element(dataset, tag, encodings, tokens)
        except Exception:  # noqa: BLE001 - hostile values raise anything; their bytes still count
            _collect_raw(dataset, tag, tokens)


def _encodings(dataset: Dataset, inherited: list[str]) -> list[str]:
    try:
        if _SPECIFIC_CHARACTER_SET not in dataset:
            return inherited
        return list(convert_encodings(dataset[_SPECIFIC_CHARACTER_SET].value))
    except Exception:  # noqa: BLE001 - an unknown character set: bytes are read as Latin-1
        return inherited


def _collect_element(dataset: Dataset, tag: BaseTag, encodings: list[str], tokens: set[str]) -> None:
    element = dataset.get_item(tag)
    vr = element.VR or _implied_vr(tag)
    if vr == "SQ":
        if isinstance(element.value, bytes):
            _add_bytes(element.value, tokens)  # a broken sequence may parse into less than it holds
        for item in dataset[tag].value:
            _collect(item, encodings, tokens)
    elif vr in _TEXT_VRS:
        _add_value(element, int(tag), vr, encodings, tokens)


def _implied_vr(tag: BaseTag) -> str:
    """Implicit VR: the dictionary's, and UN for private and unknown elements."""
    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return "UN"


def _add_value(
    element: RawDataElement | DataElement, tag: int, vr: str, encodings: list[str], tokens: set[str]
) -> None:
    value = element.value
    if isinstance(value, bytes):
        if vr == "UN":
            _add_bytes(value, tokens)
        text = decode_bytes(value[:_LONGEST_SCANNED], encodings, set(_DELIMITERS))
    else:
        text = _as_text(value)
    tokens.update(_tokens(text))
    if tag in _NEVER_IN_A_UID:
        tokens.update(_uid_tokens(text))


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__") or hasattr(value, "components"):
        return str(value)
    return "\\".join(str(part) for part in value)


def _tokens(text: str) -> Iterator[str]:
    folded = text.upper()
    for part in (folded, *_GROUP.split(folded), *_PART.split(folded), *_WORD.findall(folded)):
        stripped = part.strip(" \0\r\n^=\\")
        if len(stripped.encode("utf-8", "replace")) >= _SHORTEST:
            yield stripped


def _uid_tokens(text: str) -> Iterator[str]:
    """The forms in which a UID could carry the value: its digits, whole or in runs, also without leading zeros."""
    for part in text.split("\\"):
        bare = _SEPARATORS.sub("", part)
        forms = {part.strip(" \0")} if bare.isascii() and bare.isdigit() else set()
        for run in (*_DIGITS.findall(part), *_DIGITS.findall(bare)):
            forms |= {run, run.lstrip("0")}
        yield from (f"{UID_MARK}{form}" for form in forms if len(form) >= _SHORTEST_IN_UID and form.strip("."))


def _collect_raw(dataset: Dataset, tag: BaseTag, tokens: set[str]) -> None:
    value = None
    with contextlib.suppress(Exception):  # pydicom converts an element without a value even here
        value = dataset.get_item(tag).value
    if isinstance(value, bytes):
        _add_bytes(value, tokens)
    elif isinstance(value, str):
        tokens.update(_tokens(value))


def _add_bytes(value: bytes, tokens: set[str]) -> None:
    for run in _PRINTABLE.findall(value[:_LONGEST_SCANNED]):
        tokens.update(_tokens(run.decode("ascii")))
