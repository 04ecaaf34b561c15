"""Read a Keras file's own description of its network, without Keras. The only importer of h5py.

HDF5 is a C library that parses hostile bytes, so this runs inside `edge.packages.locked`. In: `request.json` and
the file in a private folder. Out: `description.json` with the network's configuration as text, the Keras version
that wrote it, and whether there are weights at all.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

_MAX_CONFIG = 64 << 20


def main(folder: Path) -> None:
    request = json.loads((folder / "request.json").read_text())
    path = folder / request["file"]
    description = _h5(path) if request["kind"] == "keras-h5" else _zip(path)
    (folder / "description.json").write_text(json.dumps(description))


def _h5(path: Path) -> dict[str, Any]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config = _text(file.attrs.get("model_config"))
            weights = file.get("model_weights")
            return {
                "config": config,
                "version": _text(file.attrs.get("keras_version")) or "",
                "weights": bool(weights is not None and len(weights)) or "layer_names" in file.attrs,
                "names": sorted(file.keys())[:8],
            }
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise SystemExit(f"its HDF5 structure cannot be read ({type(error).__name__})") from None


def _zip(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        metadata = json.loads(_member(archive, "metadata.json")) if "metadata.json" in names else {}
        return {
            "config": _member(archive, "config.json"),
            "version": str(metadata.get("keras_version", "")),
            "weights": any(name.endswith(".weights.h5") for name in names),
            "names": names[:8],
        }


def _member(archive: zipfile.ZipFile, name: str) -> str:
    if archive.getinfo(name).file_size > _MAX_CONFIG:
        raise SystemExit(f"its {name} is larger than 64 MiB")
    return archive.read(name).decode("utf-8", errors="strict")


def _text(value: Any) -> str | None:
    """Keras 2 wrote bytes, later versions text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return None if value is None else str(value)
