"""Ways from a JPEG file to a score. Each is a context manager that yields a function `jpeg -> score`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge import part10
from edge.demo import house, inputs, wrap
from edge.demo.archive import Archive
from edge.demo.run import demonstrate
from edge.infer.runtime import Session
from edge.opencv import decode_gray
from edge.packages.registry import Registry
from kernels import GrayscaleTransform, ResamplePlan, frame_to_tensor


@contextmanager
def direct(name: str) -> Iterator[Callable[[bytes], float]]:
    """Kernels and runtime in this process, as the manifest of the package says."""
    package = Registry().resolve(name)
    manifest = package.manifest
    source, output = manifest.inputs[0], manifest.outputs[0]
    steps = source.preprocess
    rows, columns, channels = source.shape[1:] if source.layout == "NHWC" else (*source.shape[2:], source.shape[1])
    session = Session(package.read("model.onnx"), backends=manifest.runtime.backends)

    def score(jpeg: bytes) -> float:
        frame = decode_gray(jpeg)
        tensor = frame_to_tensor(
            frame,
            GrayscaleTransform.full_range(bits_stored=8),
            ResamplePlan(frame.shape, (rows, columns), filter=steps.resize.filter, mode=steps.resize.mode),
            mean=steps.mean if len(steps.mean) > 1 else steps.mean[0],
            std=steps.std if len(steps.std) > 1 else steps.std[0],
            scale=steps.scale,
            channels=channels,
            layout=source.layout,
        )
        return float(session.run({source.tensor: tensor})[output.tensor].ravel()[output.classes[0].index])

    yield score


@contextmanager
def product(name: str) -> Iterator[Callable[[bytes], float]]:
    """Image -> DX object of an invented child -> C-STORE -> box -> report at an archive -> its score.

    A whole box on loopback, the one of `edge demo`. The score is the one in the report, with its decimals.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Archive(Path(folder) / "reports")) as archive,
        house.starting(Path(folder), archive.port, package=name) as starting,
    ):
        running = starting.ready()
        wanted = Registry().resolve(name).digest

        def score(jpeg: bytes) -> float:
            parts = part10.split(wrap.as_dx(decode_gray(jpeg), bits_stored=8))
            (answer,) = demonstrate(
                running, archive, [inputs.Picture("image", parts, wrapped=True)], lambda _text: None
            )
            if answer.view is None or not answer.view.findings:
                raise SystemExit(f"no report with findings: {answer.outcome} {answer.reason}")
            if answer.view.package.digest != wanted:
                raise SystemExit("the report is by another package")
            return float(answer.view.findings[0].score)

        yield score
