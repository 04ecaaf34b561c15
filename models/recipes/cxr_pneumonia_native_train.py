"""Trains the network of models/cxr-pneumonia-native on one processor core, and writes it as an ONNX graph.

    .venv-torch/bin/python models/recipes/cxr_pneumonia_native_train.py --out native.onnx --scores native.json

Needs `torch==2.13.0`, pillow and onnx in a virtual environment of its own; the appliance never needs them. In: the
original *train* split of both image sets, without any person number that the test split has. Out: the graph, and the
scores of the validation patients, from which the threshold is chosen. Seed, epochs and order are fixed.

The head is a global average behind a 1x1 linear map, so the network has an exact class-activation map. Three things
are done to the training images for the map's and for real radiographs' sake: the picture is stretched, cropped and
framed in black (proportions must not matter much); letters and lines are drawn that mean nothing; and soft
opacities are planted into some healthy lungs, called ill, where a second term asks that the map peaks inside them.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from pathlib import Path

import images
import numpy as np
import torch
from cxr_pneumonia_native_split import SEED, VALIDATION_SHARE
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

SIDE, MARGIN = 144, 160
EPOCHS, BATCH = 16, 32
PLANTED_SHARE, PEAK_WEIGHT = 0.25, 0.15


class Normalise(nn.Module):
    """Each picture to zero mean and unit spread: what the window makes of brightness and contrast matters less."""

    def forward(self, picture: Tensor) -> Tensor:
        centred = picture - picture.mean((2, 3), keepdim=True)
        return centred / torch.sqrt((centred * centred).mean((2, 3), keepdim=True) + 1e-3)


class Residual(nn.Module):
    """A dilated 3x3 convolution beside the identity: sight of the whole lung without losing the grid of 18 x 18."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.branch = convolution(channels, channels, 3, dilation=dilation)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.branch(features)


def convolution(fan_in: int, fan_out: int, size: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(fan_in, fan_out, size, stride, padding, dilation, bias=False), nn.BatchNorm2d(fan_out), nn.ReLU()
    )


class Network(nn.Module):
    """(N, 1, 144, 144), 1 is white -> one logit, from 96 features on a grid of 18 x 18."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Normalise(),
            convolution(1, 12, 5, stride=2),
            nn.MaxPool2d(2),
            convolution(12, 24, 3),
            convolution(24, 48, 3, stride=2),
            *(Residual(48, dilation) for dilation in (1, 2, 4)),
            convolution(48, 96, 1),
        )
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(96, 1)

    def forward(self, picture: Tensor) -> Tensor:
        return self.head(self.dropout(self.body(picture).mean((2, 3))))

    def with_map(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Logit (N,) and class-activation map (N, 18, 18)."""
        features = self.body(picture)
        logit = self.head(self.dropout(features.mean((2, 3))))[:, 0]
        return logit, functional.conv2d(features, self.head.weight[:, :, None, None])[:, 0]


class Answer(nn.Module):
    """What is exported: the score."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> Tensor:
        return torch.sigmoid(self.network(picture))


def load() -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (n, 1, 160, 160) as uint8, truth (n,), and which are kept for validation (n,)."""
    allowed = set(images.persons_to_learn_from())
    held = images.held_back(allowed, SEED, VALIDATION_SHARE)
    pictures, truth, validation = [], [], []
    for name in ("cxr224", "cxr256_aspect"):
        for image in images.read(name, "train"):
            if image.patient not in allowed:
                continue
            gray = Image.open(io.BytesIO(image.jpeg)).convert("L").resize((MARGIN, MARGIN), Image.Resampling.BOX)
            pictures.append(np.asarray(gray))
            truth.append(image.pneumonia)
            validation.append(image.patient in held)
    return torch.from_numpy(np.stack(pictures))[:, None], torch.tensor(truth).float(), torch.tensor(validation)


def moved(pictures: Tensor, chance: torch.Generator) -> Tensor:
    """Each picture turned, stretched, shifted, perhaps mirrored; what lies outside is black, as in a letterbox."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(len(pictures), generator=chance) * (high - low) + low

    angle = torch.deg2rad(uniform(-8, 8))
    zoom, stretch = uniform(0.85, 1.12), torch.exp(uniform(-0.22, 0.22))
    across = zoom * stretch * torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    down = zoom / stretch
    theta = torch.stack(
        [
            torch.stack([across * torch.cos(angle), -down * torch.sin(angle), uniform(-0.08, 0.08)], 1),
            torch.stack([across * torch.sin(angle), down * torch.cos(angle), uniform(-0.08, 0.08)], 1),
        ],
        1,
    )
    grid = functional.affine_grid(theta, [len(pictures), 1, SIDE, SIDE], align_corners=False)
    return functional.grid_sample(pictures, grid, align_corners=False)


def toned(pictures: Tensor, chance: torch.Generator) -> Tensor:
    """Another gamma and contrast, some blur, some noise."""

    def uniform(low: float, high: float) -> Tensor:
        return (torch.rand(len(pictures), generator=chance) * (high - low) + low)[:, None, None, None]

    soft = functional.avg_pool2d(pictures, 3, 1, 1)
    pictures = torch.lerp(pictures, soft, (uniform(-1, 1).clamp(min=0)))
    pictures = pictures.clamp(1e-4, 1) ** torch.exp(uniform(-0.35, 0.35))
    pictures = pictures * uniform(0.8, 1.2) + uniform(-0.08, 0.08)
    noise = torch.randn(pictures.shape, generator=chance) * uniform(0, 0.03)
    return (pictures + noise).clamp(0, 1)


def planted(pictures: Tensor, which: Tensor, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The pictures with a soft opacity in each of `which`, and where it is (n, 144, 144)."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    masks = np.zeros((len(pictures), SIDE, SIDE), np.float32)
    strength = np.zeros((len(pictures), 1, 1), np.float32)
    for index in which.nonzero().ravel().tolist():
        left = chance.uniform(0.16, 0.42)
        centre = (chance.uniform(0.22, 0.76), left if chance.random() < 0.5 else 1 - left)
        radii, turn = chance.uniform(0.06, 0.16, 2), chance.uniform(0, np.pi)
        y, x = rows - centre[0], columns - centre[1]
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        distance = np.hypot(u / radii[0], v / radii[1]) + 0.15 * np.sin(3 * np.arctan2(v, u) + turn)
        masks[index] = 1 / (1 + np.exp((distance - 1) * chance.uniform(4, 12)))
        strength[index] = chance.uniform(0.25, 0.75)
    where = torch.from_numpy(masks)
    mixed = pictures[:, 0] + torch.from_numpy(strength) * where * (0.85 - pictures[:, 0])
    return torch.maximum(mixed, pictures[:, 0])[:, None], where


def lettered(pictures: Tensor, chance: np.random.Generator) -> Tensor:
    """Bright bars and blocks near the edges of some pictures, as side letters, tubes and frames are."""
    for picture in pictures:
        for _ in range(chance.integers(0, 4)):
            height, width = chance.integers(2, 14, 2)
            near = chance.integers(0, 26), chance.integers(0, SIDE - 14)
            top, left = near if chance.random() < 0.5 else near[::-1]
            top, left = (SIDE - 14 - p if chance.random() < 0.5 else p for p in (top, left))
            top, left = max(0, top), max(0, left)
            picture[0, top : top + height, left : left + width] = chance.uniform(0.75, 1.0)
    return pictures


def train(pictures: Tensor, truth: Tensor) -> Network:
    """The averaged network after the last epoch: no epoch is chosen by its result."""
    torch.manual_seed(SEED)
    chance, dice = torch.Generator().manual_seed(SEED), np.random.default_rng(SEED)
    network = Network()
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995), use_buffers=True
    )
    steps = len(truth) // BATCH
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=EPOCHS * steps, pct_start=0.2)
    weight = torch.where(truth > 0, len(truth) / (2 * truth.sum()), len(truth) / (2 * (1 - truth).sum()))
    started = time.process_time()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(truth), generator=chance)
        total = 0.0
        for step in range(steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            total += _step(network, pictures[chosen], truth[chosen], weight[chosen], chance, dice, optimiser)
            schedule.step()
            average.update_parameters(network)
        print(f"epoch {epoch}: loss {total / steps:.3f}, {time.process_time() - started:.0f} s", file=sys.stderr)
    result: Network = average.module
    return result.eval()


def _step(
    network: Network,
    pictures: Tensor,
    truth: Tensor,
    weight: Tensor,
    chance: torch.Generator,
    dice: np.random.Generator,
    optimiser: torch.optim.Optimizer,
) -> float:
    network.train()
    batch = moved(pictures.float() / 255, chance)
    which = (truth == 0) & (torch.rand(len(truth), generator=chance) < PLANTED_SHARE)
    batch, where = planted(batch, which, dice)
    batch = toned(lettered(batch, dice), chance)
    wanted = torch.where(which, torch.ones_like(truth), truth) * 0.94 + 0.03
    logit, heat = network.with_map(batch)
    loss = functional.binary_cross_entropy_with_logits(logit, wanted, weight)
    if which.any():
        inside = functional.avg_pool2d(where[which], 8).flatten(1)
        spread = functional.log_softmax(heat[which].flatten(1), 1)
        loss = loss - PEAK_WEIGHT * (spread * inside / inside.sum(1, keepdim=True)).sum(1).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def scores(network: Network, pictures: Tensor) -> np.ndarray:
    """The score of each picture as the box sees it: squashed, averaged, nothing else."""
    with torch.inference_mode():
        shown = functional.interpolate(pictures.float() / 255, (SIDE, SIDE), mode="area")
        return torch.cat([torch.sigmoid(network(part))[:, 0] for part in shown.split(64)]).numpy()


def export(network: Network, path: Path) -> None:
    """Opset 17, a batch of one."""
    torch.onnx.export(
        Answer(network).eval(),
        (torch.zeros(1, 1, SIDE, SIDE),),
        path,
        opset_version=17,
        input_names=["image"],
        output_names=["score"],
        dynamo=False,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True, help="what the validation patients got, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pictures, truth, held = load()
    print(f"{int((~held).sum())} pictures to learn from, {int(held.sum())} to validate", file=sys.stderr)
    network = train(pictures[~held], truth[~held])
    export(network, arguments.out)
    record = {
        "seed": SEED,
        "epochs": EPOCHS,
        "parameters": sum(each.numel() for each in network.parameters()),
        "trained_on": int((~held).sum()),
        "truth": [int(value) for value in truth[held]],
        "scores": [round(float(value), 6) for value in scores(network, pictures[held])],
    }
    arguments.scores.write_text(json.dumps(record) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
