"""An installed wheel in a bare virtual environment outside the checkout does all that a checkout does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from support import EDGE_TOML, REPOSITORY

pytestmark = pytest.mark.timeout(600)  # it compiles every kernel for every level
NEEDED = ("edge", "kernels", "models", "pyproject.toml", "setup.py", "README.md", "LICENSE")
BUILT = shutil.ignore_patterns("__pycache__", "*.so", "*.c", "*.egg-info")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what is in the repository, with nothing built before."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in NEEDED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=BUILT)
        else:
            shutil.copy(source, copy / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=_clean(), timeout=500)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`edge` of a new virtual environment that has the wheel; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-q", "--no-deps"]
    subprocess.run([*command, str(wheel)], check=True, env=_clean(), timeout=120)
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin" / "edge"


def _clean() -> dict[str, str]:
    """The environment without what leads Python back to the checkout."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "EDGE_NETWORK_AUDIT")}


def _run(edge: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(edge), *words], cwd=folder, env=_clean(), capture_output=True, text=True, check=False, timeout=100
    )


def test_the_wheel_holds_models_and_kernels_and_no_sources_of_them(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for part in ("cxr-pneumonia/model.onnx", "cxr-pneumonia/model.toml", "journal/migrations/001.sql", ".so"):
        assert any(part in name for name in names), part
    assert [
        name for name in names if name.endswith((".pyx", ".c", ".h5")) or "recipes/" in name or "tests/" in name
    ] == []


def test_it_is_not_the_checkout_that_runs(installed: Path, tmp_path: Path) -> None:
    program = "import edge, kernels; print(edge.__file__, kernels.__file__)"
    command = [str(installed.parent / "python"), "-c", program]
    ended = subprocess.run(command, cwd=tmp_path, env=_clean(), capture_output=True, text=True, check=True)
    assert str(REPOSITORY) not in ended.stdout


def test_version(installed: Path, tmp_path: Path) -> None:
    assert _run(installed, "--version", folder=tmp_path).stdout.startswith("edge ")


def test_config_check_knows_the_shipped_package(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(EDGE_TOML.format(port=1))
    ended = _run(installed, "config", "check", folder=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_demo(installed: Path, tmp_path: Path) -> None:
    ended = _run(installed, "demo", "--json", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert Path(document["report"]).is_file()
    assert document["findings"][0]["code"]["scheme"] == "SCT"
