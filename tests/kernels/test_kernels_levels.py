"""Which compiled level runs, that one can ask for another, and that all levels give one answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernels import GrayscaleTransform, ResamplePlan, build, dispatch, frame_to_tensor

LEVELS = dispatch.supported()


def run_python(code: str, level: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "EDGE_KERNELS": level},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        check=False,
    )


def answers() -> dict[str, np.ndarray]:
    """A bit of everything: types, tables, filters, shapes that are no multiple of any vector."""
    made = {}
    for dtype in (np.uint8, np.uint16, np.int16):
        for shape in ((1, 1), (3, 5), (131, 67), (300, 517)):
            limits = np.iinfo(dtype)
            frame = np.random.default_rng(3).integers(limits.min, limits.max, shape, dtype)
            for kind in ("area", "triangle", "linear"):
                for function in ("LINEAR", "SIGMOID"):
                    transform = GrayscaleTransform.window(100, 300, function, signed=True)
                    plan = ResamplePlan(shape, (33, 47), kind)
                    key = f"{np.dtype(dtype).name} {shape} {kind} {function}"
                    made[key] = frame_to_tensor(frame, transform, plan)
    return made


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_gives_the_same_answer(level: str, tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; sys.path[:0] = ['tests/kernels']; import kernels, test_kernels_levels as t; "
        "np.savez(sys.argv[1], **t.answers()); print(kernels.build())"
    )
    done = run_python(code, level, str(tmp_path / "answers.npz"))
    assert done.stdout.strip() == level, done.stderr
    with np.load(tmp_path / "answers.npz") as theirs:
        for key, ours in answers().items():
            np.testing.assert_allclose(theirs[key], ours, rtol=0, atol=2e-6, err_msg=key)


def test_the_best_level_runs_unless_another_is_asked_for() -> None:
    assert build() == (os.environ.get("EDGE_KERNELS") or LEVELS[0])


def test_an_impossible_level_is_refused_at_import() -> None:
    done = run_python("import kernels", "v9")
    assert done.returncode != 0
    assert "EDGE_KERNELS" in done.stderr
    assert "try:" in done.stderr


def test_a_poor_cpu_gets_the_level_that_it_has(tmp_path: Path) -> None:
    if "v2" not in LEVELS:
        pytest.skip("levels exist on x86-64 only")
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 popcnt cx16\n")
    assert dispatch.supported(cpuinfo) == ("v2",)
    cpuinfo.write_text("flags : fpu sse sse2\n")
    assert dispatch.supported(cpuinfo) == ()


def test_where_the_kernel_hides_cpuinfo_the_same_levels_are_found(tmp_path: Path) -> None:
    assert dispatch.supported(tmp_path / "absent") == dispatch.supported()


def test_kernels_need_neither_edge_nor_anything_but_numpy() -> None:
    code = (
        "import sys, kernels; roots = {name.split('.')[0] for name in sys.modules}; "
        "print(sorted(roots & {'edge', 'pydicom', 'cv2', 'scipy', 'Cython'}))"
    )
    done = run_python(code, "")
    assert done.stdout.strip() == "[]", done.stderr
