"""Rows of `edge bench kernels` to look at: bars in a terminal, a picture (SVG) on one scale.

Short is fast. In the terminal each task has a scale of its own, up to its slowest peer; in the picture one logarithmic
scale holds all of them, so that a distance is a ratio.
"""

from __future__ import annotations

from html import escape
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from edge.operate.screen import paint, table

_BAR = 44
_EIGHTHS = " ▏▎▍▌▋▊▉█"

_WIDTH, _LEFT, _ROW, _TOP = 1040, 400, 46, 84
_INK, _FAINT, _OURS, _THEIRS, _LIMIT = "#1b1f24", "#d0d7de", "#0969da", "#8c959f", "#1a7f37"


def text(document: dict[str, Any]) -> str:
    """All tasks as bars, then what was measured with what."""
    tasks = _by_task(document["rows"])
    width = max((len(row["peer_name"]) for row in document["rows"]), default=0)
    blocks = [_block(name, rows, width) for name, rows in tasks.items()] or [
        "no task was measured: its peers are not here\n"
    ]
    facts = [(key, _plain(value)) for key, value in document.items() if key != "rows"]
    return "\n".join(blocks) + "\n" + table(facts)


def _block(name: str, rows: list[dict[str, Any]], width: int) -> str:
    slowest = max(row["peer"] for row in rows)
    mine = rows[0]
    lines = [
        paint(name, "bold"),
        _line("memory alone", mine["limit"], slowest, width, ""),
        _line("ours", mine["ours"], slowest, width, f"{mine['times_limit']:.1f}x memory"),
    ]
    for row in sorted(rows, key=lambda row: float(row["peer"])):
        low, high = row["ratio_range"]
        said = f"{row['ratio']:.1f}x ours  ({low:.1f} .. {high:.1f}, n {row['n']})"
        lines.append(_line(row["peer_name"], row["peer"], slowest, width, said))
    return "\n".join(lines) + "\n"


def _line(name: str, value: float, slowest: float, width: int, said: str) -> str:
    bar = _bar(value / slowest)
    shown = paint(bar, {"ours": "OK", "memory alone": "dim"}.get(name, "")) if name in ("ours", "memory alone") else bar
    return f"  {name:<{width}}  {value:>9.3f} ms  {shown}  {said}".rstrip()


def _bar(share: float) -> str:
    eighths = max(1, round(share * _BAR * 8))
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def write_svg(document: dict[str, Any], path: str) -> None:
    """One line for each task: memory's limit, ours, and each peer, in milliseconds on a logarithmic scale."""
    Path(path).write_text(svg(document), encoding="utf-8")


def svg(document: dict[str, Any]) -> str:
    """The picture as text."""
    tasks = _by_task(document["rows"])
    values = [row[key] for row in document["rows"] for key in ("limit", "ours", "peer") if row[key] > 0] or [1.0]
    low, high = floor(log10(min(values))), max(ceil(log10(max(values))), floor(log10(min(values))) + 1)

    def x(value: float) -> float:
        return _LEFT + (log10(max(value, 10.0**low)) - low) / (high - low) * (_WIDTH - _LEFT - 60)

    height = _TOP + _ROW * len(tasks) + 56
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _label(24, 34, "Time of one call on one thread, in ms: further left is faster", 17, _INK),
        _label(24, 58, f"green: memory alone; blue: kernels ({document['kernels']}); gray: peers", 13, _INK),
    ]
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(f'<path d="M{at:.1f} {_TOP}V{height - 46}" stroke="{_FAINT}"/>')
        parts.append(_label(at, height - 26, f"{10.0**power:g}", 12, _INK, "middle"))
    for index, (name, rows) in enumerate(tasks.items()):
        parts += _svg_row(name, rows, _TOP + _ROW * index + _ROW / 2, x)
    parts.append(_label(24, height - 8, f"{document['cpu']}, numpy {document['numpy']}", 11, _THEIRS))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _svg_row(name: str, rows: list[dict[str, Any]], y: float, x: Any) -> list[str]:
    mine = rows[0]
    slowest = max(row["peer"] for row in rows)
    parts = [
        _label(24, y + 4, name, 12, _INK),
        f'<path d="M{x(mine["ours"]):.1f} {y}H{x(slowest):.1f}" stroke="{_FAINT}" stroke-width="3"/>',
        f'<path d="M{x(mine["limit"]):.1f} {y - 9}v18" stroke="{_LIMIT}" stroke-width="3"/>',
        _dot(x(mine["ours"]), y, _OURS, f"ours {mine['ours']:.3f} ms"),
    ]
    for row in rows:
        parts.append(_dot(x(row["peer"]), y, _THEIRS, f"{row['peer_name']} {row['peer']:.3f} ms"))
        parts.append(_label(x(row["peer"]), y - 11, f"{row['ratio']:.1f}x", 11, _INK, "middle"))
    return parts


def _dot(x: float, y: float, colour: str, said: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y}" r="6" fill="{colour}"><title>{escape(said)}</title></circle>'


def _label(x: float, y: float, words: str, size: int, colour: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(words)}</text>"


def _by_task(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    tasks: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        tasks.setdefault(row["task"], []).append(row)
    return tasks


def _plain(value: Any) -> str:
    return ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)
