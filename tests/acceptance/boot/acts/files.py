"""What lies on the disk: the spool, results, keys, the journal, other people's files."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import struct
from pathlib import Path

from act import LIBC, ROOT, Group, given, names, open_only, read, refused, result_of, scratch, syscall, write

group = Group("files")
SPOOL, OUTBOX, JOURNAL, RUN = ROOT / "spool", ROOT / "outbox", ROOT / "journal", ROOT / "run"
RELEASES = Path("/opt/edge/releases")


@group
def list_the_spool() -> None:
    names(SPOOL)


@group
def read_a_sealed_object() -> None:
    read(SPOOL / given("SEALED"))


@group
def write_into_the_spool() -> None:
    write(scratch(str(SPOOL), "new"))


@group
def append_to_a_sealed_object() -> None:
    open_only(SPOOL / given("SEALED"), os.O_WRONLY | os.O_APPEND)


@group
def open_up_a_sealed_object() -> None:
    (SPOOL / given("SEALED")).chmod(0o440)


@group
def remove_a_sealed_object() -> None:
    (SPOOL / given("CANARY")).rename(SPOOL / "moved")
    (SPOOL / "moved").rename(SPOOL / given("CANARY"))


@group
def write_the_key_slots() -> None:
    open_only(SPOOL / "slots", os.O_RDWR)


@group
def list_the_outbox() -> None:
    names(OUTBOX)


@group
def write_into_the_outbox() -> None:
    write(scratch(str(OUTBOX), "new"))


@group
def change_a_result() -> None:
    open_only(next(OUTBOX.glob("*.dcm"), OUTBOX / "none"), os.O_WRONLY)


def _key(name: str) -> None:
    """From anywhere: as our own credential, as another room's, from where root keeps it."""
    own = os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere")
    rooms = [f"/run/credentials/edge-{room}.service" for room in ("receive", "infer", "deliver")]
    last: OSError = refused("no key")
    for folder in (own, *rooms, ROOT / "keys"):
        try:
            read(Path(folder) / name)
            return
        except OSError as error:
            last = error
    raise last


@group
def read_the_opening_key() -> None:
    _key("open.key")


@group
def read_the_signing_key() -> None:
    _key("sign.key")


@group
def read_the_resend_key() -> None:
    _key("tag.key")


@group
def list_the_keys() -> None:
    names(ROOT / "keys")


@group
def read_the_configuration() -> None:
    read("/etc/edge/edge.toml")


@group
def read_shadow() -> None:
    read("/etc/shadow")


@group
def read_passwd() -> None:
    read("/etc/passwd")


@group
def read_the_machine_id() -> None:
    read("/etc/machine-id")


@group
def read_a_home() -> None:
    read("/home/operator/secret")


@group
def list_roots_home() -> None:
    names("/root")


@group
def list_the_logs() -> None:
    names("/var/log")


@group
def list_other_software_data() -> None:
    names("/var/lib/dpkg")


@group
def list_run() -> None:
    if names("/run") <= {"credentials", "systemd"}:
        raise refused("nothing but what is ours")


@group
def list_mounted_disks() -> None:
    names("/mnt")


@group
def write_etc() -> None:
    write(scratch("/etc", "new"))


@group
def write_usr() -> None:
    write(scratch("/usr/lib", "new"))


@group
def write_our_code() -> None:
    write(scratch(str(RELEASES), "new"))


@group
def write_the_root_folder() -> None:
    write(scratch("/", "new"))


@group
def write_the_units() -> None:
    write("/etc/systemd/system/act.service")


@group
def write_run_lock() -> None:
    write(scratch("/run/lock", "new"))


@group
def write_the_box_folder() -> None:
    write(scratch(str(ROOT), "new"))


@group
def move_the_journal_away() -> None:
    (JOURNAL / "journal.db").rename(JOURNAL / "moved.db")
    (JOURNAL / "moved.db").rename(JOURNAL / "journal.db")


@group
def drop_a_table_of_the_journal() -> None:
    database = sqlite3.connect(f"file:{JOURNAL / 'journal.db'}?mode=rw", uri=True, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    database.execute("DROP TABLE event")
    database.execute("ROLLBACK")


@group
def leave_a_file_beside_the_journal() -> None:
    write(scratch(str(JOURNAL), "new"))


@group
def remove_another_rooms_announcement() -> None:
    path = RUN / f"{given('OTHER_ROOM')}.json"
    path.rename(path.with_suffix(".moved"))
    path.with_suffix(".moved").rename(path)


@group
def read_another_rooms_announcement() -> None:
    read(RUN / f"{given('OTHER_ROOM')}.json")


@group
def replace_delivers_bell() -> None:
    (RUN / "deliver.sock").rename(RUN / "deliver.moved")
    (RUN / "deliver.moved").rename(RUN / "deliver.sock")


@group
def find_what_others_left_in_tmp() -> None:
    read("/tmp/act-outside")


@group
def find_what_others_left_in_shared_memory() -> None:
    read("/dev/shm/act-outside")


@group
def make_a_setuid_file() -> None:
    path = scratch("/tmp", "setuid")
    path.touch()
    try:
        path.chmod(0o4755)
    finally:
        path.unlink()


@group
def make_a_device() -> None:
    path = scratch("/tmp", "device")
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 1))
    path.unlink()


@group
def give_a_file_away() -> None:
    path = scratch("/tmp", "given")
    path.touch()
    try:
        os.chown(path, os.getuid(), os.getgid())
    finally:
        path.unlink()


@group
def open_the_kernel_log() -> None:
    read("/dev/kmsg")


@group
def open_the_memory() -> None:
    open_only("/dev/mem", os.O_RDONLY)


@group
def open_the_kernels_core() -> None:
    open_only("/proc/kcore", os.O_RDONLY)


@group
def open_the_virtualiser() -> None:
    open_only("/dev/kvm", os.O_RDWR)


@group
def open_user_file_systems() -> None:
    open_only("/dev/fuse", os.O_RDWR)


@group
def change_a_kernel_setting() -> None:
    open_only("/proc/sys/kernel/core_pattern", os.O_WRONLY)


@group
def leave_the_control_group() -> None:
    open_only("/sys/fs/cgroup/cgroup.procs", os.O_WRONLY)


@group
def change_a_device_setting() -> None:
    open_only("/sys/kernel/mm/transparent_hugepage/enabled", os.O_WRONLY)


@group
def list_the_devices_of_the_machine() -> None:
    names("/sys/bus/pci/devices")


@group
def name_a_file_by_handle() -> None:
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
    mount = ctypes.create_string_buffer(8)
    result_of(LIBC.name_to_handle_at(-100, b"/", handle, mount, 0), "name_to_handle_at")


@group
def open_a_file_by_handle() -> None:
    syscall(304, -100, ctypes.create_string_buffer(struct.pack("Ii", 8, 1) + bytes(8)), 0)
