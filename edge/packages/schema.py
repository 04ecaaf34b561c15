"""The JSON Schema of the manifest, for editors: `python -m edge.packages.schema` writes it beside this file.

In an editor with Taplo: `#:schema .../manifest.schema.json` as the first line of model.toml.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from edge.packages.manifest import Manifest

PATH = Path(__file__).with_name("manifest.schema.json")


def text() -> str:
    """The schema of `manifest.Manifest` as it is now."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Manifest)}
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
