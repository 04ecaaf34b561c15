"""Logs that can hold no patient's data: our own lines only, and of an exception its class and place, never its text.

Decoders and parsers put received values into warnings, log records and exception texts. So the libraries' loggers
and Python's warnings are silenced, and tracebacks are printed as places.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any


class _Formatter(logging.Formatter):
    """`2026-01-31T12:00:00 INFO deliver: message`; an exception as its class and places."""

    def __init__(self, room: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)s {room}: %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        error = ei[1]
        return f"{frames(error)}{type(error).__name__}" if error is not None else ""


def configure(room: str, level: int = logging.INFO) -> None:
    """Send `edge.*` records to stderr under the name of `room`; nobody else's anywhere."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(room))
    ours = logging.getLogger("edge")
    ours.handlers = [handler]
    ours.propagate = False
    ours.setLevel(level)
    logging.getLogger().handlers = [logging.NullHandler()]
    warnings.simplefilter("ignore")
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def frames(error: BaseException) -> str:
    """Where `error` happened, without its text: it may hold a received value."""
    places = traceback.extract_tb(error.__traceback__)
    return "".join(f"  at {place.filename}:{place.lineno} {place.name}\n" for place in places)


def _uncaught(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    sys.stderr.write(f"{frames(error)}uncaught {kind.__name__}\n")


def _uncaught_in_thread(hook: Any) -> None:
    if hook.exc_value is not None and not isinstance(hook.exc_value, SystemExit):
        _uncaught(hook.exc_type, hook.exc_value, None)


def _unraisable(hook: Any) -> None:
    if hook.exc_value is not None:
        _uncaught(hook.exc_type, hook.exc_value, None)
