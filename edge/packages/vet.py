"""Look at a package's graph in a locked child: onnx and protobuf are native code, and the box's keys are not theirs.

In: a package folder. Out: the problems that `check.static_problems` finds there. Runs nothing of the package.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from edge.errors import PackageError
from edge.packages import locked
from edge.packages.package import GRAPH, Package, load_folder

_BASE_MIB = 1536
_SECONDS = 60
_GRAPH_COPIES = 4


def vet(package: Package) -> None:
    """Raise PackageError with the first problem of `package`, or RuntimeFailure where no child can be started."""
    graph = package.manifest.members[GRAPH].size
    bounds = locked.Bounds(_BASE_MIB + _GRAPH_COPIES * (graph >> 20), _SECONDS, _SECONDS)
    with tempfile.TemporaryDirectory(prefix="edge-vet-") as name:
        folder = Path(name)
        (folder / "request.json").write_text(json.dumps({"package": str(package.folder.resolve())}))
        ending = locked.run(__name__, folder, bounds)
        if not ending.fine:
            raise PackageError(
                f"the graph cannot be read: {ending.describe()}",
                which=GRAPH,
                hint="get the package from its vendor again",
            )
        for where, what, hint in json.loads((folder / "problems.json").read_text()):
            raise PackageError(what, which=where, hint=hint)


def main(folder: Path) -> None:
    """The child's side."""
    from edge.packages.check import static_problems

    package = load_folder(Path(json.loads((folder / "request.json").read_text())["package"]))
    found = [(problem.where, problem.what, problem.hint) for problem in static_problems(package)]
    (folder / "problems.json").write_text(json.dumps(found))
