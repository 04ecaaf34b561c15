"""Extensions only; everything else is in pyproject.toml.

One source, one extension module per x86-64 level: the copies and the generated C live in build/, so neither the
source tree nor the wheel ever holds them. `kernels/dispatch.py` picks one level at import.
"""

import platform
import shutil
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = tuple(sorted(Path("kernels").glob("_*.pyx")))
HEADERS = sorted(str(header) for header in Path("kernels").glob("_*.h"))
FLAGS = ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math"]
X86_LEVELS = {"v2": [], "v3": [], "v4": ["-mprefer-vector-width=512"]}


def levels() -> dict[str, list[str]]:
    """Compiler flags by level name: three on x86-64, one baseline elsewhere."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return {"baseline": FLAGS}
    return {level: [*FLAGS, f"-march=x86-64-{level}", *extra] for level, extra in X86_LEVELS.items()}


def extension(source: Path, level: str, flags: list[str]) -> Extension:
    """`kernels/_frame.pyx` compiled for one level, as module `kernels._frame_<level>`."""
    folder = Path("build/levels")
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{source.stem}_{level}.pyx"
    if not copy.exists() or copy.read_bytes() != source.read_bytes():
        shutil.copy(source, copy)
    return Extension(
        f"kernels.{copy.stem}",
        [str(copy)],
        depends=HEADERS,
        include_dirs=["kernels"],
        extra_compile_args=flags,
    )


MODULES = [extension(source, *level) for source in SOURCES for level in levels().items()]

setup(ext_modules=cythonize(MODULES, language_level=3))
