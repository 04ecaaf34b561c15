"""What others make of our segmentations, and of all objects before and after relink: dciodvfy, highdicom."""

from __future__ import annotations

import re
from io import BytesIO

import highdicom
import numpy as np
import pydicom
import pytest
from golden import object_cases
from golden.object_cases import BOX, CASES, FORMS, pointed, segmented
from golden.objects import filed, mixed, objects, of_kind, tool

from edge.infer.egress import release
from edge.part10 import split
from edge.relink import result as relink_result
from edge.report.kinds import PR, SEG, Form
from edge.report.objects import build
from edge.report.segmentation import build_segmentations

EXPECTED = (
    "needed to build DICOMDIR",  # Patient ID, Study Date, Time and ID are empty: that is the promise
    "Unrecognized defined term <99EDGE>",
    "UI Device UID",  # newer than the tool, wanted by IHE AIR
    "Standard Extended SOP Class",
    "only permitted to be empty when actually unknown",  # Laterality of a presentation state: it is unknown to us
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_dciodvfy_finds_no_error_and_the_gate_lets_it_pass(name, form, tmp_path):
    for number, each in enumerate(objects(CASES[name], form)):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(each.blob)
        said = tool("dciodvfy", path).splitlines()

        release(each.blob, result=CASES[name], box=BOX, identity=frozenset({"MELCHIOR"}))
        unexpected = [
            line
            for line in said
            if line.startswith(("Error", "Warning")) and not any(known in line for known in EXPECTED)
        ]
        assert unexpected == []


def unpacked(mask):
    bits = np.unpackbits(np.frombuffer(mask.bits, np.uint8), count=mask.rows * mask.columns, bitorder="little")
    return bits.reshape(mask.rows, mask.columns)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].segments and name != "segmented-frames"])
def test_highdicom_reads_the_same_masks_of_the_same_images(name):
    case = CASES[name]
    expected = {
        (segment.code.meaning, mask.source): unpacked(mask) for segment in case.segments for mask in segment.masks
    }
    found = {}
    for _, blob in build_segmentations(case, box=BOX):
        seg = highdicom.seg.segread(BytesIO(blob))
        for number in seg.segment_numbers:
            label = seg.get_segment_description(number).segment_label
            for *_, uid in seg.get_source_image_uids():
                pixels = seg.get_pixels_by_source_instance([uid], segment_numbers=[number])[0, :, :, 0]
                if pixels.any():
                    found[label, uid] = pixels

    assert found.keys() == expected.keys()
    assert all((found[key] == expected[key]).all() for key in expected)


@pytest.mark.filterwarnings("ignore")
def test_highdicom_reads_the_masks_of_frames():
    case = CASES["segmented-frames"]
    masks = case.segments[0].masks
    ((_, blob),) = build_segmentations(case, box=BOX)
    seg = highdicom.seg.segread(BytesIO(blob))

    pixels = seg.get_pixels_by_source_frame(case.sources[0].sop_instance_uid, [3, 7], segment_numbers=[1])[..., 0]

    assert (pixels[0] == unpacked(masks[1])).all()
    assert (pixels[1] == unpacked(masks[0])).all()


def test_a_slice_lies_where_its_image_lies():
    (seg,) = of_kind(segmented(), SEG)
    frames = seg.PerFrameFunctionalGroupsSequence
    shared = seg.SharedFunctionalGroupsSequence[0]

    assert seg.FrameOfReferenceUID == object_cases.FRAME_OF_REFERENCE
    assert [float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) for frame in frames] == [0, 2.5, 5, 7.5]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.7, 0.7]
    assert [list(frame.FrameContentSequence[0].DimensionIndexValues) for frame in frames] == [
        [1, 1],
        [1, 2],
        [1, 3],
        [2, 4],
    ]


def test_one_thing_has_one_tracking_uid_in_all_objects():
    case = mixed()
    report = next(each for each in objects(case) if each.kind.modality == "SR")
    (seg,) = of_kind(case, SEG)
    (state,) = of_kind(case, PR)

    def groups(dataset):
        for item in dataset.get("ContentSequence", ()):
            if item.ConceptNameCodeSequence[0].CodeValue == "125007":
                codes = {child.ConceptNameCodeSequence[0].CodeValue: child for child in item.ContentSequence}
                if "121071" in codes:
                    yield codes["121071"].ConceptCodeSequence[0].CodeMeaning, codes["112040"].UID
            yield from groups(item)

    said = dict(groups(pydicom.dcmread(BytesIO(report.blob))))
    drawn = {graphic.TrackingUID for item in state.GraphicAnnotationSequence for graphic in item.GraphicObjectSequence}
    assert drawn == {said["Pneumonia"], said["Pleural effusion"]}
    assert {segment.SegmentLabel: segment.TrackingUID for segment in seg.SegmentSequence} == {
        "Lung": said["Lung"],
        "Pleural effusion": said["Pleural effusion"],
    }


@pytest.mark.filterwarnings("ignore")
def test_highdicom_reads_findings_segments_and_measurements_of_the_report():
    case = segmented()
    report = objects(case)[-1]
    content = highdicom.sr.srread(BytesIO(report.blob)).content
    (seg,) = of_kind(case, SEG)
    volumes = content.get_volumetric_roi_measurement_groups()
    images = [group for group in content.get_image_measurement_groups() if group.finding_type is not None]

    def measured(group):
        return {item.name.meaning: (item.value, item.unit.value) for item in group.get_measurements()}

    by_name = {group.finding_type.meaning: group for group in volumes}
    assert set(by_name) == {"Pleural effusion", "Lung"}
    for name, number in (("Lung", 1), ("Pleural effusion", 2)):
        assert by_name[name].reference_type.meaning == "Referenced Segment"
        reference = next(item for item in by_name[name][0].ContentSequence if "ReferencedSOPSequence" in item)
        assert reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert reference.ReferencedSOPSequence[0].ReferencedSegmentNumber == number
    assert measured(by_name["Lung"])["Volume"] == (2345.6, "mL")
    assert measured(by_name["Pleural effusion"])["Volume"] == (12.3457, "mL")
    assert [group.finding_type.meaning for group in images] == ["Pneumonia", "Long Axis"]
    assert measured(images[1])["Long Axis"] == (7.5, "mm")


@pytest.mark.filterwarnings("ignore")
def test_highdicom_reads_several_regions_of_one_finding():
    content = highdicom.sr.srread(BytesIO(objects(CASES["several-regions"])[-1].blob)).content
    (group,) = content.get_volumetric_roi_measurement_groups()

    assert len(group.roi) == 2
    assert group.finding_type.meaning == "Pneumonia"


def test_no_object_names_a_date_or_a_person():
    for each in objects(mixed()):
        dataset = pydicom.dcmread(BytesIO(each.blob))
        dates = {element.value for element in dataset.iterall() if element.VR in ("DA", "TM", "DT", "PN")}
        assert {str(value) for value in dates} <= {"", "20000101", "000000"}
        assert not re.search(rb"INVENTED\^", each.blob)


@pytest.mark.parametrize("name", CASES)
def test_the_relink_gateway_takes_every_object_and_finds_its_evidence(name, tmp_path):
    case = CASES[name]
    images = {source.sop_instance_uid for source in case.sources}
    made = {each.sop_instance_uid for each in objects(case) if each.kind is SEG}
    for each in objects(case):
        parts = split(each.blob)
        arrived = relink_result.read(parts.sop_class_uid, parts.sop_instance_uid, parts.data_set)
        named = {uid for instances in arrived.evidence.values() for uid in instances}
        assert named <= images | made
        assert named
        assert each.kind.modality != "SR" or named == images | made
        (tmp_path / "filed.dcm").write_bytes(filed(each.blob))
        said = tool("dciodvfy", tmp_path / "filed.dcm").splitlines()
        assert [line for line in said if line.startswith("Error")] == []


def test_attention_never_becomes_a_segment():
    assert of_kind(pointed(), SEG) == []
    assert [each.kind.modality for each in build(pointed(), box=BOX, form=Form())] == ["SR"]
