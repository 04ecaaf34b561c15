"""What a worker cannot do, tried from inside one: it meets hostile bytes and a vendor's graph."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from acceptance.objects import chest_dx
from infer_box import EXPLICIT_VR_LITTLE_ENDIAN, encoded, made_package
from support import REPOSITORY

from edge.infer.pool import Pool
from edge.infer.process import Worker, load_model
from edge.infer.protocol import Answer, Channel, Gone, Loaded, Marked, Piece, Preparing, Run, Running, Tensor

ACTS = """
import ctypes, json, os, resource, signal, socket, subprocess, sys
from pathlib import Path
from edge.infer import lockdown

parent = os.getppid()
handle = os.pidfd_open(parent)
queued = ctypes.create_string_buffer((0).to_bytes(8, "little") + (-1).to_bytes(4, "little", signed=True), 128)
held = lockdown.apply(lockdown.software_paths())
import numpy, onnxruntime

def outcome(act):
    try:
        act()
    except BaseException as error:
        return type(error).__name__
    return "DONE"

libc = ctypes.CDLL(None, use_errno=True)

def native(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

secret, folder = sys.argv[1], sys.argv[2]
acts = {
    "read a file of the box": lambda: Path(secret).read_bytes(),
    "list a folder of the box": lambda: os.listdir(folder),
    "write a file": lambda: Path(folder, "new").write_bytes(b"x"),
    "write to /tmp": lambda: Path("/tmp/edge-worker-act").write_bytes(b"x"),
    "write to /dev/shm": lambda: Path("/dev/shm/edge-worker-act").write_bytes(b"x"),
    "open a socket": lambda: socket.socket(),
    "connect": lambda: socket.create_connection(("127.0.0.1", int(sys.argv[3])), 2),
    "open a socket natively": lambda: native(41, 2, 1, 0),
    "open a socket by its x32 number": lambda: native(0x40000000 | 41, 2, 1, 0),
    "ask a name": lambda: socket.getaddrinfo("localhost", 80),
    "run a program": lambda: subprocess.run(["/bin/true"]),
    "run a program natively": lambda: os.execv("/bin/true", ["true"]),
    "read the parent's memory": lambda: open(f"/proc/{os.getppid()}/mem", "rb"),
    "read the parent's environment": lambda: open(f"/proc/{os.getppid()}/environ", "rb").read(),
    "trace the parent": lambda: native(101, 16, os.getppid(), 0, 0),
    "signal the parent": lambda: os.kill(parent, 0),
    "signal all of the group": lambda: os.kill(0, 0),
    "signal the parent's thread": lambda: native(234, parent, parent, 0),
    "signal any thread": lambda: native(200, parent, 0),
    "queue a signal": lambda: native(129, parent, 0, queued),
    "queue a signal for a thread": lambda: native(297, parent, parent, 0, queued),
    "signal by a handle": lambda: signal.pidfd_send_signal(handle, 0),
    "get a handle": lambda: os.pidfd_open(parent),
    "take a file from the parent": lambda: native(438, handle, 0, 0),
    "change the parent's limits": lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE),
}
own = {
    "signal itself": lambda: os.kill(os.getpid(), 0),
    "signal a thread of its own": lambda: native(234, os.getpid(), os.getpid(), 0),
    "change its own limits": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "read its own limits": lambda: resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE),
}
told = {kind: {name: outcome(act) for name, act in acts.items()} for kind, acts in (("acts", acts), ("own", own))}
print(json.dumps({"held": held, **told}), flush=True)
os.abort()
"""


def tried(folder: Path, program: str) -> dict[str, Any]:
    """What came of every act, in a process that at the end aborts."""
    secret = folder / "open.key"
    secret.write_bytes(b"k" * 32)
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", program, str(secret), str(folder), str(server.getsockname()[1])]
        environment = {"PYTHONPATH": str(REPOSITORY), "ORT_DISABLE_TELEMETRY": "1", "PATH": os.defpath}
        ended = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=60, check=False, start_new_session=True
        )
    assert ended.returncode == -signal.SIGABRT, ended.stderr
    said: dict[str, Any] = json.loads(ended.stdout)
    assert set(said["own"].values()) == {"DONE"}, said["own"]
    return said


def test_forbidden_acts(tmp_path: Path) -> None:
    said = tried(tmp_path, ACTS)
    if said["held"] != [True, True]:
        pytest.skip(f"this kernel gives neither Landlock nor seccomp: {said['held']}")
    assert {name for name, outcome in said["acts"].items() if outcome == "DONE"} == set()
    # a kernel without these calls says so by another error: it must be the filter that refuses
    assert said["acts"]["open a socket by its x32 number"] == "PermissionError"


def test_without_landlock_other_processes_are_out_of_reach_too(tmp_path: Path) -> None:
    """Landlock knows signals since Linux 6.12 only."""
    said = tried(tmp_path, f"from edge.infer import lockdown\nlockdown._landlock = lambda *_: False\n{ACTS}")
    if not said["held"][1]:
        pytest.skip("this kernel gives no seccomp")
    words = ("signal", "handle", "limits", "trace", "take")
    found = {name: how for name, how in said["acts"].items() if any(word in name for word in words)}
    assert len(found) == 11
    assert set(found.values()) == {"PermissionError"}, found


@pytest.fixture
def worker_of(tmp_path: Path) -> Any:
    made: list[Worker] = []

    def make(**changes: Any) -> Worker:
        package = made_package(tmp_path / f"p{len(made)}", **changes)
        made.append(Worker(load_model(package, ("cpu",), 1 << 28)))
        return made[-1]

    yield make
    for worker in made:
        worker.kill()


def run(worker: Worker, blob: bytes, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> Answer:
    descriptor = os.memfd_create("test")
    try:
        os.write(descriptor, blob)
        return worker.run(descriptor, Run((Piece(0, len(blob), syntax),)))
    finally:
        os.close(descriptor)


def test_worker_is_locked_in_and_says_only_numbers(worker_of: Any) -> None:
    worker = worker_of()
    answer = run(worker, encoded(chest_dx(np.zeros((9, 9), np.uint8), PatientName="INVENTEDMARKER")))
    assert (answer.reason, answer.error, worker.provider) == ("", "", "CPUExecutionProvider")
    assert b"INVENTEDMARKER" not in msgspec.json.encode(answer)
    status = Path(f"/proc/{worker.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    held = [str(entry.readlink()) for entry in Path(f"/proc/{worker.pid}/fd").iterdir()]
    assert [name for name in held if not name.startswith(("/dev/null", "socket:", "anon_inode"))] == []


def test_hostile_bytes_are_reasons_and_the_worker_lives(worker_of: Any) -> None:
    worker = worker_of()
    whole = encoded(chest_dx(np.zeros((64, 64), np.uint16)))
    generator = np.random.default_rng(5)
    for _ in range(60):
        blob = bytearray(whole[: int(generator.integers(1, len(whole)))])
        for at in generator.integers(0, len(blob), 8):
            blob[at] = int(generator.integers(0, 256))
        answer = run(worker, bytes(blob), str(generator.choice([EXPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2"])))
        assert answer.reason or answer.outputs
    assert run(worker, whole).reason == ""


def test_every_real_file_ends_in_an_answer(worker_of: Any, data: Path) -> None:
    """All decoders at once, in one process, which a crash would end."""
    worker = worker_of()
    reasons = set()
    for path in sorted((data / "dicom" / "files").iterdir()):
        blob = path.read_bytes()
        answer = run(worker, blob[132:] if blob[128:132] == b"DICM" else blob)
        reasons.add(answer.reason)
        assert answer.reason not in ("worker-crashed", "internal"), (path.name, answer.error)
    assert len(reasons) >= 3


def test_model_memory_cannot_be_changed_by_a_worker(tmp_path: Path) -> None:
    model = load_model(made_package(tmp_path / "p"), ("cpu",), 1 << 20)
    with pytest.raises(PermissionError):
        os.pwrite(model.descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(model.descriptor, 1)
    os.close(model.descriptor)


def test_dead_worker_is_replaced_before_anyone_asks(tmp_path: Path) -> None:
    model = load_model(made_package(tmp_path / "p"), ("cpu",), 1 << 28)
    pool = Pool({"p": model}, 1)
    try:
        pool.warm()
        (first,) = pool.pids()
        os.kill(first, 9)
        blob = encoded(chest_dx(np.zeros((9, 9), np.uint8)))
        descriptor = os.memfd_create("test")
        os.write(descriptor, blob)
        whole = Run((Piece(0, len(blob), EXPLICIT_VR_LITTLE_ENDIAN),))
        answers = [pool.evaluate("p", descriptor, whole)[0].reason for _ in range(2)]
        os.close(descriptor)
        assert answers[-1] == ""
        assert first not in pool.pids()
    finally:
        pool.close()
    assert pool.pids() == []


class Liar:
    """A worker's end of the channel, in the hands of someone who took the worker over."""

    def __init__(self, worker: Worker) -> None:
        self.ours, theirs = socket.socketpair()
        worker._channel.close()
        worker._channel = Channel(theirs)
        self.channel = Channel(self.ours)

    def __enter__(self) -> Liar:
        self.channel.send(Loaded(provider="CPUExecutionProvider"))
        return self

    def __exit__(self, *_: object) -> None:
        self.ours.close()


@pytest.mark.parametrize(
    "lie",
    [
        Answer(reason="INVENTED^NAME"),
        Answer(reason="not-applicable:INVENTED"),
        Answer(reason="not-applicable:PatientName"),
        Loaded(provider="INVENTED"),
        Preparing(),
        Answer(masks=(Marked(0, 0, 0, 4096),)),
    ],
)
def test_lies_of_a_worker_end_it_and_reach_nothing(worker_of: Any, lie: Any) -> None:
    worker = worker_of()
    with Liar(worker) as liar:
        liar.channel.send(lie)
        liar.channel.send(Running())
        answer = run(worker, b"x")
    assert answer.reason == "worker-crashed"
    assert not worker.is_alive


def test_what_is_kept_of_an_answer(worker_of: Any) -> None:
    worker = worker_of()
    with Liar(worker) as liar:
        strange = {"INVENTED": Tensor((1,), b"")}
        liar.channel.send(Answer(error="INVENTED NAME", outputs=strange, milliseconds={"INVENTED": 1.0}))
        answer = run(worker, b"x")
    assert b"INVENTED" not in msgspec.json.encode(answer)


def test_message_without_end_is_the_end(worker_of: Any) -> None:
    worker = worker_of()
    with Liar(worker) as liar:
        liar.ours.sendall(b"\xff\xff\xff\xff")
        assert run(worker, b"x").reason == "worker-crashed"


def test_channel_refuses_what_is_no_message() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\x02\0\0\0{}")
        with pytest.raises(Gone):
            Channel(ours).receive(1.0)
        with pytest.raises(TimeoutError):
            Channel(ours).receive(0.01)
