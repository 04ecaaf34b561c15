"""A box that trusts one vendor, and its `edge models`, as a person types it."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.objects import chest_dx
from infer_box import TOML, InferBox
from vendor import Vendor

from edge import cli
from edge.journal import traces
from edge.journal.views import JobView

SITE = (
    TOML.replace('package = "{package}"', 'package = "brightness"\n{route}')
    + """
[models]
trusted_keys = ["{key}"]
keep_warm_seconds = {warm}
revoked = {revoked}
{more}
"""
)


class Site:
    """A box and a vendor. Commands run in this process: a room that runs in it answers on its control socket."""

    def __init__(self, folder: Path, **words: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.vendor = Vendor(folder / "vendor")
        defaults = {"key": self.vendor.public, "warm": 900, "revoked": [], "route": "", "more": ""}
        self.box = InferBox(folder / "box", {}, SITE, **{**defaults, **words})

    def models(self, *words: str | Path, code: int = 0) -> Any:
        """What `edge models WORDS --json` prints; with another `code` its one line on stderr."""
        said, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
            ended = cli.main(["models", *map(str, words), "--json", "--config", str(self.box.settings.file)])
        assert ended == code, told.getvalue()
        return json.loads(said.getvalue()) if code == 0 else told.getvalue()

    def works(self, version: str, shift: float = 0.0, **changes: Any) -> str:
        """The digest of a package that was installed and activated."""
        digest = str(self.models("install", self.vendor.archive(version, shift, **changes))["package"]["digest"])
        self.models("activate", digest, "--reason", "evaluation")
        return digest

    def states(self) -> dict[str, str]:
        """State by version, of what is installed."""
        return {row["version"]: row["state"] for row in self.models("list") if row["origin"] == "installed"}

    def job(self, level: int = 0) -> JobView:
        """The job on an image of one gray level that is pushed now, once it has ended."""
        return self.box.job(self.box.store(chest_dx(np.full((32, 32), level, np.uint8))))

    def answered(self) -> tuple[str, float]:
        """Which version looks at an image that is pushed now, and its score."""
        job = self.job()
        assert job.outcome == "succeeded", job
        told = traces.of_job(self.box.journal, job.id)
        assert told is not None
        return told["package"]["version"], told["scores"][0]["score"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """`site(**words)`: a site; its box is stopped after the test."""
    made: list[Site] = []

    def make(**words: Any) -> Site:
        made.append(Site(tmp_path / f"site{len(made)}", **words))
        return made[-1]

    yield make
    for each in made:
        each.box.stop()
