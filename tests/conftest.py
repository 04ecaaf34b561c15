"""Fixtures that every folder of tests may use; what they hand out is in support.py.

The suite fails when any Python process that it starts tries to reach another machine (network_audit.py).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import support
from network_audit import watch

AUDIT = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Watch this process and, through the environment, all that it starts."""
    descriptor, name = tempfile.mkstemp(prefix="edge-network-")
    os.close(descriptor)
    config.stash[AUDIT] = Path(name)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ["EDGE_NETWORK_AUDIT"] = name
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).resolve().parent), *([inherited] if inherited else [])]
    )
    watch(name)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """One address outside this machine fails the suite."""
    if session.config.stash[AUDIT].read_text():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say whom the suite tried to reach."""
    for line in sorted(set(config.stash[AUDIT].read_text().splitlines())):
        terminalreporter.write_line(f"NETWORK: a test tried to reach another machine: {line}", red=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing in /tmp."""
    config.stash[AUDIT].unlink(missing_ok=True)


@pytest.fixture(scope="session")
def data() -> Path:
    """The real images and models: $EDGE_TEST_DATA, else ../shared/data beside the repository."""
    given = os.environ.get("EDGE_TEST_DATA")
    folder = Path(given) if given else support.REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real test data is absent: set EDGE_TEST_DATA")
    return folder


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Call it for a TCP port that nothing listens on."""
    return support.free_port


@pytest.fixture
def run_edge() -> Callable[..., object]:
    """`run_edge("status", "--json")`: the command in a process of its own, with stdout and stderr as text."""
    return support.run_edge


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Callable[..., support.Box]]:
    """`box(archive_port)` or `box(text=EDGE_TOML)`: a box that is made but not started; stopped after the test."""
    made: list[support.Box] = []

    def make(archive_port: int = 1, text: str = "") -> support.Box:
        folder = tmp_path / f"box{len(made)}"
        folder.mkdir()
        made.append(support.Box(folder, text or support.EDGE_TOML.format(port=archive_port)))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[support.Storescp]:
    """dcmtk's storescp, listening; what it stored is in `.files()`."""
    folder = tmp_path / "storescp"
    folder.mkdir()
    server = support.Storescp(folder)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Orthanc]:
    server = support.Orthanc(tmp_path_factory.mktemp("orthanc"))
    yield server
    server.stop()


@pytest.fixture
def orthanc(_orthanc: support.Orthanc) -> support.Orthanc:
    """A real, empty Orthanc, listening."""
    _orthanc.empty()
    return _orthanc
