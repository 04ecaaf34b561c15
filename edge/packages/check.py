"""Is a package fit to run on this very box? `edge models check`.

In: a package. Out: the problems found (none: fit), and what was measured. Invariant: nothing is run before manifest,
members and graph have passed, and then only in a locked child within the package's own limits.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.errors import EdgeError, PackageError
from edge.packages import cam, graph, selftest, trial
from edge.packages.manifest import Manifest
from edge.packages.package import GRAPH, Package
from edge.packages.tasks import OCCLUSIONS


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
    problems = static_problems(package)
    if problems:
        return Report(tuple(problems))
    try:
        return _selftest(package, cam.expose(package.read(GRAPH), package.manifest))
    except EdgeError as error:
        return Report((_problem(error),))


def static_problems(package: Package) -> list[Problem]:
    """What is wrong with members, keywords and graph; nothing is run."""
    problems = [*_member_problems(package), *_keyword_problems(package.manifest)]
    if problems:
        return problems
    try:
        data = package.read(GRAPH)
        graph.check(data, package.manifest)
        cam.expose(data, package.manifest)
    except EdgeError as error:
        return [_problem(error)]
    return []


def _problem(error: EdgeError) -> Problem:
    return Problem(error.which, error.what, error.hint)


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
    for keyword in sorted(manifest.names_of_attributes()):
        try:
            check_keywords([keyword])
        except PackageError as error:
            problems.append(_problem(error))
    return problems


def _selftest(package: Package, data: bytes) -> Report:
    """Run the golden cases in a locked child."""
    manifest = package.manifest
    cases = manifest.selftest.cases
    result = trial.run(
        data,
        [selftest.inputs(package, case) for case in cases],
        backends=manifest.runtime.backends,
        memory_mib=manifest.limits.memory_mib,
        seconds=manifest.limits.seconds * (len(cases) + 1),
    )
    problems = []
    largest = 0.0
    for case, outputs in zip(cases, result.outputs, strict=True):
        off = selftest.difference(manifest, outputs, selftest.expected(package, case))
        if off is None:
            problems.append(Problem(case.input, "the graph answers in another shape, or with NaN", "check the graph"))
            continue
        largest = max(largest, off)
        if off > manifest.selftest.tolerance:
            problems.append(Problem(case.input, f"the answer is off by {off:.3g}", "do not use it on this box"))
    runs = 1 + (OCCLUSIONS if any(output.cam == "occlusion" for output in manifest.outputs) else 0)
    if result.median_ms * runs > manifest.limits.seconds * 1e3:
        took = (
            f"{runs} runs take {result.median_ms * runs:.0f} ms here"
            if runs > 1
            else f"one run takes {result.median_ms:.0f} ms here"
        )
        problems.append(Problem("limits.seconds", took, "raise the limit"))
    return Report(
        tuple(problems), result.provider, len(cases), largest, result.load_ms, result.median_ms, result.peak_mib
    )
