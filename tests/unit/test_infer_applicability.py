"""Who a package declares itself for: the rules of the signed manifest against received attributes."""

from __future__ import annotations

import datetime

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from edge.errors import PackageError
from edge.infer.applicability import age_in_years, check, check_keywords, check_statistics
from edge.infer.header import read_header
from edge.infer.refusal import Refusal
from edge.packages.manifest import Rule

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

RECEIVED = datetime.date(2026, 3, 1)


def rule(**fields: object) -> Rule:
    return Rule(**{"absent": "refuse", **fields})


def dataset(**attributes: object) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def view_code(value: str) -> Sequence:
    return Sequence([dataset(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning="invented")])


CHEST = rule(any_of=("CHEST", "THORAX"))
CHILD = rule(min=1.0, max=17.99)
KIND = rule(any_of=("ORIGINAL\\PRIMARY",))
NO_LOCALIZER = rule(none_of=("LOCALIZER",), absent="accept")
MET = [
    ("BodyPartExamined", CHEST, {"BodyPartExamined": "CHEST"}),
    ("BodyPartExamined", CHEST, {"BodyPartExamined": " thorax "}),
    ("BodyPartExamined", rule(any_of=("CHEST",), absent="accept"), {}),
    ("BodyPartExamined", rule(any_of=("CHEST",), absent="accept"), {"BodyPartExamined": ""}),
    ("PatientAge", CHILD, {"PatientAge": "001Y"}),
    ("PatientAge", CHILD, {"PatientAge": "014M"}),
    ("PatientAge", CHILD, {"PatientAge": "060W"}),
    ("PatientAge", CHILD, {"PatientAge": "400D"}),
    ("PatientAge", CHILD, {"PatientAge": "17Y"}),
    ("PatientAge", CHILD, {"PatientBirthDate": "20200101", "StudyDate": "20240101"}),
    ("ImageType", KIND, {"ImageType": ["ORIGINAL", "PRIMARY"]}),
    ("ImageType", NO_LOCALIZER, {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}),
    ("ImageType", rule(any_of=("PRIMARY",)), {"ImageType": ["DERIVED", "PRIMARY"]}),
    ("PixelSpacing", rule(min=0.1, max=0.5), {"PixelSpacing": ["0.2", "0.2"]}),
    ("ViewCodeSequence", rule(any_of=("399348003",)), {"ViewCodeSequence": view_code("399348003")}),
    ("Rows", rule(min=224), {"Rows": 224}),
]
UNMET = [
    ("BodyPartExamined", CHEST, {"BodyPartExamined": "HAND"}),
    ("BodyPartExamined", CHEST, {"BodyPartExamined": "TORACE"}),
    ("BodyPartExamined", CHEST, {}),
    ("PatientAge", CHILD, {"PatientAge": "045Y"}),
    ("PatientAge", CHILD, {"PatientAge": "010M"}),
    ("PatientAge", CHILD, {"PatientAge": "003W"}),
    ("PatientAge", CHILD, {"PatientAge": "200D"}),
    ("PatientAge", CHILD, {"PatientAge": "OLD"}),
    ("PatientAge", CHILD, {}),
    ("PatientAge", rule(min=1.0, max=17.99, absent="accept"),
     {"PatientBirthDate": "19500101", "StudyDate": "20240101"}),
    ("ImageType", KIND, {"ImageType": ["DERIVED", "SECONDARY"]}),
    ("ImageType", NO_LOCALIZER, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
    ("PixelSpacing", rule(min=0.1, max=0.5), {"PixelSpacing": ["0.2", "0.9"]}),
    ("ViewCodeSequence", rule(any_of=("399348003",)), {"ViewCodeSequence": view_code("999")}),
    ("Rows", rule(min=224), {"Rows": 223}),
]  # fmt: skip


@pytest.mark.parametrize(("keyword", "one", "attributes"), MET)
def test_rule_is_met(keyword: str, one: Rule, attributes: dict[str, object]) -> None:
    assert check({keyword: one}, dataset(**attributes), RECEIVED) == ""


@pytest.mark.parametrize(("keyword", "one", "attributes"), UNMET)
def test_rule_is_not_met(keyword: str, one: Rule, attributes: dict[str, object]) -> None:
    assert check({keyword: one}, dataset(**attributes), RECEIVED) == f"not-applicable:{keyword}"


@pytest.mark.parametrize(
    ("born", "rule_for", "reason"),
    [
        ("19500101", {"max": 17.99, "absent": "accept"}, "not-applicable:PatientAge"),
        ("20200101", {"max": 17.99, "absent": "accept"}, ""),
        ("20200101", {"min": 18.0, "absent": "accept"}, "not-applicable:PatientAge"),
        ("19500101", {"min": 18.0, "absent": "refuse"}, "not-applicable:PatientAge"),
        ("20270101", {"max": 17.99, "absent": "accept"}, ""),
        ("INVENTED", {"max": 17.99, "absent": "accept"}, ""),
    ],
)
@pytest.mark.parametrize("dates", [{}, {"StudyDate": ""}, {"StudyDate": "19000101"}])
def test_without_a_date_of_the_study_the_day_of_receipt_can_only_refuse(
    born: str, rule_for: dict[str, object], reason: str, dates: dict[str, str]
) -> None:
    """Nobody was older than that when the image was taken; how much younger, nothing says."""
    found = check({"PatientAge": rule(**rule_for)}, dataset(PatientBirthDate=born, **dates), RECEIVED)
    assert found == reason


def test_a_date_that_is_none_gives_way_to_the_next() -> None:
    dates = {"PatientBirthDate": "19500101", "StudyDate": "UNKNOWN", "SeriesDate": "19600101"}
    assert check({"PatientAge": CHILD}, dataset(**dates), RECEIVED) == ""


def test_first_unmet_rule_is_named_and_no_value() -> None:
    rules = {"Modality": rule(any_of=("DX",)), "BodyPartExamined": CHEST}
    reason = check(rules, dataset(Modality="DX", BodyPartExamined="INVENTEDNAME"), RECEIVED)
    assert reason == "not-applicable:BodyPartExamined"


def test_unreadable_attribute_is_refused_without_its_text() -> None:
    broken = read_header(b"\x28\x00\x10\x00US\x03\x00" + b"INV", "1.2.840.10008.1.2.1").dataset
    with pytest.raises(Refusal) as caught:
        check({"Rows": rule(min=1)}, broken, RECEIVED)
    assert caught.value.reason == "unreadable"
    assert "INV" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "years"), [("010M", 10 / 12), ("003Y", 3.0), ("012W", 84 / 365.25), ("005D", 5 / 365.25), ("7Y", 7.0)]
)
def test_age_in_years(text: str, years: float) -> None:
    assert age_in_years(text) == pytest.approx(years)


@pytest.mark.parametrize("text", ["", "Y", "12", "012X", "-01Y", "1.5Y", "1000Y"])
def test_age_that_is_none(text: str) -> None:
    assert age_in_years(text) is None


def test_statistics_are_rules_about_the_prepared_input() -> None:
    rules = {"InputStandardDeviation": rule(min=0.05), "Modality": rule(any_of=("CT",))}
    seen = {"InputMean": 0.5, "InputStandardDeviation": 0.01, "InputMinimum": 0.4, "InputMaximum": 0.6}
    assert check_statistics(rules, seen) == "not-applicable:InputStandardDeviation"
    assert check_statistics(rules, {**seen, "InputStandardDeviation": 0.2}) == ""


def test_rule_about_nothing_known_is_an_error_of_the_package() -> None:
    with pytest.raises(PackageError, match="BodyPartExamind"):
        check_keywords({"BodyPartExamind": CHEST})
    check_keywords({"BodyPartExamined": CHEST, "InputMean": rule(min=0.0)})
