"""`edge support-bundle`: one file for whoever helps, which the hospital may give away.

State, checks, settings without their texts, counts of the journal, versions, log lines of a known shape. Built from
what names nobody, and every text goes through a second net (scrub.py).
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import io
import json
import os
import platform
import secrets
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from edge.config import Settings
from edge.errors import EdgeError, UsageError
from edge.files import write_durably
from edge.journal import Journal, tally, views
from edge.operate import configuration, doctor, scrub
from edge.operate.status import look

_ABOUT = """What a box of Edge says about itself, for whoever helps.
No image, no result, no key. UIDs (but the standard's own), AE titles and addresses are replaced by signs that are the
same throughout this file and mean nothing outside of it. Times are UTC.
"""


def write(settings: Settings, out: Path, software: str, logs: Iterable[str] = ()) -> list[str]:
    """Write the bundle to the new file `out` (tar, gzip, mode 0600); returns the names of what is in it.

    A part that cannot be had is in it as the error that it gave.

    Raises
    ------
    UsageError
        If `out` is there already.
    """
    if out.exists():
        raise UsageError("there is a file of this name", which=out.name, hint="another name")
    files = collect(settings, software, logs)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"edge-support/{name}")
            data = text.encode("ascii", "backslashreplace")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            tar.addfile(entry, io.BytesIO(data))
    write_durably(out, stream.getvalue(), 0o600)
    return list(files)


def collect(settings: Settings, software: str, logs: Iterable[str]) -> dict[str, str]:
    """Text by file name."""
    scrubber = scrub.Scrubber(settings, secrets.token_bytes(32))
    documents: dict[str, Callable[[], Any]] = {
        "status.json": lambda: look(settings, software).as_json(),
        "doctor.json": lambda: [check.as_json() for check in doctor.examine(settings.file)],
        "journal.json": lambda: _journal(settings),
    }
    files = {"README.txt": _ABOUT, "versions.json": _json(_versions(software))}
    files["config.json"] = _json(scrub.configuration(configuration.effective(settings)))
    for name, make in documents.items():
        try:
            found = make()
        except (EdgeError, OSError) as error:
            found = {"missing": error.what if isinstance(error, EdgeError) else type(error).__name__}
        files[name] = _json(scrubber.document(found))
    files["log.txt"] = "\n".join(scrubber.lines(logs)) + "\n"
    return files


def _journal(settings: Settings) -> dict[str, Any]:
    journal = Journal(settings.journal)
    try:
        events, unsigned = tally.audited(journal)
        return {
            "schema": journal.database.version,
            "damage": views.damage(journal),
            "counts": views.counts(journal),
            "events": events,
            "unsigned": unsigned,
            "kinds": [dataclasses.asdict(each) for each in tally.kinds(journal)],
        }
    finally:
        journal.close()


def _versions(software: str) -> dict[str, Any]:
    names = sorted({str(each.name).lower(): str(each.version) for each in importlib.metadata.distributions()}.items())
    return {
        "edge": software,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "packages": dict(names),
    }


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, default=str) + "\n"
