"""Taking the box off: data stay unless they are to go. The last of the boot tests, by its name."""

from __future__ import annotations

from installed import Installed
from support import REPOSITORY


def test_uninstalling_keeps_the_data_and_purging_removes_everything(installed: Installed) -> None:
    machine = installed.machine
    machine.put(REPOSITORY / "firmware_scripts/uninstall.sh", "/root/uninstall.sh")
    machine.run("sh", "/root/uninstall.sh")
    assert machine.run("systemctl", "list-unit-files", "--no-legend", "edge*", check=False) == ""
    assert not machine.path("/opt/edge").exists()
    assert machine.path("/var/lib/edge/keys/open.key").exists()
    assert machine.path("/etc/edge/edge.toml").exists()

    machine.run("sh", "/root/uninstall.sh", "--purge")
    for path in ("/var/lib/edge", "/etc/edge", "/etc/sysusers.d/edge.conf"):
        assert not machine.path(path).exists()
    assert "edge-" not in machine.path("/etc/passwd").read_text()
