"""The control desk and who asks it, over a real socket: large answers arrive, and no number stands for a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.infer.control import Act, Control
from edge.operate.control import ask

NUMBERS = list(range(20_000))


def act(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"end": True, "descriptor": request["descriptor"], "numbers": NUMBERS}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    control = Control(tmp_path, {"tell": Act(act)})
    yield tmp_path
    control.close()


def test_an_answer_of_a_thousand_boxes_arrives_whole(run: Path) -> None:
    (answer,) = ask(run, {"act": "tell"})
    assert answer["numbers"] == NUMBERS


def test_a_number_in_a_request_is_no_open_file(run: Path) -> None:
    """The room has files open that nobody may name."""
    (answer,) = ask(run, {"act": "tell", "descriptor": 0})
    assert answer["descriptor"] is None


def test_a_file_that_comes_with_a_request_is_one(run: Path) -> None:
    with (run / "file").open("wb") as file:
        (answer,) = ask(run, {"act": "tell"}, file.fileno())
    assert isinstance(answer["descriptor"], int)
