"""The golden cases of a package, in a locked worker like any other: what the vendor promised must come true here.

In: a package and a worker that has it. Out: what was measured, or a `PackageError` that says which case failed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.errors import PackageError
from edge.infer.process import Worker, close_model, load_model
from edge.infer.protocol import Answer, Tensor
from edge.packages import selftest
from edge.packages.manifest import SelftestCase
from edge.packages.package import Package
from edge.reasons import sentence

_HINT = "do not use the package on this box; ask its vendor"


@dataclass(frozen=True, slots=True)
class Passed:
    """A self-test that was passed: cases, the largest difference, milliseconds of the median run, what ran it."""

    cases: int
    max_difference: float
    median_ms: float
    provider: str


def run(worker: Worker, package: Package) -> Passed:
    """Run every golden case on `worker`.

    Raises
    ------
    PackageError
        If one answer is not what the manifest promises, or there is none. The worker may be dead then.
    """
    largest, times = 0.0, []
    for case in package.manifest.selftest.cases:
        answer = worker.probe({name: _npy(tensor) for name, tensor in selftest.inputs(package, case).items()})
        if answer.reason:
            raise _failed(sentence(answer.reason), case)
        off = _difference(package, answer, case)
        if off is None:
            raise _failed("the graph answers in another shape, or with NaN", case)
        if off > package.manifest.selftest.tolerance:
            raise _failed(f"the answer is off by {off:.3g}", case)
        largest = max(largest, off)
        times.append(answer.milliseconds["run"])
    return Passed(len(times), largest, sorted(times)[len(times) // 2], worker.provider)


@contextmanager
def _alone(package: Package, backends: tuple[str, ...], max_frame_bytes: int) -> Iterator[Worker]:
    model = load_model(package, backends, max_frame_bytes)
    try:
        worker = Worker(model, gently=True)
        try:
            yield worker
        finally:
            worker.kill()
    finally:
        close_model(model)


def run_alone(package: Package, backends: tuple[str, ...], max_frame_bytes: int) -> Passed:
    """As `run`, on a worker that is started for it, gives way to others, and is ended. Raises PackageError."""
    with _alone(package, backends, max_frame_bytes) as worker:
        return run(worker, package)


def _failed(what: str, case: SelftestCase) -> PackageError:
    return PackageError(f"the self-test failed: {what}", which=case.input, hint=_HINT)


def _difference(package: Package, answer: Answer, case: SelftestCase) -> float | None:
    """How far the answer is off; None for one of another shape, or what is not a number."""
    try:
        return selftest.difference(package.manifest, _arrays(answer), selftest.expected(package, case))
    except KeyError:
        return None


def _npy(tensor: npt.NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, tensor, allow_pickle=False)
    return buffer.getvalue()


def _arrays(answer: Answer) -> dict[str, npt.NDArray[np.generic]]:
    return {name: array for name, tensor in answer.outputs.items() if (array := _array(tensor)) is not None}


def _array(tensor: Tensor) -> npt.NDArray[np.float32] | None:
    """None where the worker's numbers do not fill the shape that it names."""
    try:
        return np.frombuffer(tensor.data, "<f4").reshape(tensor.shape)
    except ValueError:
        return None
