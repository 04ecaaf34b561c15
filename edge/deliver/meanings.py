"""What the reason of a delivery means where it is no DICOM status: one sentence beside the code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_PEERS: Mapping[str, str] = MappingProxyType(
    {
        "unreachable": "nobody answers at its address",
        "tls": "the two sides do not agree on certificates or TLS",
        "silent": "the peer stopped answering",
        "aborted": "the peer broke off",
        "released": "the peer ended the association",
        "protocol": "what the peer said is not in the standard",
    }
)
_OWN: Mapping[str, str] = MappingProxyType(
    {
        "signature": "the file is not what infer signed: look at the disk, and at who can write to the outbox",
        "file-missing": "the file is gone",
        "outbox-unreadable": "the file cannot be read now",
        "newer-revision": "a later report on the same images took its place",
        "was-superseded": "it was on the wire when a later report took its place",
        "was-discarded": "it was on the wire when it was withdrawn",
        "person": "a person decided so",
        "erased": "its study was erased",
        "identity-in-uid": "held: a UID of the images holds a patient identifier",
        "identity-unknown": "held: an image cannot be read, so nobody can say whether its UIDs name the patient",
    }
)
_GATE = frozenset({"unreadable", "not-allowed", "not-ours", "identity-in-text"})


def meaning(reason: str) -> str:
    """`reason` as a sentence; empty for a status of DICOM, and for one that says it all by itself."""
    plain = reason.removeprefix("peer-")
    if plain.startswith("http-"):
        return _http(plain.removeprefix("http-"))
    if plain.startswith("rejected-"):
        return "the peer rejects our association: AE titles, or its list of who may call"
    if plain.startswith("context-refused"):
        return "the peer takes no such SOP class or transfer syntax"
    if plain.startswith("rejected"):
        return "its images were rejected"
    if plain.partition(":")[0] in _GATE:
        return "held by the egress gate: the attribute is named, its value never"
    return _PEERS.get(plain, _OWN.get(plain, ""))


def _http(status: str) -> str:
    if status == "200":
        return "taken; the web service said nothing about the object"
    if status in ("401", "403"):
        return "the web service does not let us in: certificate or authorization"
    if status.startswith("3") or status in ("404", "405"):
        return "there is no such web service at this path"
    return "the web service is busy or broken" if status[:1] == "5" or status == "429" else "the web service refuses it"
