"""A campaign: `python tests/fuzz/campaign.py TARGET [libFuzzer options]`, in a venv that has atheris (see README.md).

New inputs go to the folder named first, else to a folder of the campaign's own; the corpus in the tree is only read.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
with atheris.instrument_imports(include=["edge.receive", "edge.dimse", "edge.records"]):
    from targets import CORPUS, TARGETS, seeds


def main() -> None:
    """Run one target until libFuzzer ends."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: campaign.py {{{','.join(TARGETS)}}} [libFuzzer options]")
    name, options = sys.argv[1], sys.argv[2:]
    # an existing folder first is where libFuzzer puts what it finds
    folders = [word for word in options if not word.startswith("-")] or [tempfile.mkdtemp(prefix=f"edge-fuzz-{name}-")]
    for number, seed in enumerate(seeds(name)):
        Path(folders[0], f"seed-{number}").write_bytes(seed)
    words = [sys.argv[0], *(word for word in options if word.startswith("-")), *folders]
    if (CORPUS / name).is_dir() and "-merge=1" not in words:
        words.append(str(CORPUS / name))
    atheris.Setup(words, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
