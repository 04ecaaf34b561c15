"""sbom.py WHEELS EPOCH: a CycloneDX 1.6 document on stdout, of every wheel in the folder WHEELS and the models in ours.

The same wheels and EPOCH (seconds since 1970) give the same bytes. What a wheel itself carries (imagecodecs and OpenCV
hold dozens of C libraries) is not taken apart: its digest stands for all of it.
"""

from __future__ import annotations

import email.parser
import hashlib
import json
import re
import sys
import time
import tomllib
import uuid
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

OURS = "edge-imaging"


def document(folder: Path, epoch: int) -> dict[str, Any]:
    """The whole document; wheels in the order of their names."""
    wheels = {path: _metadata(path) for path in sorted(folder.glob("*.whl"))}
    components = [_library(path, metadata) for path, metadata in wheels.items()]
    references = {_key(each["name"]): each["bom-ref"] for each in components}
    ours = next((each for each in components if _key(each["name"]) == OURS), None)
    libraries = [each for each in components if each is not ours]
    models = [model for path in wheels if _key(wheels[path]["Name"]) == OURS for model in _models(path)]
    told = json.dumps([components, models]).encode()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=hashlib.sha256(told).digest()[:16], version=4)}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch)),
            **({"component": ours | {"type": "application"}} if ours else {}),
        },
        "components": [*libraries, *models],
        "dependencies": [
            {"ref": references[_key(metadata["Name"])], "dependsOn": sorted(_needs(metadata, references))}
            for metadata in wheels.values()
        ],
    }


def _metadata(path: Path) -> Message:
    with zipfile.ZipFile(path) as wheel:
        (name,) = (name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        return email.parser.Parser().parsestr(wheel.read(name).decode("utf-8"))


def _library(path: Path, metadata: Message) -> dict[str, Any]:
    name, version = metadata["Name"], metadata["Version"]
    purl = f"pkg:pypi/{_key(name)}@{version}"
    licence = metadata["License-Expression"] or _classified(metadata) or (metadata["License"] or "").split("\n")[0]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
        **({"licenses": [{"license": {"name": licence}}]} if licence else {}),
    }


def _classified(metadata: Message) -> str:
    found = [each for each in metadata.get_all("Classifier", []) if each.startswith("License ::")]
    return "; ".join(each.rpartition(" :: ")[2] for each in found)


def _models(path: Path) -> Iterator[dict[str, Any]]:
    with zipfile.ZipFile(path) as wheel:
        for name in sorted(wheel.namelist()):
            if re.fullmatch(r"edge/shipped/[^/]+/model\.toml", name):
                manifest = wheel.read(name)
                told = tomllib.loads(manifest.decode("utf-8"))
                yield {
                    "type": "machine-learning-model",
                    "bom-ref": f"model:{told['name']}@{told['version']}",
                    "name": told["name"],
                    "version": str(told["version"]),
                    "description": f"status {told['status']}; the digest is the manifest's, which has every member's",
                    "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(manifest).hexdigest()}],
                }


def _needs(metadata: Message, references: dict[str, str]) -> set[str]:
    """What it asks for and what is here; extras and markers are decided by what is here."""
    names = [re.split(r"[\s;\[<>=!~(]", each, maxsplit=1)[0] for each in metadata.get_all("Requires-Dist", [])]
    return {references[_key(name)] for name in names if _key(name) in references}


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    json.dump(document(Path(sys.argv[1]), int(sys.argv[2])), sys.stdout, indent=1)
    sys.stdout.write("\n")
