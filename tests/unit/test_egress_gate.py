"""Nothing passes the gate that is not provably ours; nothing of ours is held because of a patient's name.

All names, IDs and dates are invented.
"""

from __future__ import annotations

import dataclasses

import pytest
from golden import sr_cases
from golden.sr_cases import BOX, DETECTED, explode, finding, implode, result
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import GateHit
from edge.infer.allow_list import ALLOWED
from edge.infer.egress import release
from edge.infer.identity import UID_MARK
from edge.infer.provenance import ours
from edge.records import UID, Code, Outcome
from edge.report.attributes import ATTRIBUTES
from edge.report.encode import part10
from edge.report.sr import COMPREHENSIVE_3D_SR, build_sr

BLOB = build_sr(DETECTED, box=BOX)
HEAD = part10(COMPREHENSIVE_3D_SR, DETECTED.report_uid, b"")
NUMERIC_VRS = (b"FL",)
INVENTED = "MELCHIOR"


def leaves(elements, path=()):
    """The path of every element that is no sequence of items."""
    for number, (_, _, value) in enumerate(elements):
        if isinstance(value, list) and value:
            for position, item in enumerate(value):
                yield from leaves(item, (*path, (number, position)))
        else:
            yield (*path, (number, -1))


def levels(elements, path=()):
    """The path of every data set and item."""
    yield path
    for number, (_, _, value) in enumerate(elements):
        if isinstance(value, list):
            for position, item in enumerate(value):
                yield from levels(item, (*path, (number, position)))


def at(elements, path):
    for number, position in path:
        elements = elements[number][2][position]
    return elements


def changed(path, change):
    """The report with the value at `path` put through `change`."""
    elements = explode(BLOB[len(HEAD) :])
    level = at(elements, path[:-1])
    number = path[-1][0]
    tag, vr, value = level[number]
    level[number] = (tag, vr, change(value if isinstance(value, bytes) else b""))
    return HEAD + implode(elements)


def added(path, tag, vr, value):
    """The report with one more element in the data set or item at `path`."""
    elements = explode(BLOB[len(HEAD) :])
    level = at(elements, path)
    level.append((tag, vr, value))
    level.sort(key=lambda element: element[0])
    return HEAD + implode(elements)


def held(blob, identity=frozenset(), case=DETECTED):
    with pytest.raises(GateHit) as caught:
        release(blob, result=case, box=BOX, identity=frozenset(identity))
    return caught.value


LEAVES = sorted(set(leaves(explode(BLOB[len(HEAD) :]))))
LEVELS = sorted(set(levels(explode(BLOB[len(HEAD) :]))))
TEXT_LEAVES = [
    path for path in LEAVES if at(explode(BLOB[len(HEAD) :]), path[:-1])[path[-1][0]][1] not in (*NUMERIC_VRS, b"SQ")
]
OUR_WORDS = ours(DETECTED, BOX).words

tokens = (
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=4, max_size=20)
    .map(str.upper)
    .filter(lambda token: any(c.isalnum() for c in token) and not any(token in word for word in OUR_WORDS))
)
numbers = st.dates().map(lambda date: date.strftime("%Y%m%d")).filter(lambda date: len(date) == 8)


@pytest.mark.parametrize("name", sr_cases.CASES)
def test_everything_the_emitter_makes_passes(name):
    case = sr_cases.CASES[name]

    release(build_sr(case, box=BOX), result=case, box=BOX, identity=frozenset({"INVENTED^PATIENT"}))


def test_taking_apart_and_putting_together_changes_nothing():
    assert HEAD + implode(explode(BLOB[len(HEAD) :])) == BLOB
    assert len(TEXT_LEAVES) > 300


@given(
    st.sampled_from(TEXT_LEAVES), st.one_of(tokens, numbers), st.sampled_from(["before", "after", "instead", "amid"])
)
def test_an_identity_token_planted_anywhere_is_held(path, token, where):
    planted = token.encode()

    def plant(value):
        middle = len(value) // 2
        return {
            "before": planted + b" " + value,
            "after": value.rstrip(b" \0") + b" " + planted,
            "instead": planted,
            "amid": value[:middle] + planted + value[middle:],
        }[where]

    hit = held(changed(path, plant), {token})

    assert token not in str(hit)
    assert token not in hit.reason


@pytest.mark.parametrize("path", LEAVES, ids=str)
def test_every_value_is_looked_at(path):
    """One foreign value in each attribute of a report: none of them is on trust."""
    elements = explode(BLOB[len(HEAD) :])
    _, vr, _ = at(elements, path[:-1])[path[-1][0]]
    foreign = bytes(8) if vr == b"FL" else INVENTED.encode()

    hit = held(changed(path, lambda _: foreign), {INVENTED})

    assert hit.reason.startswith(("identity-in-text:", "not-ours:", "unreadable:"))
    assert INVENTED not in str(hit)


@given(
    st.sampled_from(LEVELS),
    st.integers(0x00080000, 0x7FDFFFFF),
    st.sampled_from([b"LO", b"UT", b"PN", b"UN", b"DA", b"UI"]),
)
def test_an_attribute_that_is_not_on_the_list_is_held(path, tag, vr):
    known = {attribute.tag for attribute in ATTRIBUTES.values()}
    if tag in known or tag & 0xFFFF == 0:
        return

    hit = held(added(path, tag, vr, b""))

    assert hit.reason in (f"not-allowed:{tag:08X}", "unreadable")


@pytest.mark.parametrize("tag", [0x00090010, 0x00291010, 0x00104000, 0x00321032, 0x00400244, 0x00081030])
def test_private_and_patient_attributes_are_refused_even_empty(tag):
    assert held(added((), tag, b"LO", b"")).reason == f"not-allowed:{tag:08X}"


def test_a_known_attribute_in_the_wrong_place_is_held():
    path = next(path for path in LEVELS if len(path) == 2)

    assert held(added(path, ATTRIBUTES["PatientID"].tag, b"LO", b"")).reason == "not-allowed:PatientID"


def test_a_known_attribute_with_another_vr_is_held():
    elements = explode(BLOB[len(HEAD) :])
    index = next(i for i, element in enumerate(elements) if element[0] == ATTRIBUTES["PatientName"].tag)
    elements[index] = (elements[index][0], b"UT", b"")

    assert held(HEAD + implode(elements)).reason == "not-allowed:PatientName"


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        BLOB[:200],
        BLOB[:-1],
        BLOB + b"x",
        BLOB + b"\xfe\xff\x0d\xe0\0\0\0\0MELCHIOR",
        b"x" + BLOB[1:],
        BLOB.replace(b"EDGE", b"DOES", 1),
        BLOB[: len(HEAD)] + BLOB[len(HEAD) :][::-1],
    ],
    ids=["empty", "head", "cut", "longer", "hidden tail", "preamble", "meta", "backwards"],
)
def test_what_is_not_the_emitters_encoding_is_held(blob):
    assert held(blob).reason.split(":")[0] in ("unreadable", "not-allowed")


def test_the_report_of_another_result_is_held():
    other = result(report_uid=UID("2.25.1"))

    assert held(build_sr(other, box=BOX)).reason == "not-allowed:FileMetaInformation"


@pytest.mark.parametrize(
    "name",
    [
        "PNEUMONIA",
        "PLEURAL EFFUSION",
        "PRESENT",
        "DETECTED",
        "CLINICAL",
        "EDGE",
        "MODEL",
        "INVENTED",
        "CPUEXECUTIONPROVIDER",
        "PERCENT",
        "0.9312",
        "2000",
        "20000101",
        "山田^太郎",
        "👩‍⚕️👩‍⚕️",
    ],
)
def test_a_name_that_is_one_of_our_words_holds_nothing(name):
    """A patient called as a code's meaning must not hold every report."""
    package = dataclasses.replace(sr_cases.PACKAGE, vendor="Invented Imaging")
    case = dataclasses.replace(DETECTED, package=package)

    release(build_sr(case, box=BOX), result=case, box=BOX, identity=frozenset({name, *name.split()}))


@pytest.mark.parametrize("planted", ["山田^太郎", "👩‍⚕️ Invented", "ÅNGSTRÖM", "Ivanov^Иван"])
def test_what_is_not_ascii_is_never_ours(planted):
    path = next(path for path in TEXT_LEAVES if len(path) > 3)

    assert held(changed(path, lambda value: value + planted.encode()), {planted.upper()}).reason.startswith("not-ours:")


@pytest.mark.parametrize(
    ("study", "mark", "expected"),
    [
        ("1.2.3.19700102.5", "19700102", "identity-in-uid"),
        ("1.2.3.4711815.5", "4711815", "identity-in-uid"),
        ("1.2.3.19700102.5", "19700103", None),
        ("1.2.3.5", "10008", None),
        ("1.2.3.5", "80043", "identity-in-uid"),
    ],
)
def test_a_received_uid_must_not_carry_an_identifier(study, mark, expected):
    case = result(study_instance_uid=UID(study))
    blob = build_sr(case, box=BOX)
    identity = frozenset({f"{UID_MARK}{mark}", mark})

    if expected is None:
        release(blob, result=case, box=BOX, identity=identity)
    else:
        hit = held(blob, identity, case)
        assert hit.reason == expected
        assert mark not in str(hit)


def test_a_word_inside_a_uid_is_no_reason_to_hold():
    release(BLOB, result=DETECTED, box=BOX, identity=frozenset({"3680043", "8.498.701"}))


def test_a_uid_that_contains_our_own_hash_by_chance_is_ours():
    digits = DETECTED.report_uid[8:13]

    release(BLOB, result=DETECTED, box=BOX, identity=frozenset({f"{UID_MARK}{digits}"}))


def test_a_private_sop_class_is_a_received_uid():
    source = dataclasses.replace(sr_cases.IMAGE, sop_class_uid=UID("1.2.840.10008.5.1.4.1.1.4711815"))
    case = result(sources=(source,))

    assert held(build_sr(case, box=BOX), {f"{UID_MARK}4711815"}, case).reason == "identity-in-uid"


def test_a_provider_named_as_the_patient_is_held():
    case = result(provider="INVENTEDPROVIDER")
    blob = build_sr(case, box=BOX)

    release(blob, result=case, box=BOX, identity=frozenset({"SOMEBODY"}))
    assert held(blob, {"DPROVIDER"}, case).reason == "identity-in-text:TextValue"


@pytest.mark.parametrize("provider", ["Doe^John", "a b", "x" * 41])
def test_a_provider_that_is_no_name_of_one_is_held(provider):
    case = result(provider=provider)

    assert held(build_sr(case, box=BOX), case=case).reason == "not-ours:TextValue"


def test_a_reason_may_carry_a_keyword_and_nothing_else():
    def case(reason):
        return result(outcome=Outcome.NOT_ATTEMPTED, reason=reason, findings=())

    for reason in ("not-applicable", "not-applicable:PatientAge", "not-applicable:InputMean"):
        allowed = case(reason)
        release(build_sr(allowed, box=BOX), result=allowed, box=BOX, identity=frozenset({"PATIENTAGE"}))

    smuggled = case("not-applicable:DOE")
    assert held(build_sr(smuggled, box=BOX), case=smuggled).reason == "not-ours:TextValue"


def test_a_code_is_ours_only_as_a_whole():
    case = result(findings=(finding(code=Code("233604007", "SCT", "Invented Patient")),))

    assert held(build_sr(case, box=BOX), case=dataclasses.replace(case, findings=(finding(),))).reason.startswith(
        "not-ours"
    )


def test_a_birth_date_as_a_number_is_held():
    path = next(
        path
        for path in TEXT_LEAVES
        if at(explode(BLOB[len(HEAD) :]), path[:-1])[path[-1][0]][0] == ATTRIBUTES["NumericValue"].tag
    )

    assert held(changed(path, lambda _: b"19700102"), {"19700102"}).reason == "identity-in-text:NumericValue"


def test_a_modality_from_the_source_never_reaches_the_report():
    source = dataclasses.replace(sr_cases.IMAGE, modality="DOE^JOHN", patient_orientation=("DOE", "JOHN"))
    case = result(sources=(source,))
    blob = build_sr(case, box=BOX)

    assert b"DOE" not in blob
    release(blob, result=case, box=BOX, identity=frozenset({"DOE^JOHN", "JOHN"}))


def test_long_names_are_not_held_for_being_cut():
    package = dataclasses.replace(sr_cases.PACKAGE, name="a" + "-long-name" * 6)
    case = dataclasses.replace(DETECTED, package=package)

    release(build_sr(case, box=BOX), result=case, box=BOX, identity=frozenset())


def test_nesting_without_end_is_held():
    elements = explode(BLOB[len(HEAD) :])
    content = next(element for element in elements if element[0] == ATTRIBUTES["ContentSequence"].tag)
    for _ in range(40):
        content = (content[0], b"SQ", [[content]])
    deep = [content if element[0] == content[0] else element for element in elements]

    assert held(HEAD + implode(deep)).reason == "not-allowed:ContentSequence"


def test_the_emitter_writes_nothing_that_the_list_does_not_name_and_the_list_nothing_needless():
    listed = {rule.keyword for levels in ALLOWED.values() for level in levels.values() for rule in level.values()}
    meta_and_codes = {attribute.keyword for attribute in ATTRIBUTES.values() if attribute.tag < 0x00030000} | {
        "CodeValue",
        "LongCodeValue",
        "CodingSchemeDesignator",
        "CodeMeaning",
    }

    assert listed | meta_and_codes == set(ATTRIBUTES)
