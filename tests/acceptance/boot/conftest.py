"""One Debian for all boot tests of a session: installed from a bundle without a network, with an archive outside.

`pytest -m boot` as root; needs debootstrap and systemd-nspawn. $EDGE_BOOT_CACHE keeps the bare system between runs.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from installed import ONE_LINE, Installed
from machine import Machine, make_root
from objects import chest_dx, full_size_xrays, save
from outside import Archive, push
from support import REPOSITORY, Storescp, free_port, tool, wait_until

CONFIG = """
[receive]
port = {port}
[[receive.peers]]
alias = "modality"
ae_title = "TEST"
hosts = ["127.0.0.1"]
[storage]
reserve_gib = 0.1
refuse_at_percent = 100
[[routes]]
name = "chest"
package = "cxr-pneumonia"
when = {{ Modality = ["CR", "DX"] }}
deliver = ["archive"]
max_study_age_days = 36500
[destinations.archive]
kind = "deidentified"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {archive}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a boot test, and waits for a machine."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.boot)
            item.add_marker(pytest.mark.timeout(1500))


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """For everything that a run makes; under /var/tmp, since a Debian is large."""
    with tempfile.TemporaryDirectory(prefix="edge-boot-", dir="/var/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def bundle(folder: Path) -> Path:
    """The bundle of this checkout."""
    path = folder / "edge.tar"
    subprocess.run([REPOSITORY / "firmware_scripts/bundle.sh", path], check=True, stdout=subprocess.DEVNULL)
    return path


@pytest.fixture(scope="session")
def bare(folder: Path) -> Path:
    """A bare Debian in a folder."""
    if os.geteuid() != 0 or platform.machine() != "x86_64":
        pytest.skip("booting a machine needs root, and the acts' numbers are those of x86-64")
    for name in ("debootstrap", "systemd-nspawn", "nsenter"):
        tool(name)
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False).returncode:
        pytest.skip("this environment makes no namespaces")
    cache = Path(os.environ.get("EDGE_BOOT_CACHE", "/var/tmp/edge-boot-cache"))
    return make_root(folder, cache)


@pytest.fixture(scope="session")
def installed(bare: Path, bundle: Path, folder: Path, data: Path) -> Iterator[Installed]:
    """Boot, install without a network, push one X-ray, wait for its report; the machine is used by all tests."""
    received = folder / "received"
    received.mkdir()
    archive, port = Storescp(received), free_port()
    machine = Machine(bare, folder / "boot.log")
    machine.put(bundle, "/root/edge.tar")
    config = machine.path("/etc/edge/edge.toml")
    config.parent.mkdir()
    config.write_text(CONFIG.format(port=port, archive=archive.port))
    xray = save(chest_dx(full_size_xrays(data)[0][1]), folder / "first.dcm")
    try:
        boot_seconds = machine.boot()
        started = time.monotonic()
        machine.run("sh", "-c", ONE_LINE, network=False)
        install_seconds = time.monotonic() - started
        assert push(port, [xray]) == 1
        wait_until(archive.files, 60, "the first report")
        yield Installed(
            machine, port, Archive(archive), boot_seconds, install_seconds, time.monotonic() - started
        )  # fmt: skip
    finally:
        machine.off()
        archive.stop()
        shutil.rmtree(bare, ignore_errors=True)


@pytest.fixture
def xrays(tmp_path: Path) -> list[Path]:
    """200 small X-rays, each different."""
    noise = np.random.default_rng(11)
    return [
        save(
            chest_dx(noise.integers(0, 4096, (256, 256), dtype=np.uint16), BitsStored=12, HighBit=11),
            tmp_path / f"{number}.dcm",
        )
        for number in range(200)
    ]
