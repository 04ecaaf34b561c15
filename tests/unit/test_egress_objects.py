"""The gate lets no segmentation and no presentation state pass that is not ours in every element.

All names, IDs and dates are invented.
"""

from __future__ import annotations

import dataclasses

import pytest
from golden.object_cases import BOX, CASES, FORMS, disc, pointed, segmented
from golden.sr_cases import explode, implode

from edge.errors import GateHit
from edge.infer import outbox, parcels
from edge.infer.allow_list import ALLOWED
from edge.infer.egress import release
from edge.infer.provenance import ours
from edge.report.attributes import ATTRIBUTES
from edge.report.encode import part10
from edge.report.kinds import OLD_SR, PR, SEG, SR
from edge.report.objects import build, object_uids

KEYWORDS = {attribute.tag: attribute.keyword for attribute in ATTRIBUTES.values()}
BOTH = {"SEG": (segmented(), SEG), "SEG-no-plane": (CASES["segmented-no-plane"], SEG), "PR": (pointed(), PR)}


def blob_of(name):
    case, kind = BOTH[name]
    return next(each for each in build(case, box=BOX, form=FORMS["3d"]) if each.kind is kind)


def body(name):
    built = blob_of(name)
    head = part10(built.kind.sop_class_uid, built.sop_instance_uid, b"")
    return head, explode(built.blob[len(head) :])


def leaves(elements, path=()):
    for number, (_, _, value) in enumerate(elements):
        if isinstance(value, list) and value:
            for position, item in enumerate(value):
                yield from leaves(item, (*path, (number, position)))
        else:
            yield (*path, (number, -1))


def level_at(elements, path):
    for number, position in path[:-1]:
        elements = elements[number][2][position]
    return elements


def held(name, elements_or_blob, identity=frozenset()):
    blob = elements_or_blob
    if not isinstance(blob, bytes):
        blob = body(name)[0] + implode(elements_or_blob)
    with pytest.raises(GateHit) as caught:
        release(blob, result=BOTH[name][0], box=BOX, identity=frozenset(identity))
    return caught.value.reason


def changed(vr, value):
    """Another value of the same kind: a name, another number, one bit."""
    if vr in (b"US", b"UL", b"SL", b"FL", b"OB", b"AT"):
        return bytes([value[0] ^ 0x80, *value[1:]])
    return b"19700102" if vr in (b"DS", b"IS", b"DA", b"TM") else b"INVENTED MELCHIOR"


@pytest.mark.parametrize("name", BOTH)
def test_every_value_that_is_changed_is_held(name):
    _, whole = body(name)
    seen = set()
    for path in leaves(whole):
        _, elements = body(name)
        level, number = level_at(elements, path), path[-1][0]
        tag, vr, value = level[number]
        if vr == b"SQ":
            continue
        if (tag, value) in seen:  # frames repeat each other
            continue
        seen.add((tag, value))
        if not value:
            level[number] = (tag, vr, b"INVENTED^MELCHIOR")
        else:
            level[number] = (tag, vr, changed(vr, value))
        reason = held(name, elements, {"MELCHIOR"})
        assert KEYWORDS[tag] in reason or "Cod" in KEYWORDS[tag], KEYWORDS[tag]
        if vr not in (b"US", b"UL", b"SL", b"FL", b"OB", b"AT", b"DS", b"IS", b"DA", b"TM", b"UI"):
            assert reason.startswith("identity-in-text:")
    assert len(seen) > 40


@pytest.mark.parametrize("name", BOTH)
def test_an_element_more_is_held_at_every_level(name):
    _, whole = body(name)
    for path in {path[:-1] for path in leaves(whole)}:
        _, elements = body(name)
        level = level_at(elements, (*path, (0, 0)))
        level.append((0x00104000, b"LT", b"INVENTED"))
        level.sort(key=lambda element: element[0])
        assert held(name, elements) == "not-allowed:00104000"


@pytest.mark.parametrize("name", BOTH)
def test_a_torn_or_foreign_object_is_held(name):
    blob = blob_of(name).blob

    assert held(name, blob[:-1])
    assert held(name, blob[: len(blob) // 2])
    assert held(name, blob + b"INVENTED")
    other = next(each for each in build(segmented(revision=2, report_uid="2.25.9"), box=BOX, form=FORMS["3d"]))
    assert held(name, other.blob) == "not-allowed:FileMetaInformation"


def test_masks_of_another_result_are_held():
    case = segmented()
    lung = dataclasses.replace(case.segments[0], masks=tuple(disc(source, 31, 21, 9) for source in case.sources[:3]))
    other = segmented(segments=(lung, case.segments[1]))
    (seg,) = (each for each in build(other, box=BOX, form=FORMS["3d"]) if each.kind is SEG)

    with pytest.raises(GateHit, match="PixelData"):
        release(seg.blob, result=case, box=BOX, identity=frozenset())


@pytest.mark.parametrize("kind", [SEG, PR], ids=["SEG", "PR"])
def test_the_emitter_writes_all_that_the_list_names_and_nothing_else(kind):
    written = set()

    def collect(elements):
        for tag, _, value in elements:
            written.add(KEYWORDS[tag])
            for item in value if isinstance(value, list) else ():
                collect(item)

    for case in CASES.values():
        for built in build(case, box=BOX, form=FORMS["3d"]):
            if built.kind is kind:
                head = part10(kind.sop_class_uid, built.sop_instance_uid, b"")
                collect(explode(built.blob[len(head) :]))
    listed = {rule.keyword for level in ALLOWED[kind.sop_class_uid].values() for rule in level.values()}

    assert written - {"CodeValue", "CodingSchemeDesignator", "CodeMeaning"} == listed


def test_every_object_has_a_uid_of_its_own():
    case = segmented()
    uids = [(each.sop_instance_uid, each.blob) for form in FORMS.values() for each in build(case, box=BOX, form=form)]

    assert len({blob for _, blob in uids}) == len({uid for uid, _ in uids}) == len(object_uids(case))
    assert set(object_uids(case).values()) == {SR, OLD_SR, SEG}
    assert {uid for uid, _ in uids} == ours(case, BOX).objects.keys()
    assert case.report_uid in object_uids(case)


def test_a_report_follows_what_it_refers_to():
    for case in CASES.values():
        for form in FORMS.values():
            order = [each.kind.modality for each in build(case, box=BOX, form=form)]
            assert order[-1] == "SR"
            assert order.count("SR") == 1


def test_the_parcels_of_an_urgent_finding_are_urgent_also_when_adopted(tmp_path):
    wanted = {"archive": FORMS["no-segments"]}
    for name in ("urgent", "pointed"):
        made = parcels.make(CASES[name], BOX, wanted)
        ((uid, built),) = made.built.items()
        outbox.write(tmp_path, uid, built.blob)
        written = outbox.find(tmp_path, uid)

        assert made.urgent == (name == "urgent")
        assert parcels.adopted(uid, written, wanted) == made
