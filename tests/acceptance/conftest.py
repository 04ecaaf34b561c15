"""What the acceptance tests share: a box with two real archives behind it, and a look into its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import support
from journal_reader import JournalReader
from two_archives import TWO_ARCHIVES


@pytest.fixture
def box_with_archives(
    box: Callable[..., support.Box], storescp: support.Storescp, orthanc: support.Orthanc
) -> support.Box:
    """A started box whose chest route delivers every outcome to dcmtk's storescp and to Orthanc."""
    return box(text=TWO_ARCHIVES.format(storescp=storescp.port, orthanc=orthanc.port)).start()


@pytest.fixture
def reader() -> Iterator[Callable[[support.Box], JournalReader]]:
    """`reader(box)`: its journal, read only, with a wait for quiet."""
    opened: list[JournalReader] = []

    def make(given: support.Box) -> JournalReader:
        opened.append(JournalReader(given.settings.journal))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for objects to push."""
    made = tmp_path / "objects"
    made.mkdir()
    return made
