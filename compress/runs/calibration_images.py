"""Images to calibrate a model on where there are none: synthesised by inverting it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from compress.methods import alike, frozen
from compress.replay.buffer import ReplayBuffer
from compress.replay.policies import Uniform, newest
from compress.synthesis.inversion_loss import InversionLoss
from compress.synthesis.objective import Objective
from compress.synthesis.patch_entropy import patch_entropy_weight
from compress.synthesis.patches import patch_layers
from compress.synthesis.pixels import PixelInversion, PixelPlan
from compress.synthesis.targets import Drawn
from compress.task import TaskSpec
from compress.tasks import make_task
from compress.tasks.data import DataSource, LabelledImages
from compress.training.augment import RandomView
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers
from compress.training.progress import Steps
from compress.training.schedules import Constant

IMAGES, BATCH, STEPS = 256, 32, 40
TILE = 128
"""Pixels: larger images are put together of squares of that side, which cost a fraction of whole ones."""
RATE = 0.1
"""DeepInversion's."""
WEIGHTS = {"bn": 400.0, "one_hot": 1.0, "variation": 1e-3}
"""DeepInversion's, with its normalisation prior over some forty layers: see `compress.methods.deep_inversion`."""
ROLL = 1 / 8
"""Of the shorter side: how far images are moved at random between steps."""


def calibration_images(network: nn.Module, spec: TaskSpec) -> Tensor:
    """uint8 `[256, 3, h, w]` whose activations resemble those of the data that a network was trained on.

    Pixels are optimised until the network's batch normalisation sees the statistics that it stored, and until the
    network sees the targets that the task draws; a network without batch normalisation has its input's statistics
    matched instead, and a vision transformer has patches that differ. Where the network takes any size, large images
    are put together of half as many squares. The same network gives the same images.
    """
    was_training = network.training
    needed = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    randomness = torch.Generator().manual_seed(0)
    try:
        height, width = spec.image_shape[1:]
        if max(height, width) <= TILE or not _takes(frozen(network), TILE):
            return _synthesised(network, spec, IMAGES, randomness)
        squares = _synthesised(network, replace(spec, image_shape=(3, TILE, TILE)), IMAGES // 2, randomness)
        return _tiled(squares, (height, width), randomness)
    finally:
        network.train(was_training)
        for parameter, required in needed:
            parameter.requires_grad_(required)


def _takes(network: nn.Module, side: int) -> bool:
    """Whether a network takes squares of that side."""
    try:
        with torch.no_grad():
            network(torch.zeros(2, 3, side, side))
    except Exception:  # networks raise many exception types
        return False
    return True


def _tiled(squares: Tensor, size: tuple[int, int], randomness: torch.Generator) -> Tensor:
    """`IMAGES` images `[n, 3, *size]`, each of squares that are drawn from all, `[m, 3, TILE, TILE]`."""
    rows, columns = (-(-side // TILE) for side in size)
    chosen = torch.randint(len(squares), (IMAGES, rows, columns), generator=randomness)
    grid = squares[chosen].permute(0, 3, 1, 4, 2, 5)  # images, channels, rows, heights, columns, widths
    return grid.reshape(IMAGES, 3, rows * TILE, columns * TILE)[..., : size[0], : size[1]].contiguous()


def _synthesised(network: nn.Module, spec: TaskSpec, count: int, randomness: torch.Generator) -> Tensor:
    """uint8 `[count, *spec.image_shape]`."""
    inversion, rounds, batches = _inversion(frozen(network), spec, STEPS), -(-count // BATCH), list[Tensor]()
    with Steps("synthesising calibration images", count) as progress:
        for index in range(rounds):
            batches.append(inversion.round(index, randomness)[0].images)
            progress.update(min((index + 1) * BATCH, count))
    return torch.cat(batches)[:count]


def _inversion(network: nn.Module, spec: TaskSpec, steps: int) -> PixelInversion:
    compute = Compute(torch.device("cpu"), torch.float32)
    execution = Execution(compute=compute, workers=Workers(), randomness=torch.Generator().manual_seed(0))
    task = make_task(_source(spec))
    entropy = patch_entropy_weight(network, spec.image_shape, weight=None, bn=WEIGHTS["bn"])
    weights = {**WEIGHTS, "patch_entropy": entropy}
    loss = InversionLoss(
        teacher=network,
        student=network,
        objective=Objective({name: Constant(weight) for name, weight in weights.items()}),
        sample_weights=alike,
        augment=RandomView(shift=int(min(spec.image_shape[1:]) * ROLL), flip=True, wrap=True),
        ignore_index=spec.ignore_index,
        execution=execution,
        patches=patch_layers(network, spec.image_shape) if weights["patch_entropy"] else (),
    )
    nothing = ReplayBuffer(1, newest, Uniform(), compute)  # every class is drawn as often
    plan = PixelPlan(samples=BATCH, steps=steps, lr=RATE)
    return PixelInversion(drawn=Drawn(task, nothing), inversion_loss=loss, plan=plan, execution=execution)


def _source(spec: TaskSpec) -> DataSource:
    """A task without data."""
    return DataSource(
        name="synthetic",
        task=spec.name,
        class_names=spec.class_names,
        image_shape=spec.image_shape,
        training=_nothing,
        held_out=_nothing,
        image_size=spec.image_size,
        framing=spec.framing,
    )


def _nothing() -> LabelledImages:
    raise AssertionError("synthesis reads no data")
