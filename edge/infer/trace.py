"""The inference trace: what a job looked at, with which package and software, how long it took and what came of it.

UIDs, keyed digests, codes and numbers, as JSON without any space; the journal's CHECK lets nothing else in. Scores
have every digit that the computation gave, so `edge replay` can tell one bit of difference.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import edge
import kernels
from edge.infer.pipeline import Request, Verdict
from edge.records import UID, Finding, Instance

_LIBRARIES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "numpy",
    "imagecodecs",
    "pydicom",
    "python-gdcm",
    "opencv-python-headless",
)
_STRANGE = re.compile(r"[^A-Za-z0-9_.:+/-]+")


def software() -> Mapping[str, str]:
    """Version or digest of everything that can change a number, by name."""
    found = {"edge": edge.__version__, "python": platform.python_version(), "processor": _processor()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    found["kernels"] = f"{kernels.build()}:{_kernels_digest()}"
    return MappingProxyType({name: _code(value) for name, value in found.items()})


def told(
    request: Request,
    sources: Iterable[Instance],
    verdict: Verdict,
    *,
    outputs: Mapping[UID, str],
    versions: Mapping[str, str],
) -> str:
    """The trace of one job as text.

    Parameters
    ----------
    sources : iterable of Instance
        What was looked at, in order; `tag` is the digest that only the box can compute.
    outputs : mapping
        SHA-256 of each object that was made, by SOP Instance UID.
    versions : mapping
        What `software` says.
    """
    manifest = request.package.manifest
    facts: dict[str, Any] = {
        "sources": [{"uid": each.sop_instance_uid, "tag": each.tag} for each in sources],
        "package": {
            "name": manifest.name,
            "version": manifest.version,
            "digest": request.package.digest,
            "waiver": request.package.waiver,
        },
        "revision": request.revision,
        "predecessor": request.predecessor or "",
        "provider": verdict.provider,
        "versions": dict(versions),
        "milliseconds": {name: round(value, 3) for name, value in verdict.milliseconds.items()},
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "scores": [_score(each) for each in verdict.findings],
        "outputs": [{"uid": uid, "sha256": digest} for uid, digest in outputs.items()],
    }
    return json.dumps(_plain(facts), separators=(",", ":"))


def _score(finding: Finding) -> dict[str, Any]:
    code = finding.code
    return {"code": f"{code.scheme}:{code.value}", "present": finding.present, "score": finding.score,
            "threshold": finding.threshold}  # fmt: skip


def _plain(value: Any) -> Any:
    """Texts as codes: a version or a code value may be anything that its maker liked."""
    if isinstance(value, dict):
        return {_code(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return _code(value) if isinstance(value, str) else value


def _code(text: str) -> str:
    return _STRANGE.sub("_", text)


def _processor() -> str:
    """The model's name: runtimes choose their instructions by it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines()
    except OSError:  # a unit that sees processes only
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _kernels_digest() -> str:
    """Of the compiled kernels of the level that runs."""
    folder = Path(kernels.__file__).parent
    whole = hashlib.sha256()
    for path in sorted(folder.glob(f"*_{kernels.build()}.*")):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]
