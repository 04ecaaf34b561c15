"""The wheel is reproducible: two builds, in two folders, at two times, give the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
NEEDED = ("edge", "kernels", "models", "pyproject.toml", "setup.py", "README.md", "LICENSE")


def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    """As bundle.sh builds it: SOURCE_DATE_EPOCH is the commit's."""
    one, two = (_build(tmp_path / name) for name in ("first", "a-second-and-longer-name"))
    assert one.name == two.name
    assert one.read_bytes() == two.read_bytes()


def _build(folder: Path) -> Path:
    source = folder / "source"
    source.mkdir(parents=True)
    for name in NEEDED:
        if (REPOSITORY / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.c", "*.egg-info")
            shutil.copytree(REPOSITORY / name, source / name, ignore=ignored, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(REPOSITORY / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([*command, str(source)], check=True, env=environment | {"SOURCE_DATE_EPOCH": "1700000000"})
    (made,) = folder.glob("*.whl")
    return made
