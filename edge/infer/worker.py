"""The worker process: `python -m edge.infer.worker DESCRIPTOR [gpu]`. It holds pixels and a model, never a key.

It locks itself in first, before it loads anything that could be attacked, then becomes the worker of one package
and looks at one data set after the other (serving.py). It may die at any time: the room starts another.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from edge.infer import lockdown


def main() -> int:
    """Serve until the other side closes."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    devices = tuple(Path("/dev").glob("nvidia*")) if "gpu" in sys.argv[2:] else ()
    lockdown.apply(lockdown.software_paths(), devices)
    # only now: what this imports starts threads, and a lock set later would not hold them
    from edge.infer.serving import serve

    serve(connection)
    return 0


if __name__ == "__main__":
    sys.exit(main())
