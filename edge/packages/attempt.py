"""`edge models try`: one local file through a package, exactly as a box would do it, without a hospital.

In: a package and a DICOM, JPEG or PNG file. Out: findings or the reason why not, and on request a PNG of what the
network sees. A JPEG or PNG becomes the X-ray of an invented child first, so that the same rules apply. The model
runs in the infer room's own worker process; only the PNG is made in this one.
"""

from __future__ import annotations

import datetime
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from edge.config.infer import Infer
from edge.demo import inputs
from edge.errors import BadObject
from edge.infer.decode import decode
from edge.infer.gather import page
from edge.infer.header import read_header, values
from edge.infer.pipeline import Verdict, look, stopped
from edge.infer.pixels import describe
from edge.infer.postprocess import mask_bytes
from edge.infer.preprocess import prepare
from edge.infer.process import Worker, load_model
from edge.infer.protocol import Answer, Piece, Run
from edge.infer.refusal import Refusal
from edge.opencv import encode_png
from edge.packages.manifest import Input
from edge.packages.package import Package
from edge.part10 import Part10
from edge.records import Code, Finding, Measurement, Scope, Segment


@dataclass(frozen=True, slots=True)
class SegmentSize:
    """How much of the images is of a segment."""

    code: Code
    pixels: int


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
    measurements: tuple[Measurement, ...] = ()
    segments: tuple[SegmentSize, ...] = ()

    def sentence(self) -> str:
        """One line for a person."""
        if self.reason:
            return f"{self.file}: {self.outcome}, {self.reason}"
        found = ", ".join(
            f"{each.code.meaning} {'detected' if each.present else 'not detected'}"
            f" (score {each.score:.4f}, threshold {each.threshold:.4f})"
            for each in self.findings
        )
        measured = [f"{each.code.meaning} {each.value:g} {each.unit.value}" for each in self.measurements]
        marked = [f"{each.code.meaning} {each.pixels} pixels" for each in self.segments]
        return f"{self.file}: {', '.join(([found] if found else []) + measured + marked)}"


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    path: Path
    parts: Part10
    dataset: Dataset | None


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

    def attempts(self, paths: Sequence[Path], pictures: Path | None = None) -> Iterator[Attempt]:
        """Look at the files, unit by unit; with `pictures`, write what the network sees of each into that folder.

        Raises
        ------
        BadObject
            If one is neither DICOM nor a picture.
        """
        for unit in self._units([_read(path) for path in paths]).values():
            yield self._attempt(unit, pictures)

    def attempt(self, path: Path, pictures: Path | None = None) -> Attempt:
        """As `attempts`, of one file."""
        return next(self.attempts([path], pictures))

    def _units(self, files: list[_File]) -> dict[str, list[_File]]:
        """The files of each image, series or study, whichever the package looks at."""
        keyword = {Scope.SERIES: "SeriesInstanceUID", Scope.STUDY: "StudyInstanceUID"}.get(self._package.manifest.scope)
        units: dict[str, list[_File]] = {}
        for number, file in enumerate(files):
            shared = values(file.dataset, keyword) if keyword and file.dataset is not None else ()
            units.setdefault(shared[0] if shared else f"file {number}", []).append(file)
        return units

    def _attempt(self, files: list[_File], pictures: Path | None) -> Attempt:
        datasets = [file.dataset for file in files if file.dataset is not None]
        manifest = self._package.manifest
        if len(datasets) < len(files):
            verdict = stopped("unreadable")
        else:
            today = datetime.datetime.now(datetime.UTC).date()
            verdict = look(manifest, datasets, today, lambda images: self._evaluate(files, datasets, images))
        png = ""
        if pictures is not None and not verdict.reason and manifest.inputs:
            png = self._picture(files[verdict.images[0]], pictures)
        return _attempt([file.path for file in files], verdict, png)

    def _evaluate(self, files: list[_File], datasets: list[Dataset], images: tuple[int, ...]) -> tuple[Answer, str]:
        if not self._worker.is_alive:
            self._worker = Worker(self._model)
        try:
            masks = mask_bytes(self._package.manifest, [datasets[image] for image in images])
        except Refusal as refusal:
            return Answer(reason=refusal.reason), ""
        descriptor, run = _shared([files[image].parts for image in images], masks)
        try:
            answer = self._worker.run(descriptor, run)
        finally:
            os.close(descriptor)
        return answer, self._worker.provider

    def _picture(self, file: _File, folder: Path) -> str:
        """The first input tensor of the unit's first image, as the network gets it, undone to 0..255."""
        header = read_header(io.BytesIO(file.parts.data_set), file.parts.transfer_syntax_uid)
        frame = decode(header, describe(header.dataset), file.parts.transfer_syntax_uid, max_bytes=self._most)
        entry = self._package.manifest.inputs[0]
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{file.path.stem}.png"
        target.write_bytes(encode_png(shown(prepare(frame, header.dataset, entry), entry)))
        return str(target)


def _shared(objects: Sequence[Part10], mask_bytes: int) -> tuple[int, Run]:
    """Data sets in anonymous memory, as the room gives them to a worker."""
    pieces, end = [], 0
    for each in objects:
        pieces.append(Piece(end, len(each.data_set), each.transfer_syntax_uid))
        end = page(end + len(each.data_set))
    run = Run(tuple(pieces), end, end + mask_bytes)
    descriptor = os.memfd_create("unit", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, run.end)
    with open(descriptor, "r+b", closefd=False) as memory:
        for each, piece in zip(objects, pieces, strict=True):
            memory.seek(piece.offset)
            memory.write(each.data_set)
    return descriptor, run


def _read(path: Path) -> _File:
    parts = inputs.read(path).parts
    if parts is None:
        raise BadObject("this is neither DICOM nor a picture", which=path.name, hint="give DICOM, JPEG or PNG")
    try:
        return _File(path, parts, read_header(parts.data_set, parts.transfer_syntax_uid).dataset)
    except Refusal:
        return _File(path, parts, None)


def shown(tensor: npt.NDArray[np.float32], entry: Input) -> npt.NDArray[np.uint8]:
    """A tensor as a picture: normalisation undone, (rows, columns) or (rows, columns, 3), 255 is white."""
    picture = tensor[0].transpose(1, 2, 0) if entry.layout == "NCHW" else tensor[0]
    steps = entry.preprocess
    display = (picture * np.array(steps.std) + np.array(steps.mean)) / steps.scale
    levels: npt.NDArray[np.uint8] = np.rint(np.clip(display, 0.0, 1.0) * 255).astype(np.uint8)
    return levels[:, :, 0] if levels.shape[2] == 1 else levels


def _attempt(paths: list[Path], verdict: Verdict, png: str) -> Attempt:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return Attempt(
        f"{paths[0].name}{more}",
        verdict.outcome.value,
        verdict.reason,
        verdict.findings,
        verdict.provider,
        dict(verdict.milliseconds),
        png,
        verdict.measurements,
        tuple(SegmentSize(each.code, pixels(each)) for each in verdict.segments),
    )


def pixels(segment: Segment) -> int:
    """How many stored pixels a segment has."""
    return sum(int.from_bytes(mask.bits, "little").bit_count() for mask in segment.masks)
