"""A presentation state as dcmtk renders it: the image looks as it did, and what is drawn lies where it belongs."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pydicom
import pytest
from golden import sr_cases
from golden.object_cases import IMAGE_SHOWN, SHOWN, pointed
from golden.objects import filed, objects, of_kind, tool
from golden.sr_cases import finding
from pydicom.uid import ExplicitVRLittleEndian

from edge.infer import described
from edge.records import Region
from edge.report.kinds import PR

ROWS, COLUMNS = 1000, 1200


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
    assert "AI: Pneumonia, score 0.9312" in words
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
