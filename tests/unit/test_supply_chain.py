"""What a bundle is made of: locked by digest, listed, and the same from the same."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support import REPOSITORY

REQUIREMENTS = REPOSITORY / "firmware_scripts/requirements"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def locked(name: str) -> dict[str, list[str]]:
    """The versions of each package in a lock file; several where Pythons need different ones."""
    found: dict[str, list[str]] = {}
    for match in re.finditer(r"^([a-z0-9.-]+)==(\S+)", (REQUIREMENTS / f"{name}.txt").read_text(), re.MULTILINE):
        found.setdefault(match[1], []).append(match[2])
    return found


def wheel(folder: Path, name: str, version: str, needs: str = "", **more: bytes) -> Path:
    """A wheel with nothing in it but what it says of itself, and `more`."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    told = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: INVENTED\n{needs}\n"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {f"{name}-{version}.dist-info/METADATA": told.encode(), **more}.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return path


@pytest.mark.parametrize(("lock", "extra"), [("cpu", "cpu"), ("gpu", "gpu"), ("build", "")])
def test_every_dependency_is_locked_by_digest(lock: str, extra: str) -> None:
    wanted = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"][extra] if extra else (
        PROJECT["build-system"]["requires"]
    )  # fmt: skip
    versions = locked(lock)
    for each in map(Requirement, [*wanted, "pip"]):
        assert each.name in versions, each.name
        assert all(version in each.specifier for version in versions[each.name]), each
    entries = re.split(r"^(?=[a-z0-9.-]+==)", (REQUIREMENTS / f"{lock}.txt").read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) >= len(wanted)
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_bill_of_materials_names_every_wheel_and_model(tmp_path: Path) -> None:
    wheel(tmp_path, "invented_library", "1.5")
    manifest = b'name = "invented-model"\nversion = "2.0.0"\nstatus = "demonstration"\n'
    needs = "Requires-Dist: Invented.Library>=1; python_version > '3'\nRequires-Dist: absent"
    wheel(tmp_path, "edge_imaging", "7", needs, **{"edge/shipped/invented-model/model.toml": manifest})
    made = [_bom(tmp_path), _bom(tmp_path)]
    assert made[0] == made[1]
    bom = json.loads(made[0])
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    assert bom["metadata"]["component"]["purl"] == "pkg:pypi/edge-imaging@7"
    assert [(each["type"], each["name"], each["version"]) for each in bom["components"]] == [
        ("library", "invented_library", "1.5"),
        ("machine-learning-model", "invented-model", "2.0.0"),
    ]
    assert bom["components"][0]["licenses"] == [{"license": {"name": "INVENTED"}}]
    assert {"ref": "pkg:pypi/edge-imaging@7", "dependsOn": ["pkg:pypi/invented-library@1.5"]} in bom["dependencies"]


def _bom(folder: Path) -> bytes:
    command = [sys.executable, str(REPOSITORY / "firmware_scripts/sbom.py"), str(folder), "1700000000"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_the_same_wheels_make_the_same_bundle(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "invented", "1")
    told = []
    for name in ("one.tar", "two.tar"):
        command = [REPOSITORY / "firmware_scripts/bundle.sh", tmp_path / name]
        environment = {"PATH": "/usr/bin:/bin", "WHEELS": str(wheels), "SOURCE_DATE_EPOCH": "1700000000"}
        told.append(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
    assert told[0].split()[0] == told[1].split()[0]
    content = (tmp_path / "one.tar").read_bytes()
    assert content == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        listed = tar.extractfile("edge/SHA256SUMS").read().decode()  # type: ignore[union-attr]
        names = {each.name.removeprefix("edge/") for each in tar if each.isfile()} - {"SHA256SUMS"}
    assert {line.split("  ./")[1] for line in listed.splitlines()} == names
    assert {"sbom.cdx.json", "install.sh", "activate.sh", "update.sh", "rollback.sh", "uninstall.sh"} <= names
