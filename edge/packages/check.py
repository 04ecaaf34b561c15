"""Is a package fit to run on this very box? `edge models check`.

In: a package. Out: the problems found (none: fit), and what was measured. Invariant: nothing is run before manifest,
members and graph have passed, and then only in a locked child within the package's own limits.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.errors import EdgeError, PackageError
from edge.packages import cam, graph, trial
from edge.packages.manifest import Manifest, SelftestCase, check_supported
from edge.packages.package import GRAPH, Package

Tensor = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where, what, and what to try."""

    where: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. Times in milliseconds of one single-threaded run on this box, memory in MiB."""

    problems: tuple[Problem, ...]
    provider: str = ""
    cases: int = 0
    max_difference: float = 0.0
    load_ms: float = 0.0
    median_ms: float = 0.0
    peak_mib: float = 0.0


def check(package: Package) -> list[Problem]:
    """The problems of `package`; an empty list says that it may run here."""
    return list(examine(package).problems)


def examine(package: Package) -> Report:
    """As `check`, with what was measured."""
    problems = [*_support_problems(package.manifest), *_member_problems(package), *_keyword_problems(package.manifest)]
    if problems:
        return Report(tuple(problems))
    try:
        data = package.read(GRAPH)
        graph.check(data, package.manifest)
        return _selftest(package, cam.expose(data, package.manifest))
    except EdgeError as error:
        return Report((_problem(error),))


def _problem(error: EdgeError) -> Problem:
    return Problem(error.which, error.what, error.hint)


def _support_problems(manifest: Manifest) -> list[Problem]:
    try:
        check_supported(manifest)
    except PackageError as error:
        return [_problem(error)]
    return []


def _member_problems(package: Package) -> list[Problem]:
    problems = []
    for name in package.manifest.members:
        try:
            package.read(name)
        except PackageError as error:
            problems.append(_problem(error))
    return problems


def _keyword_problems(manifest: Manifest) -> list[Problem]:
    """A misspelt keyword would never be found in any header, and quietly accept or refuse everything."""
    from edge.infer.applicability import check_keywords

    problems = []
    for keyword, rule in manifest.applicability.items():
        try:
            check_keywords({keyword: rule})
        except PackageError as error:
            problems.append(_problem(error))
    return problems


def _selftest(package: Package, data: bytes) -> Report:
    """Run the golden cases. Several outputs are compared one after the other, in the manifest's order."""
    manifest = package.manifest
    source = manifest.inputs[0]
    cases = manifest.selftest.cases
    tensors = [_tensor(package, case) for case in cases]
    result = trial.run(
        data,
        [{source.tensor: tensor} for tensor in tensors],
        backends=manifest.runtime.backends,
        memory_mib=manifest.limits.memory_mib,
        seconds=manifest.limits.seconds * (len(cases) + 1),
    )
    problems = []
    largest = 0.0
    for case, outputs in zip(cases, result.outputs, strict=True):
        answered = np.concatenate([outputs[output.tensor].ravel() for output in manifest.outputs])
        if answered.shape != (len(case.expected),) or not np.isfinite(answered).all():
            problems.append(Problem(case.input, "the graph answers in another shape, or with NaN", "check the graph"))
            continue
        difference = float(np.abs(answered - np.array(case.expected)).max(initial=0.0))
        largest = max(largest, difference)
        if difference > manifest.selftest.tolerance:
            problems.append(Problem(case.input, f"the answer is off by {difference:.3g}", "do not use it on this box"))
    slowest = manifest.limits.seconds * 1e3
    if result.median_ms > slowest:
        problems.append(Problem("limits.seconds", f"one run takes {result.median_ms:.0f} ms here", "raise the limit"))
    return Report(
        tuple(problems), result.provider, len(cases), largest, result.load_ms, result.median_ms, result.peak_mib
    )


def _tensor(package: Package, case: SelftestCase) -> Tensor:
    source = package.manifest.inputs[0]
    try:
        tensor = np.load(io.BytesIO(package.read(case.input)), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise PackageError(
            "a self-test input is no NumPy array", which=case.input, hint="save it with numpy.save"
        ) from None
    if not isinstance(tensor, np.ndarray) or tensor.dtype != np.float32 or tensor.shape != tuple(source.shape):
        raise PackageError(
            "a self-test input has not the shape and type of the input tensor", which=case.input, hint="make it again"
        )
    return tensor
