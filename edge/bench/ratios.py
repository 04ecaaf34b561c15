"""Rows of a measurement as a picture (SVG): each row's ratio and its range, on one logarithmic axis around 1.

Right of the line is better for us. A range that crosses the line shows no difference.
"""

from __future__ import annotations

from html import escape
from math import ceil, floor, log2
from pathlib import Path
from typing import Any

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 1120, 620, 40, 26, 70
_INK, _FAINT, _OURS = "#1b1f24", "#d0d7de", "#0969da"


def write_svg(document: dict[str, Any], path: str) -> None:
    """Write the picture of `document` to `path`."""
    Path(path).write_text(svg(document), encoding="utf-8")


def svg(document: dict[str, Any]) -> str:
    """The picture as text."""
    rows = document["rows"]
    ends = [value for row in rows for value in (*row["ratio_range"], 1.0) if value > 0]
    low, high = floor(log2(min(ends))), ceil(log2(max(ends))) or 1
    height = _TOP + _ROW * len(rows) + 24 + 18 * (len(document) - 1)

    def x(ratio: float) -> float:
        return _LEFT + (log2(max(ratio, 2.0**low)) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    bottom = _TOP + _ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _label(20, 30, "Ratio to the peer in the same run: further right is better for us", 16),
    ]
    for power in range(low, high + 1):
        at = x(2.0**power)
        parts.append(f'<path d="M{at:.1f} {_TOP - 8}V{bottom}" stroke="{_INK if power == 0 else _FAINT}"/>')
        parts.append(_label(at, _TOP - 14, f"{2.0**power:g}", 12, "middle"))
    for index, row in enumerate(rows):
        parts += _row(row, _TOP + _ROW * index + _ROW / 2, x)
    facts = [f"{key}: {_said(value)}" for key, value in document.items() if key != "rows"]
    parts += [_label(20, bottom + 24 + 18 * number, fact, 11) for number, fact in enumerate(facts)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(row: dict[str, Any], y: float, x: Any) -> list[str]:
    low, high = row["ratio_range"]
    said = f"{row['ratio']:g} ({low:g} .. {high:g}), n {row['n']}: ours {row['ours']:g}, peer {row['peer']:g}"
    return [
        _label(20, y + 4, f"{row['task']} / {row.get('peer_name', 'peer')}", 11),
        f'<path d="M{x(low):.1f} {y}H{x(high):.1f}" stroke="{_OURS}" stroke-width="2"/>',
        f'<circle cx="{x(row["ratio"]):.1f}" cy="{y}" r="5" fill="{_OURS}"><title>{escape(said)}</title></circle>',
    ]


def _label(x: float, y: float, words: str, size: int, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{_INK}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(words)}</text>"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
