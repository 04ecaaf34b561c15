"""A campaign: `python tests/fuzz/campaign.py TARGET FOLDER [libFuzzer options]`, in a venv with atheris (README.md).

FOLDER keeps what is found, and what a crash was made of; the corpus in the tree is where it starts.
`python tests/fuzz/campaign.py TARGET FOLDER --keep` writes what FOLDER holds back into the tree; no atheris is needed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

LONGEST_KEPT = 700


def main() -> None:
    """Run one target until libFuzzer ends, or keep what it found."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    name, folder, options = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    if options == ["--keep"]:
        keep(name, folder)
    else:
        fuzz(name, folder, options)


def fuzz(name: str, folder: Path, options: list[str]) -> None:
    """Start from the tree's corpus and the seeds; coverage of the readers leads."""
    import atheris

    with atheris.instrument_imports(include=["edge.receive", "edge.dimse", "edge.records"]):
        from targets import TARGETS, corpus, seeds

    for number, data in enumerate((*seeds(name), *corpus(name))):
        (folder / f"start-{number}").write_bytes(data)
    words = [sys.argv[0], "-rss_limit_mb=1024", "-timeout=5", f"-artifact_prefix={folder}-", *options, str(folder)]
    atheris.Setup(words, TARGETS[name])
    atheris.Fuzz()


def keep(name: str, folder: Path) -> None:
    """The tree's corpus is now what `folder` holds, without the long ones."""
    from targets import CORPUS

    found = {path.read_bytes() for path in folder.iterdir()}
    kept = sorted((data for data in found if len(data) <= LONGEST_KEPT), key=lambda data: (len(data), data))
    (CORPUS / f"{name}.hex").write_text("".join(f"{data.hex()}\n" for data in kept))


if __name__ == "__main__":
    main()
