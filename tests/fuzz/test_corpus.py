"""Every input that a campaign found to reach something new, once more: no reader breaks its word."""

from __future__ import annotations

import logging

import pytest
from targets import TARGETS, corpus, seeds

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # the room of `conversation` lives as long as we do


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_corpus(name: str) -> None:
    logging.getLogger("edge").setLevel(logging.CRITICAL)
    try:
        inputs = [*seeds(name), *corpus(name)]
        assert len(inputs) > 10
        for data in inputs:
            TARGETS[name](data)
    finally:
        logging.getLogger("edge").setLevel(logging.NOTSET)
