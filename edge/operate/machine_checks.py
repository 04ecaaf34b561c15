"""Doctor's look at this machine: kernels, model packages, the runtime and its backends, confinement, telemetry."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

from edge import rooms
from edge.config import Settings
from edge.errors import PackageError
from edge.operate.check import Check, failed, passed, warned
from edge.packages.check import examine
from edge.packages.registry import Registry

_LANDLOCK_CREATE_RULESET = 444
_LOCK_SECONDS = 60.0
_RUNTIMES = {"onnxruntime": "cpu", "onnxruntime-gpu": "gpu"}


def check_machine(settings: Settings, registry: Registry) -> Iterator[Check]:
    """All checks of this file."""
    yield _kernels()
    runtime = _runtime()
    yield runtime
    if runtime.ok:
        yield from _packages(settings, registry)
        yield _providers(settings)
    yield _landlock()
    yield _lock()
    yield _telemetry(settings)


def _kernels() -> Check:
    """Every compiled kernel beside its float64 oracle."""
    import kernels
    from edge.operate import kernel_checks

    errors = kernel_checks.errors()
    wrong = [name for name, share in errors.items() if not share <= 1]
    if wrong:
        detail = f"build {kernels.build()}, not as the float64 oracle: {', '.join(wrong)}"
        return failed("kernels", detail, "set EDGE_KERNELS=v2, and report this machine")
    return passed("kernels", f"build {kernels.build()}, {len(errors)} kernels as their float64 oracles have it")


def _runtime() -> Check:
    """Both distributions own the same files: whichever came last wins, and uninstalling one breaks the other."""
    found = [name for name in _RUNTIMES if _version(name)]
    if len(found) == 2:
        return failed("onnxruntime", "both distributions are installed", "pip uninstall both, then install one of them")
    if not found and util.find_spec("onnxruntime") is None:
        return failed("onnxruntime", "it is not installed", "pip install 'edge-imaging[cpu]' (or [gpu])")
    return passed("onnxruntime", f"{found[0]} {_version(found[0])}" if found else "built from source")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _packages(settings: Settings, registry: Registry) -> Iterator[Check]:
    """Every package that a route names: members, graph and golden cases, in a locked child."""
    for name in sorted({route.package for route in settings.routes}):
        try:
            package = registry.resolve(name)
        except PackageError as error:
            yield failed(f"package {name}", error.what, error.hint)
            continue
        report = examine(package)
        manifest = package.manifest
        if report.problems:
            problem = report.problems[0]
            yield failed(f"package {name}", f"{problem.where}: {problem.what}", problem.hint)
        else:
            run = f"self-test {report.cases} of {report.cases} on {report.provider}, {report.median_ms:.0f} ms a run"
            yield passed(f"package {name}", f"{manifest.version}, {manifest.status}; {run}")


def _providers(settings: Settings) -> Check:
    """What was asked for must be here: nothing falls back in silence."""
    from edge.infer import runtime

    here = runtime.available()
    missing = [name for name in settings.infer.providers if name != "auto" and name not in here]
    if missing:
        hint = "correct infer.providers, or install edge-imaging[gpu] and its driver"
        return failed("providers", f"{', '.join(missing)} asked for, only {', '.join(here)} here", hint)
    return passed("providers", f"{', '.join(settings.infer.providers)} asked for; here: {', '.join(here)}")


def _landlock() -> Check:
    """The worker shuts itself in with Landlock where the kernel has it."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return warned(
            "landlock",
            f"not available ({os.strerror(ctypes.get_errno())})",
            "use a kernel with CONFIG_SECURITY_LANDLOCK",
        )
    return passed("landlock", f"ABI {version}")


def _lock() -> Check:
    """Tries to break out of a worker's lock; an act that does not work unlocked either proves nothing."""
    with tempfile.TemporaryDirectory(prefix="edge-doctor-") as folder:
        free, locked = _tried(folder), _tried(folder, "--locked")
    proving = [act for act, error in free.items() if error == 0]
    open_still = [act for act in proving if locked.get(act, 0) == 0]
    if not proving or len(locked) != len(free):
        return failed("worker lock", "it could not be tried", "run it as the box's own user")
    if open_still:
        which = ", ".join(open_still)
        return warned("worker lock", f"a worker can still: {which}", "use a kernel with Landlock and seccomp")
    return passed("worker lock", f"{len(proving)} of {len(proving)} ways out are refused by the kernel")


def _tried(*arguments: str) -> dict[str, int]:
    command = [sys.executable, "-m", "edge.operate.breakout", *arguments]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=_LOCK_SECONDS)
    try:
        found: dict[str, int] = json.loads(ended.stdout)
    except ValueError:
        return {}
    return found


def _telemetry(settings: Settings) -> Check:
    """onnxruntime calls home unless this is set before its import, in every process of ours."""
    loud = [] if os.environ.get("ORT_DISABLE_TELEMETRY") == "1" else ["this command"]
    for room in rooms.ROOMS:
        facts = rooms.announced(settings, room)
        if facts and not _is_quiet(int(facts["pid"])):
            loud.append(room)
    if loud:
        return failed(
            "telemetry", f"onnxruntime may call home from: {', '.join(loud)}", "set ORT_DISABLE_TELEMETRY=1 there"
        )
    return passed("telemetry", "onnxruntime's is off in every process")


def _is_quiet(pid: int) -> bool:
    """False only when the process is known not to have the switch; `edge` itself always sets it."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return True
    return b"ORT_DISABLE_TELEMETRY=1" in environment
