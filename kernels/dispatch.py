"""Which compiled level runs: the best one that this CPU has, chosen once at import.

`EDGE_KERNELS=v2|v3|v4` asks for a lower level (to compare, or to keep clear of AVX-512); a level that this CPU or this
build does not have is refused at import, never replaced in silence.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernels._frame import Resampler

# What each x86-64 level adds, in the words of /proc/cpuinfo, best first (x86-64 psABI, micro-architecture levels).
_NEEDS = {
    "v4": frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "fma", "bmi2"}),
    "v3": frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}),
    "v2": frozenset({"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
}

_NUMPY_WORDS = {"SSE41": "sse4_1", "SSE42": "sse4_2", "FMA3": "fma", "BMI": "bmi1"}


def supported(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Levels that are built here and that this CPU can run, best first."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return ("baseline",)
    flags = _cpu_flags(cpuinfo)
    return tuple(level for level, needs in _NEEDS.items() if needs <= flags and _is_built(level))


def build() -> str:
    """The level that runs: "v4", "v3" or "v2" on x86-64, "baseline" elsewhere."""
    return _LEVEL


def compiled(source: str) -> Any:
    """The module made of `kernels/<source>.pyx` for the level that runs; `kernels/<source>.pyi` says its shape."""
    return importlib.import_module(f"kernels.{source}_{build()}")


def resampler_class() -> type[Resampler]:
    """The compiled class of the level that runs."""
    resampler: type[Resampler] = compiled("_frame").Resampler
    return resampler


def _cpu_flags(cpuinfo: Path) -> frozenset[str]:
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:  # a unit that sees processes only (ProcSubset=pid)
        return _cpu_flags_by_numpy()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def _cpu_flags_by_numpy() -> frozenset[str]:
    """The same flags as NumPy had them from the processor itself; an older NumPy knows fewer of them."""
    features: dict[str, bool] = importlib.import_module("numpy._core._multiarray_umath").__cpu_features__
    flags = {_NUMPY_WORDS.get(name, name.lower()) for name, is_here in features.items() if is_here}
    # no processor has SSE4.2 without it
    return frozenset(flags | {"cx16"} if "sse4_2" in flags else flags)


def _is_built(level: str) -> bool:
    return importlib.util.find_spec(f"kernels._frame_{level}") is not None


def _choice() -> str:
    levels = supported()
    wanted = os.environ.get("EDGE_KERNELS", "")
    if wanted and wanted not in levels:
        raise ImportError(
            f"EDGE_KERNELS: {wanted!r} is not one of {', '.join(levels) or 'nothing'}, all that runs here; "
            "try: unset EDGE_KERNELS"
        )
    if not levels:
        raise ImportError(
            "no compiled kernel runs on this CPU (x86-64-v2 is the least); "
            "try: in a checkout, python setup.py build_ext --inplace"
        )
    return wanted or levels[0]


_LEVEL = _choice()
