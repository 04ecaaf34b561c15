"""Taking the box off: data stay unless they are to go. The last of the boot tests, by its name."""

from __future__ import annotations

import subprocess
from pathlib import Path

from installed import ONE_LINE, Installed
from outside import source_of
from pydicom import dcmread
from support import REPOSITORY, Orthanc, free_port, tool


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


GATEWAY = """
[box]
root = "/var/lib/edge-relink"
[relink]
port = {port}
[[relink.boxes]]
alias = "ward3"
ae_title = "EDGE"
hosts = ["127.0.0.1"]
[relink.pacs]
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {pacs}
"""


def test_the_gateway_on_a_machine_of_its_own_files_a_report(
    installed: Installed, orthanc: Orthanc, folder: Path
) -> None:
    """From the same bundle; as closed as deliver, its port kept by PID 1 over a `kill -9`."""
    machine, port = installed.machine, free_port()
    image, report = folder / "first.dcm", _report_on(installed, folder / "first.dcm")
    subprocess.run([tool("storescu"), "127.0.0.1", str(orthanc.port), str(image)], check=True, timeout=60)
    machine.write("/etc/edge/edge.toml", [GATEWAY.format(port=port, pacs=orthanc.port)])
    machine.run("sh", "-c", f"{ONE_LINE} --relink || :", network=False)
    assert machine.show("edge-relink.service", "SubState") == "running", machine.run("journalctl", "-n", "60", "-q")
    said = machine.run("systemd-analyze", "security", "--no-pager", "edge-relink.service")
    assert float(said.split("Overall exposure level")[1].split()[2]) <= 0.9, said

    machine.run("kill", "-KILL", machine.show("edge-relink.service", "MainPID"))
    command = [tool("storescu"), "-R", "-aet", "EDGE", "-aec", "RELINK", "127.0.0.1", str(port), str(report)]
    subprocess.run(command, check=True, timeout=60)
    patients = {each["PatientMainDicomTags"]["PatientID"] for each in orthanc.get("/studies?expand")}
    assert patients == {str(dcmread(image).PatientID)}
    assert len(orthanc.sop_instance_uids()) == 2
    assert not machine.path("/var/lib/edge").exists()


def _report_on(installed: Installed, image: Path) -> Path:
    """The archive's report on `image`: nobody's, as it left the box."""
    wanted = str(dcmread(image).SOPInstanceUID)
    return next(path for path in installed.archive.files() if source_of(path) == wanted)
