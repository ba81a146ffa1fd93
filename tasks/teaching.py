"""Training a teacher on labelled data, for those who have the data and for the embedded defaults."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compress.augment import RandomView
from compress.compute import Compute
from compress.errors import UsageError
from compress.files import digest
from compress.optimizers import descend, make_optimizer
from compress.schedules import WarmupCosine
from compress.task import IGNORE_INDEX, NOTHING_IGNORED

from .data import DataSource, LabelledImages

Progress = Callable[[int, int, float], None]
"""Called after each step with the steps done, all steps and the loss."""


@dataclass(frozen=True)
class TeachingPlan:
    """AdamW with a one-cycle-like schedule: a short rise, then half a cosine."""

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float
    shift: int


DEFAULT_PLANS = {
    "classification": TeachingPlan(steps=400, batch=64, learning_rate=1e-3, weight_decay=0.05, shift=3),
    "segmentation": TeachingPlan(steps=800, batch=16, learning_rate=1e-3, weight_decay=0.05, shift=4),
}
"""By task, chosen on the embedded data so that two CPU cores need at most five minutes."""


def cache_key(name: str, source: DataSource, plan: TeachingPlan, compute: Compute, seed: int) -> str:
    """A digest of everything that determines a taught teacher."""
    libraries = {library: version(library) for library in ("torch", "timm", "segmentation-models-pytorch")}
    facts = [name, source.fingerprint, asdict(plan), compute.device.type, compute.precision, seed, libraries]
    return digest(json.dumps(facts), Path(__file__).read_bytes())[:16]


def teach(
    model: nn.Module,
    data: LabelledImages,
    plan: TeachingPlan,
    compute: Compute,
    seed: int,
    progress: Progress,
    mirror: bool,
) -> None:
    """Train `model` in place on labelled images, half of them mirrored if `mirror`.

    The loss is the cross-entropy of logits `[n, k, *s]` to targets `[n, *s]`. Raises `UsageError` if there are fewer
    images than a batch.
    """
    if len(data) < plan.batch:
        raise UsageError(f"too few images for a batch: there are {len(data)} to train on, --batch is {plan.batch}")
    randomness = torch.Generator().manual_seed(seed)
    optimizer = make_optimizer("adamw", model, plan.learning_rate, plan.weight_decay)
    learning_rate = WarmupCosine(plan.learning_rate, max(plan.steps // 7, 1), plan.steps)
    augment = RandomView(plan.shift, flip=mirror)
    ignored = IGNORE_INDEX if data.targets.ndim > 1 else NOTHING_IGNORED
    compute.place(model)
    model.train()
    for step in range(plan.steps):
        images, targets = _draw(data, plan.batch, compute, randomness)
        images, targets = augment(images, targets, randomness, ignored)
        with compute.autocast():
            logits = model(images)
        loss = F.cross_entropy(logits.float(), targets, ignore_index=ignored)
        descend(optimizer, loss, learning_rate(step))
        progress(step + 1, plan.steps, loss.item())
    model.eval()


def _draw(data: LabelledImages, size: int, compute: Compute, randomness: torch.Generator) -> tuple[Tensor, Tensor]:
    index = torch.randint(len(data), (size,), generator=randomness)
    return compute.images(data.images[index]), data.targets[index].long().to(compute.device)
