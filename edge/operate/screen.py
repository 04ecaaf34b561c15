"""What terminals show: aligned columns, plain ASCII words, colour only where a person looks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

_COLOURS = {"OK": "32", "WARN": "33", "FAIL": "31", "DOWN": "31", "UP": "32", "HELD": "33", "bold": "1", "dim": "2"}


def paint(word: str, colour: str = "") -> str:
    """`word` in the colour named, or in its own, if stdout is a terminal and $NO_COLOR is not set."""
    code = _COLOURS.get(colour or word.strip())
    if code is None or not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return word
    return f"\033[{code}m{word}\033[0m"


def table(rows: Sequence[Sequence[object]], header: Sequence[str] = (), indent: str = "") -> str:
    """Rows as aligned columns, two spaces apart; numbers to the right. Empty without rows."""
    if not rows:
        return ""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[at]) for line in ([list(header)] if header else []) + texts) for at in range(len(texts[0]))]
    right = [all(isinstance(row[at], int | float) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for line in ([list(header)] if header else []) + texts:
        cells = [
            cell.rjust(width) if flag else cell.ljust(width)
            for cell, width, flag in zip(line, widths, right, strict=True)
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    if header:
        lines[0] = paint(lines[0], "bold")
    return "\n".join(lines) + "\n"


class Progress:
    """One line on stderr that says how far long work is; nothing where stderr is no terminal."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = False

    def __enter__(self) -> Progress:
        return self

    def show(self, done: int, of: int) -> None:
        """So far, `done` of `of`."""
        if sys.stderr.isatty():
            self._shown = True
            sys.stderr.write(f"\r{self._what} {done} of {of} ")
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")


def ago(then: float | None, now: float | None = None) -> str:
    """How long ago, in its largest unit: `5 s`, `3 min`, `2 h`, `4 d`."""
    if then is None:
        return "-"
    return span((time.time() if now is None else now) - then)


def span(seconds: float) -> str:
    """A length of time in its largest whole unit."""
    seconds = max(0.0, seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
