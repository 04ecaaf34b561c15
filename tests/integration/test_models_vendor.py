"""What a vendor types: keygen, sign, pack, check; each says in one line what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import package_maker


def test_from_folder_to_signed_archive(tmp_path: Path, run_edge: Callable[..., Any]) -> None:
    package = package_maker.make(tmp_path / "p", limits={"memory_mib": 256, "seconds": 20.0})
    assert run_edge("models", "keygen", tmp_path / "acme").returncode == 0
    assert (tmp_path / "acme.key").stat().st_mode & 0o777 == 0o400
    assert run_edge("models", "sign", tmp_path / "p", "--key", tmp_path / "acme.key").returncode == 0
    made = json.loads(run_edge("models", "pack", tmp_path / "p", "--out", tmp_path, "--json").stdout)
    assert made["archive"] == str(tmp_path / "brightness-1.0.0.edgemodel")
    assert (made["digest"], made["signed"]) == (package.digest, True)
    first = Path(made["archive"]).read_bytes()
    run_edge("models", "pack", tmp_path / "p", "--out", tmp_path)
    assert Path(made["archive"]).read_bytes() == first

    checked = run_edge("models", "check", made["archive"], "--key", tmp_path / "acme.pub", "--json")
    assert checked.returncode == 0, checked.stderr
    told = json.loads(checked.stdout)
    assert told["ok"]
    assert told["digest"] == package.digest
    assert told["signed"].startswith("signed by key ")

    run_edge("models", "keygen", tmp_path / "other")
    refused = run_edge("models", "check", made["archive"], "--key", tmp_path / "other.pub")
    assert refused.returncode == 1
    assert "no trusted key signed this manifest" in refused.stderr


def test_the_schema_is_printed_for_editors(run_edge: Callable[..., Any]) -> None:
    schema = json.loads(run_edge("models", "check", "--schema").stdout)
    assert "members" in schema["$defs"]["Manifest"]["properties"]
