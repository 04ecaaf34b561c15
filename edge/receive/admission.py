"""Who may push: calling AE title, address and, where pinned, the TLS certificate must all be one configured peer's."""

from __future__ import annotations

import hashlib
import ipaddress

from edge.config.receive import Peer, Receive
from edge.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Admission:
    """The peers table.

    Raises
    ------
    ConfigError
        If a peer pins a certificate and there is no TLS to show one.
    """

    def __init__(self, settings: Receive) -> None:
        self._called = settings.ae_title.strip().encode("ascii")
        self._peers = [(peer, _networks(peer)) for peer in settings.peers]
        pinned = [peer.alias for peer in settings.peers if peer.certificate]
        if pinned and settings.tls is None:
            raise ConfigError(
                "a peer pins a certificate, but the listener has no TLS",
                which=f"receive.peers {pinned[0]}",
                hint="add [receive.tls], or take the pin away",
            )

    def knows(self, address: Address | None) -> bool:
        """Whether any peer is at `address`; a stranger gets its refusal without taking a peer's place."""
        return any(_inside(address, networks) for _, networks in self._peers)

    def is_called(self, title: bytes) -> bool:
        """Whether `title` is ours."""
        return title == self._called

    def peer(self, title: bytes, address: Address | None, certificate: bytes) -> Peer | None:
        """The peer that all three are of, or None. `certificate` is DER, empty without TLS."""
        for peer, networks in self._peers:
            if (
                peer.ae_title.strip().encode("ascii") == title
                and _inside(address, networks)
                and (peer.certificate is None or peer.certificate == _pin(certificate))
            ):
                return peer
        return None


def parse_address(text: str) -> Address | None:
    """A socket's peer address; an IPv4 address that came through an IPv6 socket is IPv4 again."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _networks(peer: Peer) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(host, strict=False) for host in peer.hosts]


def _inside(address: Address | None, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _pin(certificate: bytes) -> str:
    return f"sha256:{hashlib.sha256(certificate).hexdigest()}"
