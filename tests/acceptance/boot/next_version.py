"""Later versions of the box, made from its own bundle: another version number, and what is wrong with them."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

LATER_SCHEMA = "CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT;\n"
OLDER_MAY_READ = "PRAGMA application_id = 1;\n"
OTHER_SCHEMA = "CREATE TABLE much_later (id INTEGER PRIMARY KEY) STRICT;\nPRAGMA application_id = 3;\n"
FALLS_DOWN = """

if os.environ.get("NOTIFY_SOCKET"):  # not where it is tried alone
    threading.Timer(4.0, os._exit, (3,)).start()
"""
"""At the end of edge/rooms.py: every room ends some seconds after it came up."""


def next_bundle(
    bundle: Path,
    out: Path,
    version: str,
    *,
    added: Mapping[str, str] | None = None,
    changed: tuple[str, str] = ("", ""),
) -> Path:
    """`bundle` as `version`, in `out`: files `added` to the wheel, a text appended to one member (`changed`)."""
    with tarfile.open(bundle) as tar:
        files = {each.name: tar.extractfile(each).read() for each in tar if each.isfile()}  # type: ignore[union-attr]
    (wheel,) = (name for name in files if "/edge_imaging-" in name)
    files[wheel] = _next_wheel(files[wheel], version, added or {}, changed)
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  ./{name.removeprefix('edge/')}\n"
        for name, content in sorted(files.items(), key=lambda item: f"./{item[0].removeprefix('edge/')}")
        if not name.startswith("edge/SHA256SUMS")
    )
    files = {name: content for name, content in files.items() if not name.startswith("edge/SHA256SUMS")}
    with tarfile.open(out, "w") as tar:
        for name, content in {**files, "edge/SHA256SUMS": sums.encode()}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return out


def _next_wheel(wheel: bytes, version: str, added: Mapping[str, str], changed: tuple[str, str]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["edge/__init__.py"] += f'__version__ = "{version}"\n'.encode()
    if changed[0]:
        members[changed[0]] += changed[1].encode()
    members |= {name: text.encode() for name, text in added.items()}
    (record,) = (name for name in members if name.endswith(".dist-info/RECORD"))
    lines = [f"{name},{_digest(content)},{len(content)}" for name, content in members.items() if name != record]
    members[record] = ("\n".join([*lines, f"{record},,"]) + "\n").encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in members.items():
            new.writestr(name, content)
    return stream.getvalue()


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
