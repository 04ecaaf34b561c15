"""A unit in the worker: its images parsed, its frames decoded and prepared, handed to the model batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from edge.infer import slices, tables, volume
from edge.infer.applicability import check_statistics
from edge.infer.decode import frames
from edge.infer.frames import Shot, attributes, shots
from edge.infer.header import Header, number, read_header, values
from edge.infer.pixels import Frame, Pixels, describe
from edge.infer.preprocess import polarity_of, prepared, resampling, statistics
from edge.infer.refusal import Refusal
from edge.infer.steps import told
from edge.packages.manifest import Input, Manifest
from kernels import ResamplePlan, VolumeGrid

Array = npt.NDArray[np.generic]
Ended = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Input tensors of one run. `shots`: whose frames are in its places; `place`: where a tile begins."""

    inputs: dict[str, Array]
    shots: tuple[int, ...] = ()
    place: volume.Place = (0, 0, 0)
    last: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Image:
    header: Header
    pixels: Pixels
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """The volume that a model sees, and the frames it came from in order of the slices."""

    grid: VolumeGrid
    shots: tuple[int, ...]
    values: npt.NDArray[np.float32] = field(repr=False)


class Unit:
    """The images of a unit, in the order that the room chose."""

    def __init__(
        self,
        streams: Sequence[tuple[BinaryIO, str]],
        manifest: Manifest,
        *,
        max_frame_bytes: int,
        max_unit_bytes: int,
    ) -> None:
        """Parse every image.

        Raises
        ------
        Refusal
            If one cannot be parsed, has no pixels, or pixels that contradict themselves.
        """
        self._manifest = manifest
        self._most_frame = max_frame_bytes
        self._most = max_unit_bytes
        self._images = [_image(data, syntax) for data, syntax in streams]
        self.datasets = [image.header.dataset for image in self._images]
        self.shots = seen(self.datasets, manifest)
        self.solid: Solid | None = None
        self.alignments: list[tuple[float, ...]] = []
        self.statistics: dict[str, float] = {}

    def batches(self, ended: Ended) -> Iterator[Batch]:
        """What the model is run on, one batch after the other; `ended` hears of each stage.

        Raises
        ------
        Refusal
            When the unit is not what the manifest describes.
        """
        further: dict[str, Array] = {
            table.tensor: tables.tabulate(self.datasets[0], table) for table in self._manifest.tables
        }
        if self._manifest.volumes:
            yield from self._tiles(further, ended)
        elif self._manifest.takes_many:
            yield from self._sequence(self._manifest.inputs[0], further, ended)
        else:
            single = {entry.tensor: self._one(entry, ended) for entry in self._manifest.inputs}
            yield Batch({**single, **further}, (0,))

    def plan(self, shot: int) -> ResamplePlan:
        """How the frame `shot` became the first input tensor."""
        return plan(self.datasets, self.shots[shot], self._manifest.inputs[0])

    def _one(self, entry: Input, ended: Ended) -> Array:
        found = shots(self.datasets, entry.select)
        if len({shot.image for shot in found}) != 1:
            raise Refusal("images-missing", "not exactly one image is the one that an input takes")
        if len(found) > 1:
            # one frame of many is not what a package of single frames declares itself for
            raise Refusal("unsupported-pixels", "the object has several frames")
        image = self._images[found[0].image]
        frame = next(frames(image.header, image.pixels, image.transfer_syntax_uid, max_bytes=self._most_frame))
        ended("decode")
        return self._prepared(frame, found[0], entry, ended)

    def _sequence(self, entry: Input, further: dict[str, Array], ended: Ended) -> Iterator[Batch]:
        if not self.shots:
            raise Refusal("images-missing", "no image is one that the input takes")
        tensors: list[Array] = []
        for index, (shot, frame) in enumerate(self._decoded(ended)):
            tensors.append(self._prepared(frame, shot, entry, ended))
            last = index == len(self.shots) - 1
            if len(tensors) == entry.shape[0] or last:
                begin = index + 1 - len(tensors)
                # places left over in the last batch repeat its last frame; their answers are not looked at
                tensors += [tensors[-1]] * (entry.shape[0] - len(tensors))
                stacked = tensors[0] if len(tensors) == 1 else np.concatenate(tensors)
                yield Batch({entry.tensor: stacked, **further}, tuple(range(begin, index + 1)), last=last)
                tensors = []

    def _decoded(self, ended: Ended) -> Iterator[tuple[Shot, Frame]]:
        """Every frame of the unit, one after the other."""
        for image, item in enumerate(self._images):
            own = [shot for shot in self.shots if shot.image == image]
            if own:
                pixels = frames(item.header, item.pixels, item.transfer_syntax_uid, max_bytes=self._most_frame)
                for shot in own:
                    frame = next(pixels)
                    ended("decode")
                    yield shot, frame

    def _prepared(self, frame: Frame, shot: Shot, entry: Input, ended: Ended) -> Array:
        dataset, rules = attributes(self.datasets[shot.image], shot), self._manifest.applicability
        ready = prepared(frame, dataset, entry)
        polarity = {"Polarity": polarity_of(frame, dataset)} if "Polarity" in rules else {}
        measured = statistics(ready.tensor)
        self.statistics = self.statistics or measured
        reason = check_statistics(rules, measured | polarity)
        if reason:
            raise Refusal(reason, "the prepared input is outside the package's rules")
        if entry is self._manifest.inputs[0]:
            self.alignments.append(() if entry.preprocess.align.is_off else told(ready.alignment))
        ended("prepare")
        return ready.tensor

    def _tiles(self, further: dict[str, Array], ended: Ended) -> Iterator[Batch]:
        entry = self._manifest.volumes[0]
        self.solid = self._whole(ended)
        places = volume.places(self.solid.values.shape, entry)
        for index, place in enumerate(places):
            tensor = volume.tile(self.solid.values, place, entry)
            if index == 0:
                self.statistics = statistics(tensor)
                reason = check_statistics(self._manifest.applicability, self.statistics)
                if reason:
                    raise Refusal(reason, "the prepared input is outside the package's rules")
            ended("prepare")
            yield Batch({entry.tensor: tensor, **further}, (), place, last=index == len(places) - 1)

    def _whole(self, ended: Ended) -> Solid:
        """The stored slices as a resampled volume."""
        flat = [attributes(self.datasets[shot.image], shot) for shot in self.shots]
        stack = slices.stacked([slices.plane(each) for each in flat])
        rows, columns = self._even_size()
        grid = volume.grid(stack, rows, columns, self._manifest.volumes[0])
        classes = max((len(output.segments) for output in self._manifest.outputs), default=0)
        stored_bytes, seen_bytes = (4 * int(np.prod(shape, dtype=object)) for shape in (grid.shape, grid.out_shape))
        if stored_bytes > self._most or seen_bytes * (2 + classes) > self._most:
            raise Refusal("too-large", "the volume is larger than the box looks at")
        position = {shot: at for at, shot in enumerate(stack.order)}
        stored: npt.NDArray[Any] | None = None
        for index, (_, frame) in enumerate(self._decoded(ended)):
            if frame.array.ndim != 2 or frame.photometric_interpretation != "MONOCHROME2":
                raise Refusal("unsupported-pixels", "a volume is of gray values")
            if stored is None:
                stored = np.empty(grid.shape, frame.array.dtype)
            if stored.dtype != frame.array.dtype:
                raise Refusal("uneven-slices", "the slices have different pixels")
            stored[position[index]] = frame.array
        assert stored is not None
        slopes = [_slope(flat[shot]) for shot in stack.order]
        return Solid(grid, stack.order, volume.resampled(stored, slopes, grid, self._manifest.volumes[0]))

    def _even_size(self) -> tuple[int, int]:
        sizes = {(self._images[shot.image].pixels.rows, self._images[shot.image].pixels.columns) for shot in self.shots}
        if len(sizes) != 1:
            raise Refusal("uneven-slices", "the slices have different sizes")
        return sizes.pop()


def seen(datasets: Sequence[Dataset], manifest: Manifest) -> list[Shot]:
    """The frames that the first input, or the volume, is of: what room and worker count by. Raises Refusal."""
    return shots(datasets, manifest.inputs[0].select if manifest.inputs else {})


def plan(datasets: Sequence[Dataset], shot: Shot, entry: Input) -> ResamplePlan:
    """How the frame `shot` becomes the tensor of `entry`. Raises Refusal (`bad-output`)."""
    dataset = attributes(datasets[shot.image], shot)
    try:
        return resampling((number(dataset, "Rows", 0), number(dataset, "Columns", 0)), dataset, entry)
    except ValueError:
        raise Refusal("bad-output", "what was found cannot be laid over the image") from None


def _image(data: BinaryIO, transfer_syntax_uid: str) -> _Image:
    header = read_header(data, transfer_syntax_uid)
    if not header.is_whole:
        raise Refusal("no-pixel-data", "the object has no pixel data")
    return _Image(header, describe(header.dataset), transfer_syntax_uid)


def _slope(dataset: Dataset) -> volume.Slope:
    if "ModalityLUTSequence" in dataset:
        raise Refusal("unsupported-pixels", "a volume behind a modality table is not offered")
    numbers = [float(next(iter(values(dataset, keyword)), default)) for keyword, default in
               (("RescaleSlope", "1"), ("RescaleIntercept", "0"))]  # fmt: skip
    return volume.Slope(numbers[0], numbers[1])
