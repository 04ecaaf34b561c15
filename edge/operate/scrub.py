"""What may stand in a support bundle: a second net under texts of ours, for what a hospital would rather keep.

UIDs may hold dates or numbers of a patient, AE titles and addresses tell where things stand. Each becomes a sign
that is the same throughout one bundle and means nothing outside of it.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Any

from edge.config import Settings

_UID = re.compile(r"(?<![0-9.])[0-9]+(?:\.[0-9]+){2,}")
_STANDARD = "1.2.840.10008."
_ADDRESS = re.compile(
    r"(?<![\w.:])(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w.])|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?![\w.:]))"
)
_LINE = re.compile(
    r"(?:\S+ (?:python3?|edge|\(?systemd\)?)\[\d+\]: )?"
    r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d (?:DEBUG|INFO|WARNING|ERROR|CRITICAL) [a-z]+: .*"
    r"|  at /[^ ]+:\d+ \S+|uncaught \w+|[A-Z]\w*(?:Error|Exception)"
    r"|edge[\w@-]*\.(?:service|socket|target): [ -~]*"
    r"|(?:Start|Stop|Reach|Listen|Clos|Reload|Finish|Fail)[a-z]+ (?:on |target )?edge[\w@-]*\.(?:service|socket|target)"
    r"\b[ -~]*)"
)
_KEPT_TEXTS = frozenset(
    {"name", "alias", "package", "kind", "deliver", "send", "priority", "providers", "on_conflict", "Modality",
     "SOPClassUID", "PresentationIntentType", "private_sop_classes", "character_set"}
)  # fmt: skip


class Scrubber:
    """Replaces in texts what `settings` and `secret` know.

    Parameters
    ----------
    settings : Settings
        AE titles become the alias that they are configured with, its folders become signs.
    secret : bytes
        Makes the signs of UIDs; thrown away with the process.
    """

    def __init__(self, settings: Settings, secret: bytes) -> None:
        self._secret = secret
        self._names = dict(_names(settings))
        words = sorted(self._names, key=len, reverse=True)
        self._name = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)")

    def text(self, text: str) -> str:
        """`text` without titles, UIDs (but the standard's own) and addresses (but loopback)."""
        text = self._name.sub(lambda found: self._names[found[0]], text)
        return _ADDRESS.sub(_address, _UID.sub(self._uid, text))

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """Log lines of a shape that we know; how many others there were stands at the end."""
        others = 0
        for line in lines:
            if _LINE.fullmatch(line.rstrip("\n")):
                yield self.text(line.rstrip("\n"))
            else:
                others += 1
        yield f"({others} lines of another shape left out)"

    def document(self, value: Any) -> Any:
        """A JSON document with every text in it scrubbed."""
        if isinstance(value, dict):
            return {self.text(str(key)): self.document(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.document(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def _uid(self, found: re.Match[str]) -> str:
        parts = found[0].split(".")
        if found[0].startswith(_STANDARD) or (len(parts) < 6 and max(map(len, parts)) < 4):
            return found[0]  # the standard's, a version or an address
        return f"uid-{hmac.digest(self._secret, found[0].encode(), 'sha256').hex()[:12]}"


def configuration(value: Any, key: str = "") -> Any:
    """Settings without any text but aliases, names of packages and words that the software chose itself."""
    if isinstance(value, dict):
        return {name: configuration(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [configuration(item, key) for item in value]
    return f"({len(value)} characters)" if isinstance(value, str) and key not in _KEPT_TEXTS else value


def _names(settings: Settings) -> Iterator[tuple[str, str]]:
    yield str(settings.root), "<root>"
    yield str(settings.file.parent), "<etc>"
    yield settings.receive.ae_title.strip(), "<own title>"
    for peer in settings.receive.peers:
        yield peer.ae_title.strip(), f"<{peer.alias}>"
    for alias, destination in settings.destinations.items():
        if destination.ae_title:
            yield destination.ae_title.strip(), f"<{alias}>"
    if settings.relink is not None:
        yield settings.relink.ae_title.strip(), "<own title>"
        yield settings.relink.pacs.ae_title.strip(), "<pacs>"
        for box in settings.relink.boxes:
            yield box.ae_title.strip(), f"<{box.alias or 'box'}>"


def _address(found: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(found[0])
    except ValueError:
        return found[0]
    return found[0] if address.is_loopback or address.is_unspecified else "<address>"
