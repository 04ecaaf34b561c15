"""The sealed spool. `receive` can seal and cannot open; `infer` opens and erases.

A sealed object is one file, `spool/<object id>`, that describes itself, so a lost journal is rebuilt from it:

    header   96 bytes    magic, object id, slot number, slot id, chunk size
    chunks   AES-256-GCM, each up to CHUNK bytes + 16; nonce = chunk number; header and last flag authenticated
    record   JSON of the Instance (UIDs, codes, alias: nothing that names a patient), authenticated
    seal     16 bytes over header and record
    footer   32 bytes    lengths, CRC of the record, magic, checksum of header and chunks

The checksum is no secret: it tells a scan without the key that no page was torn by a power cut.
Its key comes from a slot (edge/slots.py). Every object uses HMAC(data key, object id), so nonces never repeat.
"""

from __future__ import annotations

import errno
import hmac
import os
import struct
import zlib
from collections.abc import Callable, Container, Iterator
from pathlib import Path

import msgspec

from edge.crypto import AESGCM, InvalidTag, random_bytes
from edge.errors import SealError
from edge.files import write_all
from edge.records import UID, Instance
from edge.slots import SLOT_SIZE, Slots, StudyKey

CHUNK = (1 << 20) - 4096
TAG = 16

_HEADER = struct.Struct("<8s16sQ16sI44x")
_FOOTER = struct.Struct("<QII8s8s")
_MAGIC = b"EDGESEA1"
_END = b"EDGEEND1"
_RECORD_NONCE = b"\xff" * 12
_TAG_NONCE = bytes(12)
_NO_SECRET = AESGCM(bytes(32))
_MAX_RECORD = 4096
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Any other reason may pass: too many open files, a disk that recovers."""


class Buffers:
    """The memory one association needs to seal, however large its objects are; reused from object to object."""

    def __init__(self) -> None:
        self.plain = memoryview(bytearray(CHUNK))
        self.sealed = memoryview(bytearray(CHUNK + TAG))


class Sealer:
    """The receive side: seals with the public key, forgets the data keys when the association ends."""

    def __init__(self, spool: Path, public: bytes, tag_key: bytes) -> None:
        self.spool = spool
        self.slots = Slots(spool)
        self._public = public
        self._tag_key = tag_key
        self._chunk_hash = AESGCM(hmac.digest(tag_key, b"edge-tag-chunk-1", "sha256"))

    def study_key(self) -> StudyKey:
        """A new data key; the caller keeps one for each study of its association."""
        return self.slots.add(self._public)

    def writer(
        self, transfer_syntax_uid: UID, key_of: Callable[[memoryview], StudyKey], buffers: Buffers | None = None
    ) -> ObjectWriter:
        """Start an object. `key_of(head)` is called once, with up to CHUNK first bytes of the data set.

        What `key_of` raises comes out of `advance` or `finish`; the caller then calls `abort`.
        """
        tag = _Digest(self._chunk_hash, hmac.new(self._tag_key, transfer_syntax_uid.encode() + b"\0", "sha256"))
        return ObjectWriter(self.spool, key_of, tag, buffers or Buffers())


class _Digest:
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


class ObjectWriter:
    """Streams one data set into a sealed file with constant memory: fill `free()`, then `advance(n)`.

    `finish` leaves a named, flushed file; `abort` leaves nothing. Not thread-safe.
    """

    def __init__(self, spool: Path, key_of: Callable[[memoryview], StudyKey], tag: _Digest, buffers: Buffers) -> None:
        self._spool = spool
        self._key_of = key_of
        self._tag = tag
        self._checksum: _Digest | None = None
        self._plain = buffers.plain
        self._sealed = buffers.sealed
        self._fill = 0
        self._index = 0
        self._size = 0
        self._unwritten = True
        self._descriptor = -1
        self.object_id = random_bytes(16).hex()
        self.key: StudyKey | None = None

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return self._size

    def free(self) -> memoryview:
        """Where the next bytes go; never empty."""
        return self._plain[self._fill :]

    def advance(self, count: int) -> None:
        """`count` bytes were put into `free()`."""
        self._fill += count
        self._size += count
        if self._fill == CHUNK:
            self._write(self._seal_chunk(last=False))

    def finish(self, make_record: Callable[[str, str, int, int], Instance]) -> Instance:
        """Seal the rest, write the record that `make_record(object_id, tag, size, slot)` gives, name and flush.

        The folder and the slot file are flushed by the caller's group commit, not here.
        """
        sealed = self._seal_chunk(last=True)
        assert self.key is not None and self._checksum is not None  # noqa: PT018
        instance = make_record(self.object_id, self._tag.digest().hex(), self._size, self.key.slot)
        record = msgspec.json.encode(instance)
        seal = self._cipher.encrypt(_RECORD_NONCE, b"", self._header + record)
        footer = _FOOTER.pack(self._size, len(record), zlib.crc32(record), _END, self._checksum.digest()[:8])
        self._write(sealed, record, seal, footer)
        os.rename(self._part, f"{self._spool}/{self.object_id}")
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        return instance

    def abort(self) -> None:
        """Drop the object; nothing of it stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            Path(self._part).unlink(missing_ok=True)
            (self._spool / self.object_id).unlink(missing_ok=True)

    def _seal_chunk(self, *, last: bool) -> memoryview:
        if self._descriptor < 0:
            self._open()
        assert self._checksum is not None
        plain = self._plain[: self._fill]
        self._tag.update(plain)
        out = self._sealed[: self._fill + TAG]
        aad = self._header + (b"\1" if last else b"\0")
        self._cipher.encrypt_into(self._index.to_bytes(12, "big"), plain, aad, out)
        self._checksum.update(out)
        self._index += 1
        self._fill = 0
        return out

    def _write(self, *parts: bytes | memoryview) -> None:
        """Append; the header goes with the first chunk, so that a small object is one write."""
        if self._unwritten:
            parts, self._unwritten = (self._header, *parts), False
        count = os.writev(self._descriptor, parts)
        if count != sum(map(len, parts)):
            write_all(self._descriptor, b"".join(parts)[count:])

    def _open(self) -> None:
        self.key = self._key_of(self._plain[: self._fill])
        self._cipher = AESGCM(_object_key(self.key.key, self.object_id))
        self._header = _HEADER.pack(_MAGIC, bytes.fromhex(self.object_id), self.key.slot, self.key.slot_id, CHUNK)
        self._checksum = _checksum(self._header)
        self._part = f"{self._spool}/{self.object_id}.part"
        self._descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440)
        os.fchmod(self._descriptor, 0o440)  # the umask would keep it from the group that infer is in


class Opener:
    """The infer side: opens with the private key, erases by overwriting slots."""

    def __init__(self, spool: Path, private: bytes) -> None:
        self.slots = Slots(spool)
        self._spool = spool
        self._private = private

    def size(self, object_id: str) -> int:
        """Length of the data set in bytes."""
        with self._file(object_id) as file:
            return _footer(file, object_id)[0]

    def head(self, object_id: str, chunks: int = 1) -> bytes:
        """The first `chunks` chunks of the data set (each up to CHUNK bytes)."""
        with self._file(object_id) as file:
            size, _, _ = _footer(file, object_id)
            header, cipher = self._unlock(file, object_id)
            plain = bytearray(min(chunks * CHUNK, size))
            with memoryview(plain) as target:
                self._chunks_into(target, file, cipher, header, size, object_id)
            return bytes(plain)

    def read_into(self, object_id: str, target: memoryview) -> int:
        """The whole data set into `target`; returns its length.

        Raises
        ------
        SealError
            If the object is missing, erased, truncated or changed. Then `target` holds nothing to be used.
        OSError
            If it cannot be read now. Another time it may be.
        """
        with self._file(object_id) as file:
            size, record, _ = _footer(file, object_id)
            header, cipher = self._unlock(file, object_id)
            self._check_record(cipher, header, record, file, object_id)
            self._chunks_into(target[:size], file, cipher, header, size, object_id)
            return size

    def read(self, object_id: str) -> bytearray:
        """The whole data set."""
        data = bytearray(self.size(object_id))
        self.read_into(object_id, memoryview(data))
        return data

    def _file(self, object_id: str) -> _File:
        return _File(self._spool / object_id, object_id)

    def _unlock(self, file: _File, object_id: str) -> tuple[bytes, AESGCM]:
        header = os.pread(file.descriptor, _HEADER.size, 0)
        magic, identifier, slot, slot_id, chunk = _HEADER.unpack(header)
        if magic != _MAGIC or identifier.hex() != object_id or chunk != CHUNK:
            raise _damaged(object_id)
        return header, AESGCM(_object_key(self.slots.key(slot, slot_id, self._private), object_id))

    def _chunks_into(
        self, target: memoryview, file: _File, cipher: AESGCM, header: bytes, size: int, object_id: str
    ) -> None:
        """As many chunks as `target` holds; when it holds all, the last one too, even if it is empty."""
        sealed = bytearray(min(CHUNK, size) + TAG)
        count = size // CHUNK + 1 if len(target) == size else len(target) // CHUNK
        for index in range(count):
            with target[index * CHUNK : min(size, (index + 1) * CHUNK)] as part:
                self._chunk_into(part, file, cipher, header, index, size, sealed, object_id)

    @staticmethod
    def _chunk_into(
        target: memoryview, file: _File, cipher: AESGCM, header: bytes, index: int, size: int, buffer: bytearray,
        object_id: str,
    ) -> None:  # fmt: skip
        """Chunk `index` into `target`, which is as long as its plain bytes; `buffer` takes the sealed ones."""
        # a data set that ends on a chunk boundary has an empty last chunk, so the last flag is never missing
        last = index == size // CHUNK
        with memoryview(buffer)[: len(target) + TAG] as sealed:
            if os.preadv(file.descriptor, [sealed], _HEADER.size + index * (CHUNK + TAG)) != len(sealed):
                raise _damaged(object_id)
            try:
                aad = header + (b"\1" if last else b"\0")
                cipher.decrypt_into(index.to_bytes(12, "big"), sealed, aad, target)
            except (InvalidTag, ValueError):
                raise _damaged(object_id) from None

    @staticmethod
    def _check_record(cipher: AESGCM, header: bytes, record: bytes, file: _File, object_id: str) -> None:
        end = os.fstat(file.descriptor).st_size - _FOOTER.size
        seal = os.pread(file.descriptor, TAG, end - TAG)
        try:
            cipher.decrypt(_RECORD_NONCE, seal, header + record)
        except InvalidTag:
            raise _damaged(object_id) from None


def scan(spool: Path, known: Container[str] = (), *, whole: bool = True) -> Iterator[Instance]:
    """The records of all whole sealed objects not in `known`, without opening any: how a lost journal is rebuilt.

    An object whose key slot is erased, or was lost with the power, is passed over: nothing could open it; so is one
    that cannot be read now, until the next scan. Not `whole` spares reading the contents.
    """
    slots = os.open(spool / "slots", os.O_RDONLY | os.O_CREAT, 0o660)
    try:
        for entry in os.scandir(spool):
            if len(entry.name) == 32 and entry.name not in known and entry.is_file(follow_symlinks=False):
                try:
                    yield _record_of(Path(entry.path), slots, whole=whole)
                except (SealError, msgspec.MsgspecError, OSError):
                    continue
    finally:
        os.close(slots)


def sweep(spool: Path) -> int:
    """Remove what a crash left half-written; returns how many files."""
    parts = [Path(entry.path) for entry in os.scandir(spool) if entry.name.endswith(".part")]
    for part in parts:
        part.unlink(missing_ok=True)
    return len(parts)


class _File:
    """A sealed file opened for reading. Raises SealError when it is not there, OSError when it cannot be read now."""

    def __init__(self, path: Path, object_id: str) -> None:
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            raise SealError(
                f"the sealed object cannot be read ({error.strerror})",
                which=object_id,
                hint="run `edge doctor`; send the study again",
            ) from None

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def _footer(file: _File, object_id: str) -> tuple[int, bytes, bytes]:
    """Length of the data set, record and checksum."""
    end = os.fstat(file.descriptor).st_size
    if end < _HEADER.size + TAG + _FOOTER.size:
        raise _damaged(object_id)
    size, length, crc, magic, checksum = _FOOTER.unpack(os.pread(file.descriptor, _FOOTER.size, end - _FOOTER.size))
    chunks = size + (size // CHUNK + 1) * TAG
    if magic != _END or length > _MAX_RECORD or _HEADER.size + chunks + length + TAG + _FOOTER.size != end:
        raise _damaged(object_id)
    record = os.pread(file.descriptor, length, end - _FOOTER.size - TAG - length)
    if zlib.crc32(record) != crc:
        raise _damaged(object_id)
    return size, record, checksum


def _record_of(path: Path, slots: int, *, whole: bool) -> Instance:
    with _File(path, path.name) as file:
        size, record, checksum = _footer(file, path.name)
        header = os.pread(file.descriptor, _HEADER.size, 0)
        sound = not whole or _checksum_of(file, header, size)[:8] == checksum
    magic, _, slot, slot_id, _ = _HEADER.unpack(header)
    instance = msgspec.json.decode(record, type=Instance)
    if (
        not sound
        or magic != _MAGIC
        or instance.object_id != path.name
        or os.pread(slots, 16, slot * SLOT_SIZE) != slot_id
    ):
        raise _damaged(path.name)
    return instance


def _checksum(header: bytes) -> _Digest:
    return _Digest(_NO_SECRET, hmac.new(b"edge-checksum-1", header, "sha256"))


def _checksum_of(file: _File, header: bytes, size: int) -> bytes:
    """What `ObjectWriter` would put into the footer of this file."""
    checksum = _checksum(header)
    buffer = memoryview(bytearray(min(CHUNK, size) + TAG))
    for index in range(size // CHUNK + 1):
        length = min(CHUNK, size - index * CHUNK) + TAG
        os.preadv(file.descriptor, [buffer[:length]], _HEADER.size + index * (CHUNK + TAG))
        checksum.update(buffer[:length])
    return checksum.digest()


def _object_key(study_key: bytes, object_id: str) -> bytes:
    return hmac.digest(study_key, b"edge-object-1" + bytes.fromhex(object_id), "sha256")


def _damaged(object_id: str) -> SealError:
    return SealError("the sealed object is damaged", which=object_id, hint="send the study again")
