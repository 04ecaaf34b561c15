"""Extensions only; everything else is in pyproject.toml.

One source, one extension module per x86-64 level: the copies and the generated C live in build/, so neither the
source tree nor the wheel ever holds them. `kernels/dispatch.py` picks one of the modules at import.
"""

import platform
import shutil
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = ("kernels/_frame.pyx", "kernels/_frame.h", "kernels/_vector.h")
FLAGS = ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math"]
X86_LEVELS = {"v2": [], "v3": [], "v4": ["-mprefer-vector-width=512"]}


def levels() -> dict[str, list[str]]:
    """Compiler flags by level name: three on x86-64, one baseline elsewhere."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return {"baseline": FLAGS}
    return {level: [*FLAGS, f"-march=x86-64-{level}", *extra] for level, extra in X86_LEVELS.items()}


def extension(level: str, flags: list[str]) -> Extension:
    """The frame kernel compiled for one level, as module `kernels._frame_<level>`."""
    folder = Path("build/levels")
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"_frame_{level}.pyx"
    if not copy.exists() or copy.read_bytes() != Path(SOURCES[0]).read_bytes():
        shutil.copy(SOURCES[0], copy)
    return Extension(
        f"kernels._frame_{level}",
        [str(copy)],
        depends=list(SOURCES),
        include_dirs=["kernels"],
        extra_compile_args=flags,
    )


setup(ext_modules=cythonize([extension(*item) for item in levels().items()], language_level=3))
