"""A filed result as HL7 v2.5.1 ORU^R01: PID, OBR, and an OBX for study, sentence, and each finding and number.

Result status P (preliminary): nobody has verified it. The control id follows from the report's SOP Instance UID, so a
receiver can tell a repeated message.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from edge.records import Code
from edge.relink.person import Person
from edge.report.reader import FindingView, ReportView

_ESCAPES: Mapping[str, str] = MappingProxyType({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})
_SEX: Mapping[str, str] = MappingProxyType({"M": "M", "F": "F", "O": "O"})
_REPORT = Code("18748-4", "LN", "Diagnostic imaging report")
_STUDY = Code("113014", "DCM", "Study")
_COMMENT = Code("121106", "DCM", "Comment")
_CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
_OUTPUT = Code("model-output", "99EDGE", "Model output, not a probability")


def message(view: ReportView, person: Person, now: datetime.datetime) -> bytes:
    """The message in UTF-8, segments ended by CR."""
    segments = [_msh(view, now), _pid(person), _obr(view, person, now)]
    segments += [f"OBX|{number}|{each}" for number, each in enumerate(_observations(view), 1)]
    return "".join(f"{each}\r" for each in segments).encode("utf-8")


def accepts(answer: bytes) -> str:
    """The acknowledgement code (MSA-1) of an answer, empty when it is none."""
    for segment in answer.decode("utf-8", "replace").replace("\n", "\r").split("\r"):
        fields = segment.split("|")
        if fields[0] == "MSA" and len(fields) > 1 and fields[1] in ("AA", "AE", "AR", "CA", "CE", "CR"):
            return fields[1]
    return ""


def _msh(view: ReportView, now: datetime.datetime) -> str:
    control = hashlib.sha256(view.sop_instance_uid.encode()).hexdigest()[:20].upper()
    return f"MSH|^~\\&|EDGE-RELINK||||{now:%Y%m%d%H%M%S}||ORU^R01^ORU_R01|{control}|P|2.5.1||||||UNICODE UTF-8"


def _pid(person: Person) -> str:
    family, given, middle, prefix, suffix = map(_escaped, person.name)
    name = "^".join((family, given, middle, suffix, prefix)).rstrip("^")
    identifier = f"{_escaped(person.patient_id)}^^^{_escaped(person.issuer)}".rstrip("^")
    return f"PID|1||{identifier}||{name}||{_escaped(person.birth_date)}|{_SEX.get(person.sex, 'U')}"


def _obr(view: ReportView, person: Person, now: datetime.datetime) -> str:
    fields = {
        1: "1", 3: view.sop_instance_uid, 4: _coded(_REPORT), 7: _escaped(_moment(person)),
        18: _escaped(person.accession_number), 22: f"{now:%Y%m%d%H%M%S}", 24: "RAD", 25: "P",
    }  # fmt: skip
    return "|".join(["OBR", *(fields.get(number, "") for number in range(1, max(fields) + 1))])


def _observations(view: ReportView) -> Iterator[str]:
    yield _obx("ST", _STUDY, "", view.study_instance_uid)
    yield _obx("TX", _COMMENT, "", _escaped(view.sentence))
    for number, finding in enumerate(view.findings, 1):
        yield from _finding(finding, str(number))


def _finding(finding: FindingView, group: str) -> Iterator[str]:
    yield _obx("CWE", finding.code, group, _coded(finding.presence), flag=_flag(finding))
    if finding.score is not None and finding.calibrated:
        yield _obx("NM", _CERTAINTY, group, f"{100 * finding.score:g}", units="%^Percent^UCUM")
    elif finding.score is not None:
        yield _obx("NM", _OUTPUT, group, f"{finding.score:g}")
    for item in finding.measurements:
        name = Code(item.name, "99EDGE", item.name)
        yield _obx("NM", name, group, _escaped(item.value), units=f"{_escaped(item.unit)}^^UCUM")


def _flag(finding: FindingView) -> str:
    """Abnormal, or critically abnormal (table 0078)."""
    if not finding.present:
        return ""
    return "AA" if finding.urgent else "A"


def _obx(kind: str, name: Code, group: str, value: str, units: str = "", flag: str = "") -> str:
    """An OBX from its second field on; `value` and `units` are escaped already."""
    return f"{kind}|{_coded(name)}|{group}|{value}|{units}||{flag}|||P"


def _coded(code: Code) -> str:
    return "^".join(map(_escaped, (code.value, code.meaning, code.scheme)))


def _moment(person: Person) -> str:
    return person.study_date + person.study_time.partition(".")[0] if person.study_date else ""


def _escaped(text: str) -> str:
    """As HL7 v2 chapter 2.7 wants it; a line end becomes a space."""
    return "".join(_ESCAPES.get(each, " " if each in "\r\n\x0b\x1c" else each) for each in text)
