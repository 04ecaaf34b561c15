"""What others make of our segmentations and presentation states: dciodvfy, highdicom, dcmtk's renderer."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from datetime import datetime
from io import BytesIO

import cv2
import highdicom
import numpy as np
import pydicom
import pytest
import support
from golden import object_cases, sr_cases
from golden.object_cases import BOX, CASES, FORMS, IMAGE_SHOWN, SHOWN, pointed, segmented
from golden.sr_cases import finding
from pydicom.uid import ExplicitVRLittleEndian

from edge.infer import described
from edge.infer.egress import release
from edge.part10 import split
from edge.records import Region
from edge.relink import elements as relinked
from edge.relink import result as relink_result
from edge.relink.merge import merge
from edge.relink.subject import Subject
from edge.report.encode import part10
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
ROWS, COLUMNS = 1000, 1200


def tool(name, *arguments):
    command = [support.tool(name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def objects(case, form="3d"):
    return build(case, box=BOX, form=FORMS[form])


def mixed():
    """Masks on slices, regions on an image."""
    case = segmented()
    return dataclasses.replace(case, sources=(IMAGE_SHOWN, *case.sources), findings=pointed().findings)


def of_kind(case, kind):
    return [pydicom.dcmread(BytesIO(each.blob)) for each in objects(case) if each.kind is kind]


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


def image(pixels, **attributes):
    """A DX image of IMAGE's identity that shows `pixels`."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = IMAGE_SHOWN.sop_class_uid, IMAGE_SHOWN.sop_instance_uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = sr_cases.STUDY, IMAGE_SHOWN.series_instance_uid
    dataset.PatientName, dataset.PatientID, dataset.Modality = "INVENTED^ONE", "INVENTED1", "DX"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, int(pixels.dtype.kind == "i")
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = pixels.tobytes()
    return dataset


def pattern():
    """Slopes in both directions, and a bright plate where the region of the cases lies."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    pixels = ((x * 2 + y) % 3000 + 300).astype(np.uint16)
    pixels[300:380, 200:320] = 4000
    return pixels


LOOKS = {
    "monochrome2-window": {"WindowCenter": "2000", "WindowWidth": "1500"},
    "monochrome1-window": {
        "PhotometricInterpretation": "MONOCHROME1",
        "WindowCenter": "1500",
        "WindowWidth": "2500",
        "PresentationLUTShape": "INVERSE",
    },
    "monochrome2-rescaled": {
        "RescaleSlope": "2",
        "RescaleIntercept": "-1024",
        "RescaleType": "HU",
        "WindowCenter": "3000.5",
        "WindowWidth": "4000",
    },
    "several-windows": {"WindowCenter": ["1000", "2000"], "WindowWidth": ["800", "4000"]},
    "monochrome2-no-window": {},
    "monochrome1-no-window": {"PhotometricInterpretation": "MONOCHROME1"},
}


SUBJECT = Subject(
    {
        element.tag: element
        for element in (
            relinked.element(0x00100010, "PN", b"INVENTED^ONE"),
            relinked.element(0x00100020, "LO", b"INVENTED1"),
            relinked.element(0x00080020, "DA", b"20210304"),
        )
    }
)


def filed(state):
    """A presentation state as the relink gateway files it: dcmtk takes none that is nobody's."""
    parts = split(state)
    syntax = relinked.EXPLICIT_VR_LITTLE_ENDIAN
    merged = merge(relinked.read(parts.data_set, syntax), SUBJECT, datetime(2021, 3, 4, 10, 15))
    return part10(parts.sop_class_uid, parts.sop_instance_uid, relinked.write(merged, syntax))


def shown(folder, dataset, state=None):
    """The gray values that dcmtk shows: of the image alone, or through a presentation state."""
    dataset.save_as(folder / "image.dcm", enforce_file_format=True)
    options = []
    if state is not None:
        (folder / "state.dcm").write_bytes(filed(state))
        options = ["-p", folder / "state.dcm", "+S", folder / "again.dcm"]
    picture = folder / f"{len(options)}.pgm"
    said = tool("dcmp2pgm", *options, folder / "image.dcm", picture)
    assert picture.exists(), said
    return cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)


def source_of(dataset):
    return dataclasses.replace(IMAGE_SHOWN, display=described.display(dataset))


@pytest.mark.parametrize("look", LOOKS)
def test_the_image_looks_as_it_did(look, tmp_path):
    dataset = image(pattern(), **LOOKS[look])
    (state,) = (each.blob for each in objects(pointed(source_of(dataset))) if each.kind is PR)

    alone, through = shown(tmp_path, dataset), shown(tmp_path, dataset, state)

    assert alone.shape == (ROWS, COLUMNS)
    assert np.ptp(alone) > 200
    if look.endswith(
        "no-window"
    ):  # dcmtk stretches an image without a window to its own values; a state cannot ask that
        order = np.argsort(alone, axis=None, kind="stable")
        assert (np.diff(through.ravel()[order].astype(int)) >= -1).all()
    else:
        assert (alone == through).all()


def test_an_inverted_image_would_be_turned_without_us(tmp_path):
    """The test above can fail: with IDENTITY a MONOCHROME1 image comes out as its negative."""
    dataset = image(pattern(), **LOOKS["monochrome1-window"])
    source = source_of(dataset)
    wrong = dataclasses.replace(source, display=dataclasses.replace(source.display, inverted=False))
    (state,) = (each.blob for each in objects(pointed(wrong)) if each.kind is PR)

    negative = 255 - shown(tmp_path, dataset).astype(int)
    assert (abs(negative - shown(tmp_path, dataset, state)) <= 2).all()


def drawn(state):
    """The graphics of a presentation state as a viewer draws them (PS3.3 C.10.5.1.2): corner origin, pixels."""
    (area,) = state.DisplayedAreaSelectionSequence
    columns, rows = area.DisplayedAreaBottomRightHandCorner
    plane = np.zeros((rows, columns), np.uint8)
    for item in state.GraphicAnnotationSequence:
        for graphic in item.GraphicObjectSequence:
            assert graphic.GraphicAnnotationUnits == "PIXEL"
            points = np.reshape(graphic.GraphicData, (-1, 2)) - 0.5  # cv2 counts from the centre of the first pixel
            cv2.polylines(plane, [np.rint(points * 16).astype(np.int32)], False, 255, 1, shift=4)
    return plane


@pytest.mark.parametrize("look", ["monochrome2-window", "monochrome1-window"])
def test_the_overlay_lies_around_what_it_is_about(look, tmp_path):
    dataset = image(pattern(), **LOOKS[look])
    case = pointed(source_of(dataset), findings=(finding(regions=(sr_cases.REGION,)),))
    (state,) = of_kind(case, PR)
    rows, columns = np.nonzero(drawn(state))
    plate_rows, plate_columns = np.nonzero(dataset.pixel_array == 4000)

    for line, plate in ((rows, plate_rows), (columns, plate_columns)):
        assert abs(line.min() - plate.min()) <= 1
        assert abs(line.max() - plate.max()) <= 1
    (item,) = state.GraphicAnnotationSequence
    words = [text.UnformattedTextValue for text in item.TextObjectSequence]
    assert "AI: Pneumonia: detected (score 0.9312, threshold 0.5, not a probability)" in words
    assert any("NOT FOR CLINICAL USE" in text and "Not verified by a physician" in text for text in words)


def test_dcmtk_keeps_every_graphic_and_text(tmp_path):
    case = pointed()
    (before,) = of_kind(case, PR)
    shown(tmp_path, image(pattern()), next(each.blob for each in objects(case) if each.kind is PR))
    after = pydicom.dcmread(tmp_path / "again.dcm")

    def told(state):
        for item in state.GraphicAnnotationSequence:
            yield from (tuple(graphic.GraphicData) for graphic in item.GraphicObjectSequence)
            yield from (text.UnformattedTextValue for text in item.TextObjectSequence)

    assert sorted(map(str, told(after))) == sorted(map(str, told(before)))
    assert len(list(told(before))) == 5


def test_words_stay_on_the_image():
    top = Region(IMAGE_SHOWN.sop_instance_uid, ((1150.0, 2.0), (1190.0, 2.0), (1190.0, 40.0), (1150.0, 40.0)))
    (state,) = of_kind(pointed(findings=(finding(regions=(top,)),)), PR)
    (label,) = (
        text
        for text in state.GraphicAnnotationSequence[0].TextObjectSequence
        if text.BoundingBoxAnnotationUnits == "PIXEL"
    )
    left, upper = label.BoundingBoxTopLeftHandCorner
    right, lower = label.BoundingBoxBottomRightHandCorner

    assert 0 <= left < right <= COLUMNS
    assert 40 <= upper < lower <= ROWS


@pytest.mark.parametrize(
    "changes",
    [
        {"findings": (finding(present=False, score=0.1, regions=(sr_cases.REGION,)),)},
        {"findings": (finding(),)},
        {"sources": (dataclasses.replace(IMAGE_SHOWN, display=None),)},
    ],
    ids=["not-detected", "no-region", "tables-or-colour"],
)
def test_nothing_to_point_at_gives_no_presentation_state(changes):
    assert of_kind(pointed(**changes), PR) == []


def test_images_that_are_shown_differently_get_a_state_each():
    other = dataclasses.replace(
        IMAGE_SHOWN, sop_instance_uid="2.25.5", display=dataclasses.replace(SHOWN, inverted=True)
    )
    there = dataclasses.replace(sr_cases.REGION, source=other.sop_instance_uid)
    states = of_kind(pointed(sources=(IMAGE_SHOWN, other), findings=(finding(regions=(sr_cases.REGION, there)),)), PR)

    assert [state.PresentationLUTShape for state in states] == ["IDENTITY", "INVERSE"]
    assert len({state.SOPInstanceUID for state in states}) == 2
    assert len({state.SeriesInstanceUID for state in states}) == 1
    assert [state.SeriesNumber for state in states] == [9201, 9201]


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
