"""`edge models try`: one local file through a package, exactly as a box would do it, without a hospital.

In: a package and a DICOM, JPEG or PNG file. Out: findings or the reason why not, and on request a PNG of what the
network sees. A JPEG or PNG becomes the X-ray of an invented child first, so that the same rules apply. The model
runs in the infer room's own worker process; only the PNG is made in this one.
"""

from __future__ import annotations

import datetime
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.config.infer import Infer
from edge.demo import inputs
from edge.errors import BadObject
from edge.infer.decode import decode
from edge.infer.header import read_header
from edge.infer.pipeline import Verdict, look, stopped
from edge.infer.pixels import describe
from edge.infer.preprocess import prepare
from edge.infer.process import Worker, load_model
from edge.infer.protocol import Answer
from edge.infer.refusal import Refusal
from edge.opencv import encode_png
from edge.packages.manifest import Input
from edge.packages.package import Package
from edge.part10 import Part10
from edge.records import Finding


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one file. `reason` is empty when the model looked at it."""

    file: str
    outcome: str
    reason: str
    findings: tuple[Finding, ...]
    provider: str
    milliseconds: dict[str, float]
    png: str = ""

    def sentence(self) -> str:
        """One line for a person."""
        if self.reason:
            return f"{self.file}: {self.outcome}, {self.reason}"
        found = ", ".join(
            f"{each.code.meaning} {'detected' if each.present else 'not detected'}"
            f" (score {each.score:.4f}, threshold {each.threshold:.4f})"
            for each in self.findings
        )
        return f"{self.file}: {found}"


class Bench:
    """One package with its worker, for any number of files. A context manager."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._most = Infer().max_frame_mib << 20
        self._model = load_model(package, package.manifest.runtime.backends, self._most)
        self._worker = Worker(self._model)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.kill()
        os.close(self._model.descriptor)

    def attempt(self, path: Path, pictures: Path | None = None) -> Attempt:
        """Look at the file at `path`; with `pictures`, write what the network sees as a PNG into that folder.

        Raises
        ------
        BadObject
            If it is neither DICOM nor a picture.
        """
        parts = inputs.read(path).parts
        if parts is None:
            raise BadObject("this is neither DICOM nor a picture", which=path.name, hint="give DICOM, JPEG or PNG")
        try:
            dataset = read_header(parts.data_set, parts.transfer_syntax_uid).dataset
        except Refusal as refusal:
            verdict = stopped(refusal.reason)
        else:
            today = datetime.datetime.now(datetime.UTC).date()
            verdict = look(self._package.manifest, dataset, today, lambda: self._evaluate(parts))
        png = self._picture(path, parts, pictures) if pictures is not None and not verdict.reason else ""
        return _attempt(path, verdict, png)

    def _evaluate(self, parts: Part10) -> tuple[Answer, str]:
        if not self._worker.is_alive:
            self._worker = Worker(self._model)
        descriptor = os.memfd_create("image", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(parts.data_set)
            answer = self._worker.run(descriptor, len(parts.data_set), parts.transfer_syntax_uid)
        finally:
            os.close(descriptor)
        return answer, self._worker.provider

    def _picture(self, path: Path, parts: Part10, folder: Path) -> str:
        """The first input tensor, as the network gets it, undone to 0..255."""
        header = read_header(io.BytesIO(parts.data_set), parts.transfer_syntax_uid)
        frame = decode(header, describe(header.dataset), parts.transfer_syntax_uid, max_bytes=self._most)
        entry = self._package.manifest.inputs[0]
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{path.stem}.png"
        target.write_bytes(encode_png(shown(prepare(frame, header.dataset, entry), entry)))
        return str(target)


def shown(tensor: npt.NDArray[np.float32], entry: Input) -> npt.NDArray[np.uint8]:
    """A tensor as a picture: normalisation undone, (rows, columns) or (rows, columns, 3), 255 is white."""
    picture = tensor[0].transpose(1, 2, 0) if entry.layout == "NCHW" else tensor[0]
    steps = entry.preprocess
    display = (picture * np.array(steps.std) + np.array(steps.mean)) / steps.scale
    levels: npt.NDArray[np.uint8] = np.rint(np.clip(display, 0.0, 1.0) * 255).astype(np.uint8)
    return levels[:, :, 0] if levels.shape[2] == 1 else levels


def _attempt(path: Path, verdict: Verdict, png: str) -> Attempt:
    return Attempt(
        path.name,
        verdict.outcome.value,
        verdict.reason,
        verdict.findings,
        verdict.provider,
        dict(verdict.milliseconds),
        png,
    )
