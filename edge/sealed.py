"""The sealed file: its layout, and all that can be said about one without its key.

    header   96 bytes    magic, object id, slot number, slot id, chunk size
    chunks   AES-256-GCM, each up to CHUNK bytes + 16; nonce = chunk number; header and last flag authenticated
    padding  zeros       only where the file was made before the object came (edge/receive/blanks.py)
    record   JSON of the Instance (UIDs, codes, alias: nothing that names a patient), authenticated
    seal     16 bytes over header and record
    footer   32 bytes    lengths, CRC of the record, magic, checksum of the header, and of the chunk where it is one

The checksum is no secret: it tells a scan without the key that no page was torn by a power cut. An object of more
chunks needs none, for it is flushed before it gets its name. So a file describes itself, and a lost journal is rebuilt
from the spool.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import os
import struct
import zlib
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge.crypto import AESGCM
from edge.errors import SealError
from edge.records import Instance
from edge.slots import SLOT_SIZE

CHUNK = (1 << 20) - 4096
TAG = 16
PART, BLANK = ".part", ".blank"
"""Suffixes of files that hold no object yet: one that is being written, one that was made beforehand."""

HEADER = struct.Struct("<8s16sQ16sI44x")
FOOTER = struct.Struct("<QII8s8s")
MAGIC = b"EDGESEA1"
END = b"EDGEEND1"
_MAX_RECORD = 4096
_TAG_NONCE = bytes(12)
_NO_SECRET = AESGCM(bytes(32))
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Any other reason may pass: too many open files, a disk that recovers."""


class Digest:
    """A digest of many chunks; keyed, it recognises a re-send, and with a known key it is a checksum.

    Chunks go through GMAC (five times as fast as SHA-256) as a universal hash: its values never leave this class, so
    the fixed nonce gives nothing away. HMAC over all of them is the tag.
    """

    def __init__(self, chunk_hash: AESGCM, outer: hmac.HMAC) -> None:
        self._chunk_hash = chunk_hash
        self._outer = outer

    def update(self, chunk: memoryview) -> None:
        self._outer.update(self._chunk_hash.encrypt(_TAG_NONCE, b"", chunk))

    def digest(self) -> bytes:
        return self._outer.digest()


def checksum(header: bytes) -> Digest:
    """The checksum of the footer; the sealed chunk is still to be added where it is the only one."""
    return Digest(_NO_SECRET, hmac.new(b"edge-checksum-1", header, "sha256"))


class Footer(NamedTuple):
    """What stands at the end of a sealed file. `size` is the length of the data set, `padding` that of the zeros."""

    size: int
    record: bytes
    seal: bytes
    checksum: bytes
    padding: int


class SealedFile:
    """A sealed file opened for reading.

    It is looked for under all its names: an object that was written into a blank has lost its own if the power went
    before the folder was flushed, until the receive room starts (`sweep`), maybe in this very moment.

    Raises
    ------
    SealError
        When it is not there.
    OSError
        When it cannot be read now.
    """

    def __init__(self, spool: Path, object_id: str, suffixes: tuple[str, ...] = ("", BLANK, "")) -> None:
        self.object_id = object_id
        self.descriptor = self._open(spool, suffixes)

    def __enter__(self) -> SealedFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def header(self) -> bytes:
        """The bytes of the header."""
        return os.pread(self.descriptor, HEADER.size, 0)

    def footer(self) -> Footer:
        """The footer, held against the length of the file. Raises SealError when they do not agree."""
        end = os.fstat(self.descriptor).st_size
        least = HEADER.size + TAG + TAG + FOOTER.size
        if end < least:
            raise damaged(self.object_id)
        size, length, crc, magic, digest = FOOTER.unpack(os.pread(self.descriptor, FOOTER.size, end - FOOTER.size))
        padding = end - (HEADER.size + sealed_size(size) + length + TAG + FOOTER.size)
        if magic != END or length > _MAX_RECORD or not 0 <= padding <= most_padding(end):
            raise damaged(self.object_id)
        tail = os.pread(self.descriptor, length + TAG, end - FOOTER.size - TAG - length)
        if zlib.crc32(tail[:length]) != crc:
            raise damaged(self.object_id)
        return Footer(size, tail[:length], tail[length:], digest, padding)

    def checksum(self, size: int) -> bytes:
        """What the footer of a file with a data set of `size` bytes says, if it is whole."""
        digest = checksum(self.header())
        if size < CHUNK:
            digest.update(memoryview(os.pread(self.descriptor, size + TAG, HEADER.size)))
        return digest.digest()[:8]

    def _open(self, spool: Path, suffixes: tuple[str, ...]) -> int:
        for suffix in suffixes:
            try:
                return os.open(spool / f"{self.object_id}{suffix}", os.O_RDONLY | os.O_NOFOLLOW)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                reason = error.strerror
        raise SealError(
            f"the sealed object cannot be read ({reason})",
            which=self.object_id,
            hint="run `edge doctor`; send the study again",
        ) from None


def most_padding(length: int) -> int:
    """How many of `length` bytes of a file may be padding: a fourth, and two pages."""
    return length // 4 + 8192


def sealed_size(size: int) -> int:
    """The length of the sealed chunks of a data set of `size` bytes.

    One that ends on a chunk boundary has an empty last chunk, so that the last flag is never missing.
    """
    return size + (size // CHUNK + 1) * TAG


def scan(spool: Path, known: Container[str] = (), *, whole: bool = True) -> Iterator[Instance]:
    """The records of all whole sealed objects not in `known`, without opening any: how a lost journal is rebuilt.

    An object whose key slot is erased, or was lost with the power, is passed over: nothing could open it; so is one
    that cannot be read now, until the next scan. Not `whole` spares reading the contents.
    """
    with _slots(spool) as slots:
        for entry in os.scandir(spool):
            if len(entry.name) == 32 and entry.name not in known and entry.is_file(follow_symlinks=False):
                try:
                    yield _record_of(spool, entry.name, slots, whole=whole)
                except (SealError, msgspec.MsgspecError, OSError):
                    continue


def sweep(spool: Path) -> int:
    """At start: remove what a crash left half-written or unused; returns how many files.

    A blank with a whole object in it gets its name: the flush that Success waited for may have been all that the power
    left it. One that cannot be read now stays for the next start.
    """
    with _slots(spool) as slots:
        return sum(_swept(spool, entry.name, slots) for entry in list(os.scandir(spool)))


def _swept(spool: Path, name: str, slots: int) -> bool:
    """Whether the file was removed."""
    stem, dot, suffix = name.partition(".")
    if f"{dot}{suffix}" == BLANK:
        try:
            _record_of(spool, stem, slots, BLANK)
        except (SealError, msgspec.MsgspecError):
            pass
        except OSError:
            return False
        else:
            os.rename(spool / name, spool / stem)
            return False
    elif not name.endswith(PART):
        return False
    (spool / name).unlink(missing_ok=True)
    return True


@contextlib.contextmanager
def _slots(spool: Path) -> Iterator[int]:
    descriptor = os.open(spool / "slots", os.O_RDONLY | os.O_CREAT, 0o660)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _record_of(spool: Path, object_id: str, slots: int, suffix: str = "", *, whole: bool = True) -> Instance:
    """The record of an object whose slot is there, and which is `whole`. Raises SealError, MsgspecError or OSError."""
    with SealedFile(spool, object_id, (suffix,)) as file:
        footer, header = file.footer(), file.header()
        sound = not whole or file.checksum(footer.size) == footer.checksum
    magic, _, slot, slot_id, _ = HEADER.unpack(header)
    instance = msgspec.json.decode(footer.record, type=Instance)
    if (
        not sound
        or magic != MAGIC
        or instance.object_id != object_id
        or os.pread(slots, 16, slot * SLOT_SIZE) != slot_id
    ):
        raise damaged(object_id)
    return instance


def damaged(object_id: str) -> SealError:
    """The error for a sealed object that is not what it must be."""
    return SealError("the sealed object is damaged", which=object_id, hint="send the study again")
