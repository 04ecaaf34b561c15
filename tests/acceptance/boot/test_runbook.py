"""What the runbook tells an administrator to type, on a real boot: metrics, backup, recovery, help from outside."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from installed import Installed
from outside import push, source_uid
from support import wait_until

SCRAPE = """
import socket
with socket.socket(socket.AF_UNIX) as caller:
    caller.settimeout(20)
    caller.connect("/run/edge-metrics.sock")
    caller.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
    print(b"".join(iter(lambda: caller.recv(65536), b"")).decode())
"""


def test_a_collector_reads_the_metrics_and_nothing_else(installed: Installed) -> None:
    machine = installed.machine
    collector = ["setpriv", "--reuid=nobody", "--regid=edge-metrics", "--clear-groups"]
    wait_until(lambda: machine.path("/var/lib/edge/run/metrics.prom").exists(), 60, "infer's first page")
    said = machine.run(*collector, "python3", "-c", SCRAPE)
    assert said.startswith("HTTP/1.0 200 OK")
    assert 'edge_up{room="receive"} 1' in said
    assert machine.run(*collector, "ls", "/var/lib/edge/run", "/var/lib/edge/journal", check=False) == ""
    assert machine.show("edge-metrics.service", "SubState") == "running"
    assert machine.show("edge-metrics.service", "NRestarts") == "0"


def test_a_backup_is_put_back_and_the_rooms_go_on(installed: Installed, xrays: list[Path]) -> None:
    machine = installed.machine
    assert push(installed.port, xrays[:1]) == 1
    installed.archive.wait_for({source_uid(xrays[0])}, 60)
    machine.run("edge", "backup", "/root/box.edgebackup")
    assert push(installed.port, xrays[1:2]) == 1
    installed.archive.wait_for({source_uid(xrays[1])}, 60)

    machine.run("systemctl", "stop", "edge.target", "edge-receive.socket", "edge-deliver.socket")
    machine.run("edge", "restore", "--replace", "/root/box.edgebackup")
    machine.run("systemctl", "start", "edge-receive.socket", "edge-deliver.socket", "edge.target")
    assert push(installed.port, xrays[2:3]) == 1
    installed.archive.wait_for({source_uid(xrays[2])}, 60)
    # the second came after the backup: found in the spool, looked at again, its report the same byte for byte
    jobs = machine.run("edge", "jobs", "list")
    wait_until(lambda: "READY" not in machine.run("edge", "jobs", "list"), 60, "the end of all jobs")
    assert source_uid(xrays[1]) in jobs
    assert installed.archive.sources()[source_uid(xrays[1])] == 1
    assert "OK" in machine.run("edge", "audit", "verify")


def test_a_bundle_for_support_has_the_systems_log_and_names_nobody(installed: Installed) -> None:
    machine = installed.machine
    machine.run("/opt/edge/support-bundle.sh", "/root/support.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(machine.path("/root/support.tar.gz").read_bytes())) as tar:
        texts = {each.name: tar.extractfile(each).read().decode() for each in tar}  # type: ignore[union-attr]
    log = texts["edge-support/log.txt"]
    assert " INFO infer: " in log
    assert "edge-receive.service" in log, "what PID 1 says of the units"
    assert not any("INVENTED" in text or "ARCHIVE" in text for text in texts.values())
