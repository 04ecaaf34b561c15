"""The papers speak of what is there: every test that they name exists, every library is on the list."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
from support import REPOSITORY

PAPERS = REPOSITORY / "edge/docs/papers"
TRACED = ("hazards.md", "threats.md", "requirements.md")


def rows(name: str) -> list[list[str]]:
    """The cells of every row of the tables in a paper, heads and rules left out."""
    lines = re.findall(r"^\| ([A-Z]\d\d .*) \|$", (PAPERS / name).read_text(), re.M)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("paper", TRACED)
def test_every_row_is_held_by_tests_that_are_there(paper: str) -> None:
    modules = {path.stem: path for path in (REPOSITORY / "tests").rglob("test_*.py")}
    found = rows(paper)
    assert len(found) > 15
    for row in found:
        named = re.findall(r"(test_\w+)::(test_\w+)", row[-1])
        assert named, f"{row[0]} names no test"
        missing = [f"{module}::{test}" for module, test in named if test not in functions_of(modules[module])]
        assert missing == [], row[0]


@pytest.mark.parametrize("paper", TRACED)
def test_every_row_has_a_number_of_its_own(paper: str) -> None:
    numbers = [row[0] for row in rows(paper)]
    assert numbers == sorted(set(numbers))


def test_the_user_sheet_begins_with_what_matters_most() -> None:
    first = (PAPERS / "user-sheet.md").read_text().splitlines()[0]
    assert first.strip("*.") == "No AI report means not analysed, never normal"


def test_every_library_of_the_box_is_on_the_list_with_its_floor() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["cpu"]]
    listed = re.findall(r"^\| `([^`]+)` \|", (PAPERS / "soup.md").read_text(), re.M)
    assert sorted(listed) == sorted(declared)


def test_no_paper_claims_an_approval() -> None:
    for path in PAPERS.glob("*.md"):
        assert not re.search(r"\b(is|are) (certified|approved|cleared)\b|CE.mark|FDA", path.read_text()), path.name
