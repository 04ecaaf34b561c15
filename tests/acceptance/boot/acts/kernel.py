"""The kernel's own doors: mounts, namespaces, modules, clocks, keys, and calls that have had holes."""

from __future__ import annotations

import ctypes
import os
import struct
import time

from act import LIBC, Group, in_child, names, syscall

group = Group("kernel")
_NEW_USER, _NEW_NET, _NEW_MOUNT = 0x10000000, 0x40000000, 0x00020000
_NICE = 13


def buffer(*numbers: int, size: int = 128) -> ctypes.Array[ctypes.c_char]:
    """32-bit numbers, then zeros."""
    return ctypes.create_string_buffer(struct.pack(f"{len(numbers)}I", *numbers), size)


@group
def mount_a_file_system() -> None:
    in_child(lambda: syscall(165, b"x", b"/tmp", b"tmpfs", 0, 0))


@group
def take_a_wall_down() -> None:
    in_child(lambda: syscall(166, b"/run", 2))


@group
def make_the_root_writable() -> None:
    in_child(lambda: syscall(165, 0, b"/", 0, 32 | 4096, 0))


@group
def clone_a_mount() -> None:
    os.close(syscall(428, -100, b"/", 1))


@group
def open_a_file_system_context() -> None:
    os.close(syscall(430, b"tmpfs", 0))


@group
def change_the_root() -> None:
    in_child(lambda: os.chroot("/tmp"))


@group
def pivot_the_root() -> None:
    in_child(lambda: syscall(155, b"/tmp", b"/tmp"))


@group
def new_user_namespace() -> None:
    in_child(lambda: syscall(272, _NEW_USER))


@group
def new_network_namespace() -> None:
    in_child(lambda: syscall(272, _NEW_NET))


@group
def new_mount_namespace() -> None:
    in_child(lambda: syscall(272, _NEW_MOUNT))


@group
def child_in_a_new_user_namespace() -> None:
    arguments = ctypes.create_string_buffer(struct.pack("8Q", _NEW_USER, 0, 0, 0, 17, 0, 0, 0))
    pid = LIBC.syscall(435, arguments, 64)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone3")
    os.waitpid(pid, 0)


@group
def enter_pid1s_network() -> None:
    in_child(lambda: syscall(308, os.open("/proc/1/ns/net", os.O_RDONLY), 0))


@group
def load_a_module_from_a_file() -> None:
    syscall(313, os.open("/dev/null", os.O_RDONLY), b"", 0)


@group
def load_a_module() -> None:
    syscall(175, b"x", 1, b"")


@group
def remove_a_module() -> None:
    syscall(176, b"none", 0)


@group
def load_another_kernel() -> None:
    syscall(246, 0, 0, 0, 0)


@group
def reboot() -> None:
    syscall(169, 0, 0, 0, 0)


@group
def set_the_clock() -> None:
    time.clock_settime(time.CLOCK_REALTIME, time.time())


@group
def adjust_the_clock() -> None:
    syscall(159, buffer(0x4000, size=304))


@group
def set_the_host_name() -> None:
    name = os.uname().nodename.encode()
    syscall(170, name, len(name))


@group
def set_the_domain_name() -> None:
    syscall(171, b"(none)", 6)


@group
def make_a_kernel_map() -> None:
    os.close(syscall(321, 0, buffer(2, 4, 4, 1), 128))


@group
def make_a_request_ring() -> None:
    os.close(syscall(425, 4, buffer(size=120)))


@group
def make_an_aio_context() -> None:
    in_child(lambda: syscall(206, 1, buffer(size=8)))


@group
def add_a_kernel_key() -> None:
    syscall(248, b"user", b"act", b"x", 1, -3)


@group
def look_at_the_kernels_keys() -> None:
    syscall(250, 0, -3, 0)


@group
def watch_the_processor() -> None:
    os.close(syscall(298, buffer(1, 128), 0, -1, -1, 0))


@group
def handle_page_faults() -> None:
    os.close(syscall(323, 1))


@group
def watch_the_file_system() -> None:
    os.close(syscall(300, 0, 0))


@group
def change_the_personality() -> None:
    in_child(lambda: syscall(135, 0x0040000))


@group
def open_the_ports() -> None:
    syscall(172, 3)


@group
def change_the_descriptor_table() -> None:
    syscall(154, 0, buffer(size=16), 16)


@group
def read_the_kernels_messages() -> None:
    syscall(103, 3, buffer(size=64), 64)


@group
def start_swapping() -> None:
    syscall(167, b"/tmp/none", 0)


@group
def account_for_processes() -> None:
    syscall(163, b"/tmp/none")


@group
def ask_for_quotas() -> None:
    syscall(179, 0x800007, b"", 0, 0)


@group
def become_root() -> None:
    in_child(lambda: os.setuid(0))


@group
def become_another_group() -> None:
    in_child(lambda: os.setgroups([0]))


@group
def take_all_capabilities() -> None:
    header = buffer(0x20080522, 0)
    in_child(lambda: syscall(126, header, buffer(*(0xFFFFFFFF, 0xFFFFFFFF, 0) * 2)))


@group
def run_in_real_time() -> None:
    in_child(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))


@group
def choose_processors() -> None:
    in_child(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))


@group
def run_before_others() -> None:
    in_child(lambda: os.nice(-20))


@group
def raise_a_limit() -> None:
    in_child(lambda: syscall(160, _NICE, ctypes.create_string_buffer(struct.pack("QQ", 40, 40))))


@group
def share_memory_by_number() -> None:
    identifier = syscall(29, 0, 4096, 0o1600)
    syscall(31, identifier, 0, 0)


@group
def make_a_message_queue() -> None:
    os.close(syscall(240, b"act", 0o102, 0o600, 0))
    syscall(241, b"act")


@group
def call_as_x32() -> None:
    in_child(lambda: syscall(0x40000000 + 39))


@group
def move_memory_between_nodes() -> None:
    syscall(256, os.getpid(), 0, 0, 0)


@group
def change_memory_keys() -> None:
    syscall(330, 0, 0)


@group
def read_the_kernels_symbols() -> None:
    with open("/proc/kallsyms", "rb") as file:
        file.read(64)


@group
def trace_the_kernel() -> None:
    names("/sys/kernel/debug/tracing")
