"""The sealed spool. `receive` can seal and cannot open; `infer` opens and erases.

A sealed object is one file, `spool/<object id>`, that describes itself; its layout is in edge/sealed.py.
Its key comes from a slot (edge/slots.py). Every object uses HMAC(data key, object id), so nonces never repeat.
"""

from __future__ import annotations

import hmac
import mmap
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge.crypto import AESGCM, InvalidTag, random_bytes
from edge.files import write_all
from edge.records import UID, Instance
from edge.sealed import (
    BLANK,
    CHUNK,
    END,
    FOOTER,
    HEADER,
    MAGIC,
    PART,
    TAG,
    Digest,
    Footer,
    SealedFile,
    checksum,
    damaged,
    sealed_size,
)
from edge.slots import Slots, StudyKey

_RECORD_NONCE = b"\xff" * 12
_LONGEST_RECORD = 1024
"""An Instance of the longest UIDs and aliases takes fewer bytes as JSON."""


class Buffers:
    """The memory one association needs to seal, however large its objects are; reused from object to object."""

    def __init__(self) -> None:
        # not from malloc, which would keep as much for every thread that ever asked
        self.plain = memoryview(mmap.mmap(-1, CHUNK))
        self.sealed = memoryview(mmap.mmap(-1, CHUNK + TAG))


class Blank(NamedTuple):
    """A file `spool/<object id>.blank` of `size` zeros, open for writing at its start; all of it is flushed."""

    object_id: str
    descriptor: int
    size: int


def no_blank(_size: int) -> Blank | None:
    """Where none are made beforehand."""
    return None


class Sealer:
    """The receive side: seals with the public key, forgets the data keys when the association ends.

    Parameters
    ----------
    take_blank : callable, optional
        A blank of at least this many bytes, or None: an object of one chunk that gets one is flushed without metadata.
    """

    def __init__(
        self, spool: Path, public: bytes, tag_key: bytes, take_blank: Callable[[int], Blank | None] = no_blank
    ) -> None:
        self.spool = spool
        self.slots = Slots(spool)
        self.take_blank = take_blank
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
        tag = Digest(self._chunk_hash, hmac.new(self._tag_key, transfer_syntax_uid.encode() + b"\0", "sha256"))
        return ObjectWriter(self, key_of, tag, buffers or Buffers())


class ObjectWriter:
    """Streams one data set into a sealed file with constant memory: fill `free()`, then `advance(n)`.

    `finish` leaves a named, flushed file; `abort` leaves nothing. Not thread-safe.
    """

    def __init__(self, sealer: Sealer, key_of: Callable[[memoryview], StudyKey], tag: Digest, buffers: Buffers) -> None:
        self._spool = sealer.spool
        self._take_blank = sealer.take_blank
        self._key_of = key_of
        self._tag = tag
        self._checksum: Digest | None = None
        self._plain = buffers.plain
        self._sealed = buffers.sealed
        self._fill = 0
        self._index = 0
        self._size = 0
        self._written = 0
        self._blank_size = 0
        self._descriptor = -1
        self.object_id = ""
        self.key: StudyKey | None = None

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return self._size

    @property
    def is_findable(self) -> bool:
        """Whether the object is found after a power cut even if the folder is never flushed again."""
        return self._blank_size > 0

    def free(self) -> memoryview:
        """Where the next bytes go; never empty."""
        return self._plain[self._fill :]

    def advance(self, count: int) -> None:
        """`count` bytes were put into `free()`."""
        self._fill += count
        self._size += count
        if self._fill == CHUNK:
            begin = self._written
            self._write(self._seal_chunk(last=False))
            # the disk begins now, so that `finish` waits for the last chunk only
            os.posix_fadvise(self._descriptor, begin, self._written - begin, os.POSIX_FADV_DONTNEED)

    def finish(self, make_record: Callable[[str, str, int, int], Instance]) -> Instance:
        """Seal the rest, write the record that `make_record(object_id, tag, size, slot)` gives, name and flush.

        The slot file, and the folder unless `is_findable`, are flushed by the caller's group commit, not here.
        """
        sealed = self._seal_chunk(last=True)
        assert self.key is not None and self._checksum is not None  # noqa: PT018
        instance = make_record(self.object_id, self._tag.digest().hex(), self._size, self.key.slot)
        record = msgspec.json.encode(instance)
        seal = self._cipher.encrypt(_RECORD_NONCE, b"", self._header + record)
        footer = FOOTER.pack(self._size, len(record), zlib.crc32(record), END, self._checksum.digest()[:8])
        padding = self._blank_size - HEADER.size - len(sealed) - len(record) - TAG - FOOTER.size
        self._write(sealed, bytes(max(0, padding)), record, seal, footer)
        large = self._index > 1
        if large:  # no checksum says whether it is whole, so its name must not be there before its bytes
            os.fdatasync(self._descriptor)
        os.rename(self._part, f"{self._spool}/{self.object_id}")
        if not large:
            os.fdatasync(self._descriptor)
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
            self._open(last=last)
        assert self._checksum is not None
        plain = self._plain[: self._fill]
        self._tag.update(plain)
        out = self._sealed[: self._fill + TAG]
        aad = self._header + (b"\1" if last else b"\0")
        self._cipher.encrypt_into(self._index.to_bytes(12, "big"), plain, aad, out)
        if last and not self._index:
            self._checksum.update(out)
        self._index += 1
        self._fill = 0
        return out

    def _write(self, *parts: bytes | memoryview) -> None:
        """Append; the header goes with the first chunk, so that a small object is one write."""
        if not self._written:
            parts = (self._header, *parts)
        count, total = os.writev(self._descriptor, parts), sum(map(len, parts))
        if count != total:
            write_all(self._descriptor, b"".join(parts)[count:])
        self._written += total

    def _open(self, *, last: bool) -> None:
        """Begin the file with the first chunk; one that is the `last` too may go into a blank."""
        self.key = self._key_of(self._plain[: self._fill])
        least = HEADER.size + self._fill + TAG + _LONGEST_RECORD + TAG + FOOTER.size
        blank = self._take_blank(least) if last else None
        if blank is not None:
            self.object_id, self._descriptor, self._blank_size = blank
            self._part = f"{self._spool}/{self.object_id}{BLANK}"
        else:
            self.object_id = random_bytes(16).hex()
            self._part = f"{self._spool}/{self.object_id}{PART}"
            self._descriptor = create(self._part)
        self._cipher = AESGCM(_object_key(self.key.key, self.object_id))
        self._header = HEADER.pack(MAGIC, bytes.fromhex(self.object_id), self.key.slot, self.key.slot_id, CHUNK)
        self._checksum = checksum(self._header)


def create(path: str) -> int:
    """A new file that infer's group may read; open for writing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440)
    os.fchmod(descriptor, 0o440)  # the umask would keep it from that group
    return descriptor


class Opener:
    """The infer side: opens with the private key, erases by overwriting slots."""

    def __init__(self, spool: Path, private: bytes) -> None:
        self.slots = Slots(spool)
        self._spool = spool
        self._private = private

    def size(self, object_id: str) -> int:
        """Length of the data set in bytes."""
        with self._file(object_id) as file:
            return file.footer().size

    def head(self, object_id: str, chunks: int = 1) -> bytes:
        """The first `chunks` chunks of the data set (each up to CHUNK bytes)."""
        with self._file(object_id) as file:
            size = file.footer().size
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
            footer = file.footer()
            header, cipher = self._unlock(file, object_id)
            self._check_rest(cipher, header, footer, file)
            self._chunks_into(target[: footer.size], file, cipher, header, footer.size, object_id)
            return footer.size

    def read(self, object_id: str) -> bytearray:
        """The whole data set."""
        data = bytearray(self.size(object_id))
        self.read_into(object_id, memoryview(data))
        return data

    def _file(self, object_id: str) -> SealedFile:
        return SealedFile(self._spool, object_id)

    def _unlock(self, file: SealedFile, object_id: str) -> tuple[bytes, AESGCM]:
        header = file.header()
        magic, identifier, slot, slot_id, chunk = HEADER.unpack(header)
        if magic != MAGIC or identifier.hex() != object_id or chunk != CHUNK:
            raise damaged(object_id)
        return header, AESGCM(_object_key(self.slots.key(slot, slot_id, self._private), object_id))

    def _chunks_into(
        self, target: memoryview, file: SealedFile, cipher: AESGCM, header: bytes, size: int, object_id: str
    ) -> None:
        """As many chunks as `target` holds; when it holds all, the last one too, even if it is empty."""
        sealed = bytearray(min(CHUNK, size) + TAG)
        count = size // CHUNK + 1 if len(target) == size else len(target) // CHUNK
        for index in range(count):
            with target[index * CHUNK : min(size, (index + 1) * CHUNK)] as part:
                self._chunk_into(part, file, cipher, header, index, size, sealed, object_id)

    @staticmethod
    def _chunk_into(
        target: memoryview, file: SealedFile, cipher: AESGCM, header: bytes, index: int, size: int, buffer: bytearray,
        object_id: str,
    ) -> None:  # fmt: skip
        """Chunk `index` into `target`, which is as long as its plain bytes; `buffer` takes the sealed ones."""
        # a data set that ends on a chunk boundary has an empty last chunk, so the last flag is never missing
        last = index == size // CHUNK
        with memoryview(buffer)[: len(target) + TAG] as sealed:
            if os.preadv(file.descriptor, [sealed], HEADER.size + index * (CHUNK + TAG)) != len(sealed):
                raise damaged(object_id)
            try:
                aad = header + (b"\1" if last else b"\0")
                cipher.decrypt_into(index.to_bytes(12, "big"), sealed, aad, target)
            except (InvalidTag, ValueError):
                raise damaged(object_id) from None

    @staticmethod
    def _check_rest(cipher: AESGCM, header: bytes, footer: Footer, file: SealedFile) -> None:
        """Record and padding."""
        try:
            cipher.decrypt(_RECORD_NONCE, footer.seal, header + footer.record)
        except InvalidTag:
            raise damaged(file.object_id) from None
        if any(os.pread(file.descriptor, footer.padding, HEADER.size + sealed_size(footer.size))):
            raise damaged(file.object_id)


def _object_key(study_key: bytes, object_id: str) -> bytes:
    return hmac.digest(study_key, b"edge-object-1" + bytes.fromhex(object_id), "sha256")
