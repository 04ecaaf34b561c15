"""Run a graph on given tensors in a locked child process: the only way this package ever meets a runtime.

In: graph bytes, input tensors, what it may cost. Out: output tensors, the provider that ran them, milliseconds and
peak memory. Invariant: a graph that crashes, hangs or eats memory costs this call a `RuntimeFailure`, nothing else.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import RuntimeFailure
from edge.packages import locked

Tensor = npt.NDArray[np.generic]

_BASE_MIB = 1536  # address space of Python, numpy and the runtime before any graph is loaded
_STARTUP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What a graph did. `outputs[i]` answers `inputs[i]`; times in milliseconds, memory in MiB."""

    outputs: tuple[dict[str, Tensor], ...]
    provider: str
    load_ms: float
    median_ms: float
    peak_mib: float


def run(
    graph: bytes,
    inputs: Sequence[Mapping[str, Tensor]],
    *,
    backends: tuple[str, ...] = ("cpu",),
    memory_mib: int = 2048,
    seconds: float = 60.0,
) -> Trial:
    """Load `graph` and run it on each of `inputs`, single-threaded.

    Raises
    ------
    RuntimeFailure
        If it cannot be loaded or run within `memory_mib` (beyond the runtime's own) and `seconds` in all.
    """
    with tempfile.TemporaryDirectory(prefix="edge-trial-") as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(graph)
        (folder / "request.json").write_text(json.dumps({"backends": list(backends), "count": len(inputs)}))
        for number, tensors in enumerate(inputs):
            _save(folder / f"in{number}.npz", tensors)
        bounds = locked.Bounds(_BASE_MIB + memory_mib, int(seconds) + 2, seconds + _STARTUP_SECONDS)
        ending = locked.run(__name__, folder, bounds)
        if not ending.fine:
            raise RuntimeFailure(
                f"the graph cannot be run: {ending.describe()}",
                which="model.onnx",
                hint="check the graph and its limits",
            )
        return _answer(folder, len(inputs))


def _answer(folder: Path, count: int) -> Trial:
    facts = json.loads((folder / "facts.json").read_text())
    outputs = tuple(_load(folder / f"out{number}.npz") for number in range(count))
    return Trial(outputs, facts["provider"], facts["load_ms"], facts["median_ms"], facts["peak_mib"])


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Names go beside the arrays: a tensor may be called anything, a zip member may not."""
    numbered = {f"t{n}": tensor for n, tensor in enumerate(tensors.values())}
    np.savez(path, names=np.array(list(tensors), dtype=np.str_), **numbered)  # type: ignore[arg-type]


def _load(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as stored:
        return {str(name): stored[f"t{n}"] for n, name in enumerate(stored["names"])}


def main(folder: Path) -> None:
    """The child's side."""
    from edge.infer.runtime import Session

    request = json.loads((folder / "request.json").read_text())
    started = time.perf_counter()
    session = Session((folder / "model.onnx").read_bytes(), backends=tuple(request["backends"]), threads=1)
    load_ms = (time.perf_counter() - started) * 1e3
    times = []
    for number in range(request["count"]):
        tensors = _load(folder / f"in{number}.npz")
        started = time.perf_counter()
        outputs = session.run(tensors)
        times.append((time.perf_counter() - started) * 1e3)
        _save(folder / f"out{number}.npz", outputs)
    facts = {
        "provider": session.provider,
        "load_ms": load_ms,
        "median_ms": sorted(times)[len(times) // 2] if times else 0.0,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    (folder / "facts.json").write_text(json.dumps(facts))
