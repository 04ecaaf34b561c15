"""One file, every byte of it determined; a signature that a trusted key made, looked at before anything is written."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from package_maker import make
from support import tool

from edge import crypto
from edge.errors import KeyFileError, PackageError
from edge.packages import archive, signature
from edge.packages.package import load_folder


@pytest.fixture
def vendor(tmp_path: Path) -> signature.TrustedKey:
    """A vendor's pair: `acme.key` and `acme.pub` in the test's folder."""
    return signature.make_keys(tmp_path / "acme.key", tmp_path / "acme.pub")


def packed(folder: Path) -> bytes:
    target = io.BytesIO()
    archive.pack(folder, target)
    return target.getvalue()


def test_a_folder_comes_back_as_it_was_and_packs_to_the_same_bytes_again(
    tmp_path: Path, vendor: signature.TrustedKey
) -> None:
    package = make(tmp_path / "p")
    signature.sign_folder(tmp_path / "p", tmp_path / "acme.key")
    blob = packed(tmp_path / "p")
    found = archive.unpack(
        io.BytesIO(blob), tmp_path / "again", lambda text, seal: signature.verified(text, seal, [vendor])
    )
    assert found.digest == package.digest
    assert found.signature() == load_folder(tmp_path / "p").signature() is not None
    assert all(found.read(name) == package.read(name) for name in package.manifest.members)
    (tmp_path / "p" / "LICENSE").touch()  # another time, the same content
    assert packed(tmp_path / "p") == packed(tmp_path / "again") == blob


def test_tar_can_read_it(tmp_path: Path) -> None:
    package = make(tmp_path / "p")
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path / "p"))) as opened:
        assert opened.getnames() == ["model.toml", *sorted(package.manifest.members)]


def test_nothing_is_written_before_the_signature_is_accepted(tmp_path: Path, vendor: signature.TrustedKey) -> None:
    make(tmp_path / "p")
    blob = packed(tmp_path / "p")
    with pytest.raises(PackageError, match="not signed"):
        archive.unpack(io.BytesIO(blob), tmp_path / "new", lambda text, seal: signature.verified(text, seal, [vendor]))
    assert not (tmp_path / "new").exists()


def test_another_key_or_another_manifest_is_refused(tmp_path: Path, vendor: signature.TrustedKey) -> None:
    package = make(tmp_path / "p")
    signature.sign_folder(tmp_path / "p", tmp_path / "acme.key")
    seal = load_folder(tmp_path / "p").signature()
    other = signature.make_keys(tmp_path / "other.key", tmp_path / "other.pub")
    assert signature.verified(package.manifest_bytes, seal, [other, vendor]) == vendor
    with pytest.raises(PackageError, match="no trusted key"):
        signature.verified(package.manifest_bytes, seal, [other])
    with pytest.raises(PackageError, match="no trusted key"):
        signature.verified(package.manifest_bytes + b"\n", seal, [vendor])


def test_keys_are_read_raw_and_as_pem_and_openssl_agrees(tmp_path: Path, vendor: signature.TrustedKey) -> None:
    (tmp_path / "raw.pub").write_bytes(vendor.public)
    assert signature.load_keys([tmp_path / "acme.pub", tmp_path / "raw.pub"]) == (vendor, vendor)
    (tmp_path / "text").write_bytes(b"text")
    made = crypto.sign(crypto.parse_private((tmp_path / "acme.key").read_bytes()), b"text")
    (tmp_path / "seal").write_bytes(made)
    subprocess.run(
        [tool("openssl"), "pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "acme.pub", "-rawin",
         "-in", tmp_path / "text", "-sigfile", tmp_path / "seal"],
        check=True, capture_output=True,
    )  # fmt: skip


def test_a_key_file_is_never_replaced_and_a_wrong_one_is_named(tmp_path: Path, vendor: signature.TrustedKey) -> None:
    with pytest.raises(KeyFileError, match=r"acme\.key"):
        signature.make_keys(tmp_path / "acme.key", tmp_path / "new.pub")
    (tmp_path / "no.pub").write_text("no key")
    for wrong in (tmp_path / "no.pub", tmp_path / "acme.key"):
        with pytest.raises(KeyFileError, match=wrong.name):
            signature.load_keys([wrong])


def test_a_folder_that_is_not_whole_is_not_signed(tmp_path: Path, vendor: signature.TrustedKey) -> None:
    make(tmp_path / "p")
    (tmp_path / "p" / "LICENSE").write_bytes(b"Another.. \n")
    with pytest.raises(PackageError, match="not what the manifest says"):
        signature.sign_folder(tmp_path / "p", tmp_path / "acme.key")
    assert not (tmp_path / "p" / "SIGNATURE").exists()
