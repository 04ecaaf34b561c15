"""Who may come in: calling AE title, address and, where pinned, the certificate must all be one listed box's."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from edge.config.relink import Relink, RelinkBox

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Caller:
    """Who knocks. `certificate` is DER, empty without TLS."""

    called: str
    calling: str
    address: Address | None
    certificate: bytes


class Door:
    """The list of boxes."""

    def __init__(self, settings: Relink) -> None:
        self._called = settings.ae_title.strip()
        self._boxes = [
            (box.alias or f"box{number}", box, _networks(box.hosts)) for number, box in enumerate(settings.boxes, 1)
        ]

    def is_called(self, title: str) -> bool:
        """Whether `title` is ours."""
        return title == self._called

    def knows(self, address: Address | None) -> bool:
        """Whether any box is at `address`; a stranger takes no box's place."""
        return any(_inside(address, networks) for _, _, networks in self._boxes)

    def box(self, caller: Caller) -> str:
        """The alias of the box that the caller is; empty when it is none."""
        for alias, box, networks in self._boxes:
            if caller.calling == box.ae_title.strip() and _inside(caller.address, networks) and _pinned(box, caller):
                return alias
        return ""


def parse_address(text: str) -> Address | None:
    """A socket's peer address; an IPv4 address that came through an IPv6 socket is IPv4 again."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _pinned(box: RelinkBox, caller: Caller) -> bool:
    return box.certificate is None or box.certificate == f"sha256:{hashlib.sha256(caller.certificate).hexdigest()}"


def _networks(hosts: Sequence[str]) -> list[Network]:
    return [ipaddress.ip_network(host, strict=False) for host in hosts]


def _inside(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)
