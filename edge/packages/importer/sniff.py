"""What a vendor's file really is, whatever it is called. Reads a few kilobytes; loads nothing.

In: a path. Out: a `Kind` that can be converted, or `ImportRefused` whose one sentence says what the file is.
Of 38 "models" found in public repositories 17 were something else: LFS pointers, web pages, notebooks, scripts.
"""

from __future__ import annotations

import zipfile
import zlib
from enum import StrEnum
from pathlib import Path

from edge.errors import ImportRefused

_HEAD = 8192
_MAX_BYTES = 2 << 30
_HDF5 = b"\x89HDF\r\n\x1a\n"
_TEXT_SIGNS = (
    ((b"version https://git-lfs",), "a Git LFS pointer, not the model", "fetch the content with `git lfs pull`"),
    ((b"<!doctype", b"<html", b"<head", b"<?xml"), "a web page, not a model", "download the raw file"),
    ((b'"nbformat"', b'"cells"'), "a Jupyter notebook, not a model", "run it and save the model with model.save()"),
    ((b"import ", b"from ", b"def ", b"#!/"), "a Python script, not a model", "run it, then model.save()"),
    ((b"{",), "a JSON text without weights", "save the whole model with model.save()"),
)  # fmt: skip
_BINARY_SIGNS = (
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ", "an xz archive", "unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"\x80\x02", "a Python pickle, which can run any code when it is opened", "export the model to ONNX"),
    (b"\x80\x03", "a Python pickle, which can run any code when it is opened", "export the model to ONNX"),
    (b"\x80\x04", "a Python pickle, which can run any code when it is opened", "export the model to ONNX"),
    (b"\x80\x05", "a Python pickle, which can run any code when it is opened", "export the model to ONNX"),
    (b"\x89PNG", "a picture", "give the model's file"),
    (b"\xff\xd8\xff", "a picture", "give the model's file"),
    (b"%PDF", "a PDF document", "give the model's file"),
    (b"\x7fELF", "a program", "give the model's file"),
    (b"\x93NUMPY", "a NumPy array", "give the model's file"),
)


class Kind(StrEnum):
    """What can be converted."""

    KERAS_H5 = "keras-h5"
    KERAS_ZIP = "keras-zip"
    SAVED_MODEL = "saved-model"
    ONNX = "onnx"


def sniff(path: Path) -> Kind:
    """What `path` is.

    Raises
    ------
    ImportRefused
        If it is nothing that can be converted; the message says what it is instead.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise _refusal(path, "there is no such file", "check the path")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head.strip(b"\0\r\n\t \xef\xbb\xbf"):
        raise _refusal(path, "an empty file" if not head else "a file of blanks, not a model", "fetch it again")
    if size > _MAX_BYTES:
        raise _refusal(path, "a file of more than 2 GiB, which is not converted", "give a smaller model")
    if head.startswith(_HDF5):
        return Kind.KERAS_H5
    if head.startswith(b"PK"):
        return _zip(path)
    return _other(path, head)


def _folder(path: Path) -> Kind:
    if (path / "saved_model.pb").is_file():
        return Kind.SAVED_MODEL
    if (path / "model.toml").is_file():
        raise _refusal(path, "a model package already", "check it with `edge models check`")
    raise _refusal(path, "a folder without a SavedModel (no saved_model.pb)", "give the model's file")


def _zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(entry.flag_bits & 1 for entry in archive.infolist()):
                raise _refusal(path, "an encrypted zip archive", "unpack it first")
            total = sum(entry.file_size for entry in archive.infolist())
            bad = archive.testzip() if total <= _MAX_BYTES else "size"
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError):
        raise _refusal(path, "a broken zip archive (cut off, or without its directory)", "fetch it again") from None
    if bad is not None:
        raise _refusal(path, "a zip archive that is damaged or expands beyond 2 GiB", "fetch it again")
    if "config.json" in names and any(name.endswith(".weights.h5") for name in names):
        return Kind.KERAS_ZIP
    if any(name.endswith("data.pkl") for name in names):
        raise _refusal(path, "a PyTorch file, which holds a pickle that can run any code", "export the model to ONNX")
    if any(name.endswith(".npy") for name in names):
        raise _refusal(path, "a NumPy archive, not a model", "give the model's file")
    raise _refusal(path, "a zip archive that is no Keras model", "unpack it first")


def _other(path: Path, head: bytes) -> Kind:
    for sign, what, hint in _BINARY_SIGNS:
        if head.startswith(sign):
            raise _refusal(path, what, hint)
    if head[4:8] == b"TFL3":
        raise _refusal(path, "a TensorFlow Lite model, which is not converted", "give the model it was made from")
    if _is_text(head):
        raise _text(path, head)
    if _looks_like_onnx(head):
        return Kind.ONNX
    raise _refusal(path, "no model format that is known here", "give .h5, .keras, a SavedModel folder or .onnx")


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8-sig")
    return sum(character.isprintable() or character.isspace() for character in text) > 0.98 * len(text)


def _text(path: Path, head: bytes) -> ImportRefused:
    text = head.lower().lstrip(b"\xef\xbb\xbf \t\r\n")
    for signs, what, hint in _TEXT_SIGNS[:3]:
        if text.startswith(signs) or (signs[0].startswith(b'"') and text.startswith(b"{") and signs[0] in text):
            return _refusal(path, what, hint)
    lines = text.splitlines()
    signs, what, hint = _TEXT_SIGNS[3]
    if any(line.startswith(signs) for line in lines):
        return _refusal(path, what, hint)
    if text.startswith(_TEXT_SIGNS[4][0]):
        return _refusal(path, *_TEXT_SIGNS[4][1:])
    return _refusal(path, "a text placeholder, not a model", "fetch the real file from where it was published")


def _looks_like_onnx(head: bytes) -> bool:
    """A ModelProto starts with field 1 (ir_version, a small varint) in every known exporter."""
    return head[0] == 0x08 and 1 <= head[1] <= 64 and head[2] in (0x12, 0x1A, 0x22, 0x2A, 0x32, 0x3A, 0x42)


def _refusal(path: Path, what: str, hint: str) -> ImportRefused:
    return ImportRefused(
        f"this is {what}" if what.startswith(("a ", "an ", "no ")) else what, which=path.name, hint=hint
    )
