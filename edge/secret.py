"""A secret of one line from a file, or from systemd's credentials: never from edge.toml itself."""

from __future__ import annotations

from edge.config import Settings
from edge.errors import EnvironmentFailure


def secret_line(settings: Settings, path: str | None, which: str) -> str:
    """The line that the file `path` holds; empty without a path.

    Raises
    ------
    EnvironmentFailure
        If it cannot be read or is not one line of printable ASCII.
    """
    if path is None:
        return ""
    try:
        line = settings.path(path).read_bytes().strip().decode("ascii")
    except OSError as error:
        raise _unusable(error.strerror or "unreadable", which) from None
    except UnicodeDecodeError:
        raise _unusable("not ASCII", which) from None
    if not line or not line.isprintable():
        raise _unusable("not one line of text", which)
    return line


def _unusable(why: str, which: str) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"the secret cannot be used ({why})",
        which=which,
        hint="one line, in a file that the room's user may read",
    )
