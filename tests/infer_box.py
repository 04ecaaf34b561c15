"""A box with an infer room of its own: objects are sealed straight into the spool, packages are made by the test."""

from __future__ import annotations

import io
import itertools
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import package_maker
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from support import wait_until

from edge import keys, rooms
from edge.config import load
from edge.infer.room import Room
from edge.journal import Journal, intake, views
from edge.packages.package import Package
from edge.packages.registry import Registry
from edge.records import UID, Instance
from edge.vault import Sealer
from edge.wake import Ringer

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
TOML = """
[box]
root = "root"
[receive]
port = 0
[infer]
workers = {workers}
attempts = {attempts}
[[routes]]
name = "chest"
package = "{package}"
when = {{ Modality = ["DX"] }}
deliver = ["archive"]
send = ["succeeded", "partial", "failed", "not-attempted"]
max_study_age_days = 36500
[destinations.archive]
kind = "deidentified"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = 11113
"""


def encoded(dataset: Dataset) -> bytes:
    """The data set alone, Explicit VR Little Endian."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, dataset)
    return bytes(stream.getvalue())


def made_package(folder: Path, **changes: Any) -> Package:
    """The brightness package on frames of any size, its limits wide enough for a busy machine."""
    manifest: dict[str, Any] = {"limits": {"memory_mib": 256, "seconds": 20.0}, **changes}
    return package_maker.make(folder, manifest.pop("members", None), **manifest)


class InferBox:
    """Give it packages by name; `start` runs the room in a thread, with real worker processes."""

    def __init__(self, folder: Path, packages: Mapping[str, Package], toml: str = TOML, **words: Any) -> None:
        folder.mkdir(exist_ok=True)
        file = folder / "edge.toml"
        defaults = {"package": next(iter(packages), "none"), "workers": 1, "attempts": 3}
        file.write_text(toml.format(**{**defaults, **words}))
        self.settings = load(file)
        rooms.make_root(self.settings)
        self.journal = Journal(self.settings.journal)
        self._registry = Registry(dict(packages))
        self._sealer = Sealer(
            self.settings.spool, keys.load(self.settings.keys, "seal.pub"), keys.load(self.settings.keys, "tag.key")
        )
        self._numbers = itertools.count(1)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self.room = Room(self.settings, self._registry)
        self.ringer = Ringer(self.settings.run)

    def start(self) -> InferBox:
        """The room, running."""
        self.room.start()
        self._thread = threading.Thread(target=self.room.run, args=(self._stopping,))
        self._thread.start()
        return self

    def stop(self) -> None:
        """The room has ended and let go of everything."""
        if self._stopped:
            return
        self._stopped = True
        if self._thread is not None:
            self._stopping.set()
            self.room.wake()
            self._thread.join(60)
            self._thread = None
            self.room.stop()
        self.ringer.close()
        self._sealer.slots.close()
        self.journal.close()

    def store(
        self, data: Dataset | bytes, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN, peer: str = "test", **fields: Any
    ) -> Instance:
        """Seal and record an object as the receive room does, and ring."""
        dataset = data if isinstance(data, Dataset) else Dataset()
        blob = encoded(data) if isinstance(data, Dataset) else data
        number = next(self._numbers)
        writer = self._sealer.writer(UID(syntax), lambda _: self._sealer.study_key())
        stream = io.BytesIO(blob)
        while (count := stream.readinto(writer.free())) > 0:
            writer.advance(count)
        instance = writer.finish(
            lambda object_id, tag, size, slot: Instance(
                object_id=object_id,
                sop_instance_uid=UID(str(dataset.get("SOPInstanceUID", f"2.25.1{number}"))),
                sop_class_uid=UID(str(dataset.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1"))),
                study_instance_uid=UID(str(dataset.get("StudyInstanceUID", f"2.25.2{number}"))),
                series_instance_uid=UID(str(dataset.get("SeriesInstanceUID", f"2.25.3{number}"))),
                transfer_syntax_uid=UID(syntax),
                modality=str(dataset.get("Modality", "DX")),
                peer=peer, association=f"{1:032x}", tag=tag, size=size, slot=slot, received_at=time.time(), **fields,
            )
        )  # fmt: skip
        self._sealer.slots.flush()
        intake.store(self.journal, [instance], refuse_conflicts=False)
        self.ringer.ring("infer")
        return instance

    def job(self, instance: Instance, seconds: float = 60.0) -> views.JobView:
        """The newest job on `instance`, once it has ended."""

        def ended() -> views.JobView | None:
            found = [each for each in views.jobs(self.journal) if each.unit == instance.sop_instance_uid]
            return found[0] if found and found[0].state in ("DONE", "QUARANTINED") else None

        return wait_until(ended, seconds, "the end of the job")

    def instance_state(self, instance: Instance) -> str:
        """`STATE` or `STATE reason`."""
        row = self.journal.database.row("SELECT state, reason FROM instance WHERE object_id = ?", (instance.object_id,))
        assert row is not None
        return f"{row['state']} {row['reason']}".strip()
