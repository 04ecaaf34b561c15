"""The set-up scripts: what they refuse, and that they say exactly what to do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support import REPOSITORY, tool

SCRIPTS = REPOSITORY / "firmware_scripts"
DEBIAN_12 = 'ID=debian\nVERSION_ID="12"\n'


def source(commands: str, system: Path, *, as_root: bool = False) -> subprocess.CompletedProcess[str]:
    """Run `commands` after common.sh on the system that an os-release file describes."""
    words = [tool("sh"), "-euc", f". {SCRIPTS}/common.sh; {commands}", str(SCRIPTS / "test.sh")]
    if os.getuid() == 0 and not as_root:
        words = [tool("setpriv"), "--reuid=65534", "--clear-groups", *words]
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "EDGE_OS_RELEASE": str(system)}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def debian() -> Path:
    """An os-release file that other users can read too."""
    path = Path("/etc/os-release")
    if "debian" not in path.read_text().lower():
        pytest.skip("this machine has another system")
    return path


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (DEBIAN_12, True),
        ('ID=debian\nVERSION_ID="11"\n', False),
        ("ID=debian\n", True),
        ('ID=ubuntu\nVERSION_ID="24.04"\n', True),
        ('ID=ubuntu\nVERSION_ID="22.04"\n', False),
        ('ID="fedora"\nVERSION_ID=41\n', False),
        ("", False),
    ],
)
def test_which_systems_are_known(tmp_path: Path, text: str, known: bool) -> None:
    system = tmp_path / "os-release"
    system.write_text(text)
    ended = source("is_known_system && echo known || echo unknown", system, as_root=True)
    assert ended.stdout.strip() == ("known" if known else "unknown")


def test_another_system_is_told_what_is_missing() -> None:
    ended = source("need a-package:no-such-command", Path("/dev/null"))
    assert ended.returncode == 1
    assert "neither Debian 12+ nor Ubuntu 24.04+" in ended.stderr
    assert "a-package" in ended.stderr


def test_without_rights_the_administrators_command_is_named(debian: Path) -> None:
    ended = source("need sh:sh a-package:no-such-command", debian)
    assert ended.returncode == 1
    assert "sudo apt-get install" in ended.stderr
    assert ended.stderr.rstrip().endswith("a-package")


def test_nothing_missing_is_nothing_done(debian: Path) -> None:
    ended = source('missing() { :; }; need sh:sh; echo "fine"', debian)
    assert (ended.stdout, ended.stderr) == ("fine\n", "")


def test_the_scripts_are_clean() -> None:
    scripts = [*map(str, SCRIPTS.glob("*.sh")), str(REPOSITORY / ".ci" / "run")]
    ended = subprocess.run(
        [tool("shellcheck"), "--external-sources", *scripts],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == ""
