"""No byte of a package is used that the manifest does not vouch for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from package_maker import make

from edge.errors import PackageError
from edge.packages import members
from edge.packages.package import load_folder
from edge.packages.registry import Registry


def link(folder: Path) -> None:
    (folder / "LICENSE").unlink()
    (folder / "LICENSE").symlink_to("/etc/hostname")


def linked_folder(folder: Path) -> None:
    (folder / "selftest").rename(folder.parent / "elsewhere")
    (folder / "selftest").symlink_to(folder.parent / "elsewhere")


def pipe(folder: Path) -> None:
    (folder / "LICENSE").unlink()
    os.mkfifo(folder / "LICENSE")


def listening(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))


def undeclared(folder: Path) -> None:
    (folder / "hook.py").write_text("print('never run')")


def hidden(folder: Path) -> None:
    (folder / ".hidden").write_text("")


def gone(folder: Path) -> None:
    (folder / "LICENSE").unlink()


def longer(folder: Path) -> None:
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")


def empty(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"")


def no_manifest(folder: Path) -> None:
    (folder / "model.toml").unlink()


def linked_manifest(folder: Path) -> None:
    (folder / "model.toml").rename(folder.parent / "m.toml")
    (folder / "model.toml").symlink_to(folder.parent / "m.toml")


def huge_manifest(folder: Path) -> None:
    with (folder / "model.toml").open("ab") as file:
        file.write(b"#" * (2 << 20))


def many_files(folder: Path) -> None:
    (folder / "many").mkdir()
    for number in range(2100):
        (folder / "many" / str(number)).touch()


@pytest.mark.parametrize(
    "spoil",
    [link, linked_folder, pipe, listening, undeclared, hidden, gone, longer, empty, no_manifest, linked_manifest,
     huge_manifest, many_files],
)  # fmt: skip
def test_a_spoilt_folder_is_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    make(tmp_path / "p")
    spoil(tmp_path / "p")
    with pytest.raises(PackageError):
        load_folder(tmp_path / "p")


def test_a_member_of_the_same_size_is_caught_when_it_is_read(tmp_path: Path) -> None:
    make(tmp_path / "p")
    (tmp_path / "p" / "LICENSE").write_bytes(b"B licence.\n")
    package = load_folder(tmp_path / "p")
    with pytest.raises(PackageError, match="not what the manifest says"):
        package.read("LICENSE")


def test_a_member_swapped_for_a_link_after_loading_is_not_followed(tmp_path: Path) -> None:
    package = make(tmp_path / "p")
    (tmp_path / "outside").write_bytes((tmp_path / "p" / "LICENSE").read_bytes())
    (tmp_path / "p" / "LICENSE").unlink()
    (tmp_path / "p" / "LICENSE").symlink_to(tmp_path / "outside")
    with pytest.raises(PackageError):
        package.read("LICENSE")


def test_only_declared_names_are_read(tmp_path: Path) -> None:
    package = make(tmp_path / "p")
    for name in ("model.toml", "../p/LICENSE", "/etc/hostname", ""):
        with pytest.raises(PackageError):
            package.read(name)


def test_the_digest_is_that_of_the_manifest(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    third = make(tmp_path / "c", vendor="Another")
    assert first.digest == second.digest != third.digest
    assert first.identity().digest == first.digest


def test_members_are_brought_up_to_date_and_comments_stay(tmp_path: Path) -> None:
    make(tmp_path / "p")
    path = tmp_path / "p" / "model.toml"
    path.write_text("# a vendor's remark\n" + path.read_text())
    (tmp_path / "p" / "LICENSE").write_text("Another text.\n")
    with pytest.raises(PackageError):
        load_folder(tmp_path / "p")
    assert "LICENSE" in members.update(tmp_path / "p")
    assert load_folder(tmp_path / "p").read("LICENSE") == b"Another text.\n"
    assert path.read_text().startswith("# a vendor's remark\n")


def test_a_name_that_nothing_here_has_is_refused_by_name(tmp_path: Path) -> None:
    registry = Registry({"brightness": make(tmp_path / "p")})
    assert registry.resolve("brightness").manifest.name == "brightness"
    with pytest.raises(PackageError, match="none of this name is ACTIVE"):
        registry.resolve("somebody-elses")
