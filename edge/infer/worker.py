"""The worker process: `python -m edge.infer.worker DESCRIPTOR [gpu] [gently]`. Pixels and a model, never a key.

It locks itself in first, before it loads anything that could be attacked, then becomes the worker of one package
and looks at one data set after the other (serving.py). It may die at any time: the room starts another.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading
from pathlib import Path

from edge.infer import lockdown


def main() -> int:
    """Serve until the other side closes."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    devices = tuple(Path("/dev").glob("nvidia*")) if "gpu" in sys.argv[2:] else ()
    lockdown.apply(lockdown.software_paths(), devices)
    # only now: what this imports starts threads, and a lock set later would not hold them
    if "gently" in sys.argv[2:]:
        loader = threading.Thread(target=_load_software)
        loader.start()
        loader.join()
    from edge.infer.serving import serve

    serve(connection)
    return 0


def _load_software() -> None:
    """Import what is needed on a thread that gives way to all others; the one that will serve keeps its priority."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    importlib.import_module("edge.infer.serving")


if __name__ == "__main__":
    sys.exit(main())
