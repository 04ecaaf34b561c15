"""A C-STORE sender that costs the machine little: `python -m edge.bench.sender`, a plan on stdin, figures on stdout.

One process per association, everything in memory before the first connects, one sendmsg(2) of header and payload slices
per 64 PDUs: nothing is copied in Python. Every object of every run has UIDs of its own.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from edge import dimse

_SHARED_BYTES = 48 << 20
_PDUS_AT_ONCE = 64
_EXPLICIT = "1.2.840.10008.1.2.1"
_ROOT = "1.2.826.0.1.3680043.10.999"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is sent: synthetic pixels behind a real header. `compressed` bytes are random, in one fragment."""

    name: str
    sop_class_uid: str
    modality: str
    rows: int
    columns: int
    frames: int = 1
    transfer_syntax_uid: str = _EXPLICIT
    compressed: int = 0

    @property
    def pixel_bytes(self) -> int:
        """Length of the pixel data's payload."""
        return self.compressed or self.rows * self.columns * self.frames * 2


KINDS = {
    "ct": Kind("CT 0.5 MB", "1.2.840.10008.5.1.4.1.1.2", "CT", 512, 512),
    "dx": Kind("DX 18 MB", "1.2.840.10008.5.1.4.1.1.1.1", "DX", 3000, 3000),
    "multi-frame": Kind("multi-frame CT 300 MB", "1.2.840.10008.5.1.4.1.1.2.1", "CT", 512, 512, 572),
    "compressed": Kind(
        "CT JPEG-LS 0.24 MB", "1.2.840.10008.5.1.4.1.1.2", "CT", 512, 512, 1, "1.2.840.10008.1.2.4.80", 240_000
    ),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. `objects` are shared out to `associations`; `series` makes the UIDs unique."""

    port: int
    called: str
    kind: str
    objects: int
    associations: int
    series: int
    calling: str = "BENCH"


@dataclass(frozen=True, slots=True)
class Share:
    """What one association did. `ended` is on the system's monotonic clock, `waited` each response's seconds."""

    bytes: int
    ended: float
    waited: list[float]
    refused: int


def run(plan: Plan) -> dict[str, float | int | list[float]]:
    """Send; wall-clock seconds from the first connect to the last answer, bytes, and each response's wait."""
    kind = KINDS[plan.kind]
    shared = memoryview(os.urandom(1 << 20) * ((kind.pixel_bytes + _SHARED_BYTES >> 20) + 1))
    start_read, start_write = os.pipe()
    children = [_fork(plan, kind, shared, number, start_read, start_write) for number in range(plan.associations)]
    began = time.monotonic()
    os.close(start_write)
    shares = [_result(*child) for child in children]
    return {
        "seconds": max(share.ended for share in shares) - began,
        "objects": sum(len(share.waited) for share in shares),
        "bytes": sum(share.bytes for share in shares),
        "refused": sum(share.refused for share in shares),
        "waited": [wait for share in shares for wait in share.waited],
    }


def _fork(plan: Plan, kind: Kind, shared: memoryview, number: int, start: int, start_write: int) -> tuple[int, int]:
    """A child that waits for `start` to close; its process id and where its result comes."""
    result_read, result_write = os.pipe()
    child = os.fork()
    if child:
        os.close(result_write)
        return child, result_read
    status = 1
    try:
        os.close(start_write)
        os.read(start, 1)
        share = _send_share(plan, kind, shared, number)
        with open(result_write, "w", encoding="ascii") as pipe:
            json.dump([share.bytes, share.ended, share.waited, share.refused], pipe)
        status = 0
    finally:
        os._exit(status)


def _result(child: int, descriptor: int) -> Share:
    with open(descriptor, encoding="ascii") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    if not text:
        raise SystemExit("an association broke")
    return Share(*json.loads(text))


def _send_share(plan: Plan, kind: Kind, shared: memoryview, number: int) -> Share:
    with socket.create_connection(("127.0.0.1", plan.port), 60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = dimse.Stream(connection)
        longest = _associate(stream, plan, kind)
        sent, refused, waited = 0, 0, []
        for index in range(number, plan.objects, plan.associations):
            uid = f"{_ROOT}.{plan.series}.3.{index + 1}"
            head = data_set_head(kind, uid, f"{_ROOT}.{plan.series}.1", index)
            start = index * 65536 % (len(shared) - kind.pixel_bytes)
            tail = shared[start : start + kind.pixel_bytes]
            closing = _SEQUENCE_END if kind.compressed else b""
            connection.settimeout(None)
            for batch in _batches(_message(kind, uid, [memoryview(head), tail, memoryview(closing)], longest)):
                _send_all(connection, batch)
            before = time.monotonic()
            refused += _status(stream) != 0
            waited.append(time.monotonic() - before)
            sent += len(head) + len(tail) + len(closing)
        ended = time.monotonic()
        stream.write(dimse.pdu(dimse.RELEASE_RQ, bytes(4)), 10)
        stream.read(10)
    return Share(sent, ended, waited, refused)


def _associate(stream: dimse.Stream, plan: Plan, kind: Kind) -> int:
    """The peer's longest PDU."""
    contexts = [dimse.Context(1, kind.sop_class_uid, kind.transfer_syntax_uid)]
    stream.write(dimse.associate(dimse.ASSOCIATE_RQ, plan.called, plan.calling, contexts), 60)
    answer, body = stream.read(120)
    results, longest = dimse.answered_contexts(body)
    if answer != dimse.ASSOCIATE_AC or results[1][0]:
        raise SystemExit("the association or its context was refused")
    return longest


def _message(kind: Kind, uid: str, parts: list[memoryview], longest: int) -> Iterator[list[bytes | memoryview]]:
    """The PDUs of one C-STORE, each as slices of memory (PS3.8 9.3.5)."""
    request = dimse.command({
        0x0002: dimse.uid_value(kind.sop_class_uid), 0x0100: dimse.short(1), 0x0110: dimse.short(1),
        0x0700: dimse.short(0), 0x0800: dimse.short(1), 0x1000: dimse.uid_value(uid),
    })  # fmt: skip
    yield [struct.pack(">BxLLBB", dimse.DATA_TF, len(request) + 6, len(request) + 2, 1, 3), request]
    left = sum(map(len, parts))
    room = longest - 6 & ~1
    while left:
        length = min(room, left)
        left -= length
        pdu: list[bytes | memoryview] = [
            struct.pack(">BxLLBB", dimse.DATA_TF, length + 6, length + 2, 1, 0 if left else 2)
        ]
        while length:
            piece, parts[0] = parts[0][:length], parts[0][length:]
            length -= len(piece)
            pdu.append(piece)
            if not parts[0]:
                parts.pop(0)
        yield pdu


def _batches(pdus: Iterator[list[bytes | memoryview]]) -> Iterator[list[bytes | memoryview]]:
    batch: list[bytes | memoryview] = []
    for count, pdu in enumerate(pdus, 1):
        batch += pdu
        if count % _PDUS_AT_ONCE == 0:
            yield batch
            batch = []
    if batch:
        yield batch


def _send_all(connection: socket.socket, slices: list[bytes | memoryview]) -> None:
    sent = connection.sendmsg(slices)
    for piece in slices:
        if sent < len(piece):
            connection.sendall(memoryview(piece)[sent:])
        sent = max(0, sent - len(piece))


def _status(stream: dimse.Stream) -> int:
    message = dimse.Message()
    while not message.add(stream.read(120)[1]):
        pass
    return dimse.number(message.command, 0x0900)


_SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def data_set_head(kind: Kind, uid: str, study: str, index: int) -> bytes:
    """The data set up to its pixels, with an invented identity."""
    bits = {0x00280100: 16, 0x00280101: 12, 0x00280102: 11, 0x00280103: 0}
    elements = [
        _element(0x00080005, "CS", "ISO_IR 100"), _element(0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        _element(0x00080016, "UI", kind.sop_class_uid), _element(0x00080018, "UI", uid),
        _element(0x00080020, "DA", "20000101"), _element(0x00080030, "TM", "000000"),
        _element(0x00080050, "SH", "INVENTED"), _element(0x00080060, "CS", kind.modality),
        _element(0x00080070, "LO", "INVENTED"), _element(0x00100010, "PN", "INVENTED^PATIENT"),
        _element(0x00100020, "LO", "INVENTED"), _element(0x00100030, "DA", "19700101"),
        _element(0x00100040, "CS", "O"), _element(0x0020000D, "UI", study), _element(0x0020000E, "UI", study + ".1"),
        _element(0x00200010, "SH", "1"), _element(0x00200011, "IS", "1"), _element(0x00200013, "IS", str(index + 1)),
        _element(0x00280002, "US", 1), _element(0x00280004, "CS", "MONOCHROME2"),
        *([_element(0x00280008, "IS", str(kind.frames))] if kind.frames > 1 else []),
        _element(0x00280010, "US", kind.rows), _element(0x00280011, "US", kind.columns),
        *(_element(tag, "US", value) for tag, value in bits.items()),
    ]  # fmt: skip
    if not kind.compressed:
        pixels = struct.pack("<HH2sxxL", 0x7FE0, 0x0010, b"OW", kind.pixel_bytes)
    else:
        items = struct.pack("<HHLHHL", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE000, kind.compressed)
        pixels = struct.pack("<HH2sxxL", 0x7FE0, 0x0010, b"OB", 0xFFFFFFFF) + items
    return b"".join(elements) + pixels


def _element(tag: int, vr: str, value: str | int) -> bytes:
    data = dimse.short(value) if isinstance(value, int) else value.encode("ascii")
    data += (b"\0" if vr == "UI" else b" ") * (len(data) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(data)) + data


if __name__ == "__main__":
    json.dump(run(Plan(**json.load(sys.stdin))), sys.stdout)
