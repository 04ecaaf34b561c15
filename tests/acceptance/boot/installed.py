"""What the boot tests share: the machine with the box on it."""

from __future__ import annotations

from dataclasses import dataclass

from machine import Machine
from outside import Archive

ONE_LINE = "tar -xOf /root/edge.tar edge/install.sh | sh -s -- --bundle /root/edge.tar"


@dataclass(frozen=True)
class Installed:
    """The booted machine with the box on it, and the archive outside that gets its reports."""

    machine: Machine
    port: int
    archive: Archive
    boot_seconds: float
    install_seconds: float
    first_report_seconds: float
