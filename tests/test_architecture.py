"""The shape of the house: who may import whom, one door per library, small files, no hidden state."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import REPOSITORY

ROOMS = ("receive", "infer", "deliver", "relink")
DOORS = {
    "onnxruntime": "edge/infer/runtime.py",
    "sqlite3": "edge/journal/database.py",
    "imagecodecs": "edge/infer/codecs.py",
    "pynetdicom": "edge/upper_layer.py",
    "cryptography": "edge/crypto.py",
    "cv2": "edge/opencv.py",
    "highdicom": "edge/bench/highdicom_report.py",
    "torch": "edge/bench/torch_peer.py",
    "openvino": "edge/bench/openvino_peer.py",
    "onnx": "edge/packages/graph.py",
}
SECOND_DOORS = {"cv2": "kernels/_opencv.py"}
"""Kernels know nothing of edge, so they have a door of their own."""
MAY_ALSO = {"edge/packages/graph.py": ("edge.packages.manifest",)}
"""A graph is only ever read against the manifest that declares its tensors."""
FORBIDDEN = {
    "edge/receive": ("edge.infer", "edge.report", "edge.packages", "edge.opencv", "kernels", "numpy", "pydicom"),
    "edge/deliver": ("edge.vault", "edge.infer", "edge.receive", "edge.report", "edge.packages", "kernels", "numpy"),
    "edge/config": ("edge.journal", "edge.packages", *(f"edge.{room}" for room in ROOMS)),
    "edge/journal": ("edge.config", "edge.packages", *(f"edge.{room}" for room in ROOMS)),
    "edge/report": ("edge.config", "edge.journal", *(f"edge.{room}" for room in ROOMS)),
    "kernels": ("edge",),
}
LOADED_NEVER = {
    "receive": (
        "edge.infer",
        "edge.report",
        "edge.deliver",
        "onnxruntime",
        "onnx",
        "imagecodecs",
        "cv2",
        "highdicom",
        "pydicom",
        "numpy",
    ),
    "deliver": ("edge.infer", "edge.report", "edge.receive", "edge.vault", "onnxruntime", "onnx", "imagecodecs", "cv2"),
}
FILE_LINES, FUNCTION_LINES, SCRIPT_LINES = 400, 60, 150

SOURCES = sorted([*REPOSITORY.glob("edge/**/*.py"), *REPOSITORY.glob("kernels/**/*.py")])
TESTS = sorted(REPOSITORY.glob("tests/**/*.py"))


def name(path: Path) -> str:
    """The path as this file writes it."""
    return path.relative_to(REPOSITORY).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports anywhere in it, type-checking blocks excepted, as a dotted name."""
    tree = ast.parse(path.read_text())
    ignored = {id(each) for node in ast.walk(tree) if _is_type_checking(node) for each in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in ignored:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def within(module: str, package: str) -> bool:
    """Whether `module` is `package` or lies in it."""
    return module == package or module.startswith(f"{package}.")


def test_rooms_never_import_each_other() -> None:
    wrong = [
        f"{name(path)} imports {module}"
        for room in ROOMS
        for path in (REPOSITORY / "edge" / room).glob("**/*.py")
        for module in imports(path)
        for other in ROOMS
        if other != room and within(module, f"edge.{other}")
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_folder_never_imports_what_it_must_not_know(folder: str) -> None:
    wrong = [
        f"{name(path)} imports {module}"
        for path in (REPOSITORY / folder).glob("**/*.py")
        for module in imports(path)
        if any(within(module, forbidden) for forbidden in FORBIDDEN[folder])
    ]
    assert wrong == []


@pytest.mark.parametrize("room", LOADED_NEVER)
def test_a_room_in_its_own_process_never_loads_what_it_must_not_hold(room: str) -> None:
    program = f"import sys, edge.cli, edge.rooms, edge.{room}.room; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    loaded = ended.stdout.split()
    assert [module for module in loaded if any(within(module, each) for each in LOADED_NEVER[room])] == []


@pytest.mark.parametrize("library", DOORS)
def test_each_big_library_has_one_door(library: str) -> None:
    users = {name(path) for path in SOURCES if any(within(module, library) for module in imports(path))}
    assert users <= {DOORS[library], SECOND_DOORS.get(library, DOORS[library])}


@pytest.mark.parametrize("door", sorted({*DOORS.values(), *SECOND_DOORS.values()}))
def test_a_door_imports_nothing_of_ours_but_the_errors(door: str) -> None:
    ours = {module for module in imports(REPOSITORY / door) if within(module, "edge") or within(module, "kernels")}
    allowed = ("edge.errors", *MAY_ALSO.get(door, ()))
    assert [module for module in sorted(ours - {"edge"}) if not any(within(module, each) for each in allowed)] == []


def test_the_command_line_is_known_to_nobody() -> None:
    wrong = [
        f"{name(path)} imports {module}"
        for path in SOURCES
        if not name(path).startswith(("edge/commands/", "edge/cli.py", "edge/__main__.py"))
        for module in imports(path)
        if within(module, "edge.cli") or within(module, "edge.commands")
    ]
    assert wrong == []


def test_no_file_is_long() -> None:
    kernels = [*REPOSITORY.glob("kernels/*.pyx"), *REPOSITORY.glob("kernels/*.h")]
    long = {name(path): _lines(path) for path in [*SOURCES, *TESTS, *kernels] if _lines(path) > FILE_LINES}
    scripts = [path for path in REPOSITORY.glob("firmware_scripts/**/*") if path.suffix == ".sh"]
    long |= {name(path): _lines(path) for path in scripts if _lines(path) > SCRIPT_LINES}
    assert long == {}


def test_no_function_is_long() -> None:
    long = {
        f"{name(path)}:{node.name}": length
        for path in [*SOURCES, *TESTS]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    for path in REPOSITORY.glob("kernels/*.pyx"):
        long |= {f"{name(path)}:{each}": length for each, length in _cython_functions(path) if length > FUNCTION_LINES}
    assert long == {}


def test_no_module_keeps_mutable_state() -> None:
    wrong = []
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        wrong += [f"{name(path)}:{node.lineno} global" for node in ast.walk(tree) if isinstance(node, ast.Global)]
        wrong += [f"{name(path)}:{node.lineno} {target}" for node in tree.body for target in _mutable(node)]
    assert wrong == []


def test_every_package_is_in_the_wheel() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    found = {name(path.parent).replace("/", ".") for path in SOURCES if path.name == "__init__.py"}
    assert found == set(project["tool"]["setuptools"]["packages"]) - {"edge.shipped"}


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        name(path) for path in SOURCES if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_every_room_has_a_door_sign() -> None:
    folders = [path.parent for path in REPOSITORY.glob("edge/*/__init__.py")]
    assert [name(folder) for folder in folders if not (folder / "README.md").is_file()] == []


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def _mutable(node: ast.stmt) -> Iterator[str]:
    """Lower-case module variables that hold a list, a dict or a set: constants are in capitals."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    value = getattr(node, "value", None)
    container = isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)
    called = isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] in {
        "list", "dict", "set", "bytearray", "deque", "defaultdict", "Counter", "OrderedDict",
    }  # fmt: skip
    for target in targets:
        if (
            isinstance(target, ast.Name)
            and (container or called)
            and not (target.id.isupper() or target.id == "__all__")
        ):
            yield target.id


def _cython_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Functions of a .pyx file and how many lines each has, by its indentation."""
    lines = path.read_text().splitlines()
    for start, line in enumerate(lines):
        head = re.match(r"(\s*)(?:def|cdef|cpdef)\s+(?!class\b|extern\b|enum\b|struct\b)[^=]*?(\w+)\(", line)
        if not head:
            continue
        end = start + 1
        closed = line.rstrip().endswith(":")
        while end < len(lines):
            text = lines[end]
            if closed and text.strip() and len(text) - len(text.lstrip()) <= len(head[1]):
                break
            closed = closed or text.rstrip().endswith(":")
            end += 1
        yield head[2], len("\n".join(lines[start:end]).rstrip().splitlines())


def test_no_two_test_modules_share_a_name() -> None:
    """pytest imports them by name alone, and would not collect the second."""
    names = Counter(path.name for path in (REPOSITORY / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
