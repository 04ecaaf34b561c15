"""Whatever a file says about its patient becomes a token, however the file says it. All identities are invented."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from edge.infer.identity import UID_MARK, identity_tokens


def raw(dataset, tag, vr, value):
    """Put undecoded bytes into `dataset`, as a parser does."""
    tag = Tag(tag)
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return dataset


def patient():
    dataset = Dataset()
    dataset.PatientName = "INVENTED^Melchior^Q"
    dataset.PatientID = "MRN-00471-1815"
    dataset.PatientBirthDate = "19700102"
    dataset.AccessionNumber = "0081547"
    dataset.StudyDate = "20210304"
    dataset.StudyTime = "101512.345"
    dataset.PatientComments = "lives beside the harbour"
    dataset.StationName = "ROOM7"
    dataset.PatientAge = "005Y"
    return dataset


def through_a_file(dataset, syntax):
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    stream.seek(0)
    if syntax.is_implicit_VR:
        return pydicom.dcmread(stream, force=True)
    return pydicom.filereader.read_dataset(stream, False, True)


EXPECTED = {
    "INVENTED^MELCHIOR^Q",
    "INVENTED",
    "MELCHIOR",
    "MRN-00471-1815",
    "00471",
    "1815",
    "19700102",
    "0081547",
    "20210304",
    "101512",
    "LIVES",
    "HARBOUR",
    "005Y",
}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_every_identifying_value_becomes_tokens(syntax):
    found = identity_tokens(through_a_file(patient(), syntax))

    assert found >= EXPECTED


def test_decoded_elements_give_the_same_tokens_as_raw_ones():
    dataset = through_a_file(patient(), ExplicitVRLittleEndian)
    untouched = identity_tokens(dataset)
    for element in dataset:
        assert element.value is not None

    assert identity_tokens(dataset) == untouched


def test_only_identifier_accession_and_birth_date_are_watched_in_uids():
    marked = {token.removeprefix(UID_MARK) for token in identity_tokens(patient()) if token.startswith(UID_MARK)}

    assert marked == {"19700102", "0081547", "81547", "00471", "004711815", "4711815"}


@pytest.mark.parametrize(
    ("value", "marked"),
    [
        ("4711", set()),
        ("47118", {"47118"}),
        ("123-45-6789", {"123-45-6789", "123456789"}),
        ("00012345", {"00012345", "12345"}),
        ("ABC12345", {"12345"}),
        ("MRN123456", {"123456"}),
        ("MRN 0012-3456/B", {"00123456", "123456"}),
        ("A1234B5678", set()),
        ("12345X67890", {"12345", "67890"}),
        ("MRN١٢٣٤٥٦", set()),
        ("", set()),
    ],
)
def test_forms_of_an_identifier_inside_a_uid(value, marked):
    dataset = Dataset()
    dataset.PatientID = value

    found = {token.removeprefix(UID_MARK) for token in identity_tokens(dataset) if token.startswith(UID_MARK)}

    assert found == marked


def test_nested_and_private_elements_count():
    inner = Dataset()
    inner.PatientID = "NESTEDID7"
    inner.AccessionNumber = "7654321"
    dataset = Dataset()
    dataset.RequestAttributesSequence = [inner]
    block = dataset.private_block(0x0019, "INVENTED MAKER", create=True)
    block.add_new(0x01, "LO", "private^melchior")
    block.add_new(0x02, "UN", b"\x00\x01Balthasar\x00\xff")
    block.add_new(0x03, "SQ", [patient()])

    found = identity_tokens(through_a_file(dataset, ExplicitVRLittleEndian))

    assert {"NESTEDID7", "MELCHIOR", "BALTHASAR", "HARBOUR", f"{UID_MARK}7654321"} <= found


def test_private_elements_of_an_implicit_file_count():
    dataset = Dataset()
    dataset.private_block(0x0019, "INVENTED MAKER", create=True).add_new(0x01, "LO", "private^melchior")

    assert "MELCHIOR" in identity_tokens(through_a_file(dataset, ImplicitVRLittleEndian))


def test_japanese_names_in_three_groups():
    dataset = Dataset()
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"

    found = identity_tokens(through_a_file(dataset, ExplicitVRLittleEndian))

    assert {"YAMADA", "TAROU", "山田", "太郎", "山田^太郎", "やまだ"} <= found


def test_utf_8_names_and_a_character_set_of_the_outer_data_set():
    inner = Dataset()
    inner.PatientName = "Müller-Ångström^Zoë"
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.OriginalAttributesSequence = [inner]

    found = identity_tokens(through_a_file(dataset, ExplicitVRLittleEndian))

    assert {"MÜLLER-ÅNGSTRÖM", "MÜLLER", "ÅNGSTRÖM"} <= found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("charset", [b"ISO_IR 192", b"NONSENSE", b"\xff\xfe", b"ISO 2022 IR 87\\NONSENSE"])
def test_a_value_that_cannot_be_decoded_still_gives_tokens(charset):
    dataset = raw(Dataset(), 0x00080005, "CS", charset)
    raw(dataset, 0x00100010, "PN", b"\xff\xfeMelchior^\x1b$BInvented")

    assert "MELCHIOR" in str(identity_tokens(dataset))


def test_a_sequence_that_cannot_be_parsed_still_gives_tokens():
    dataset = raw(Dataset(), 0x00400275, "SQ", b"\x01\x02\x03Balthasar Invented\xff")

    assert {"BALTHASAR", "INVENTED"} <= identity_tokens(dataset)


@given(
    st.dictionaries(
        st.integers(0x00080000, 0x7FDFFFFF),
        st.tuples(st.sampled_from([None, "PN", "LO", "UN", "SQ", "DA", "UT", "CS", "ZZ"]), st.binary(max_size=60)),
        max_size=8,
    )
)
@pytest.mark.filterwarnings("ignore")
def test_hostile_elements_never_raise(elements):
    dataset = Dataset()
    for tag, (vr, value) in elements.items():
        raw(dataset, tag, vr, value)

    assert all(isinstance(token, str) for token in identity_tokens(dataset))


@given(st.text(st.characters(categories=("Lu", "Ll", "Lo", "Nd")), min_size=4, max_size=20))
def test_any_name_of_four_characters_is_a_token(name):
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    raw(dataset, 0x00100010, "PN", f"X^{name}".encode())

    assert name.upper() in identity_tokens(dataset)


@pytest.mark.filterwarnings("ignore")
def test_real_files_never_raise_and_give_their_patients(data):
    seen = 0
    for path in sorted((data / "dicom" / "files").iterdir()):
        try:
            dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        except Exception:  # what pydicom cannot open never gets here
            continue
        found = identity_tokens(dataset)
        seen += bool(found)
    assert seen > 150
