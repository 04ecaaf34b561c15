"""One check of `edge doctor`: what was looked at, whether it is fine, what to try when it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check. A `warning` is fine, but not as it should be."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
    warning: bool = False

    @property
    def word(self) -> str:
        """OK, WARN or FAIL."""
        return ("WARN" if self.warning else "OK") if self.ok else "FAIL"

    def as_json(self) -> dict[str, Any]:
        """The keys of the contract, and `warning`."""
        return {"name": self.name, "ok": self.ok, "detail": self.detail, "try": self.hint, "warning": self.warning}


def passed(name: str, detail: str) -> Check:
    return Check(name, True, detail)


def warned(name: str, detail: str, hint: str) -> Check:
    return Check(name, True, detail, hint, warning=True)


def failed(name: str, detail: str, hint: str) -> Check:
    return Check(name, False, detail, hint)
