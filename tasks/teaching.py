"""Training a teacher on labelled data: the user's own, or the embedded data sets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compress.errors import UsageError
from compress.storage.files import digest
from compress.task import IGNORE_INDEX, NOTHING_IGNORED
from compress.training.augment import RandomView, RandomWindow
from compress.training.compute import Compute
from compress.training.optimizers import descend, make_optimizer
from compress.training.random_numbers import RandomNumbers
from compress.training.random_state import random_state, set_random_state
from compress.training.schedules import Cosine, Polynomial, Schedule, Warmup

from .data import DataSource, LabelledImages

VERSION = 2
"""Increase this when the same plan trains another network, so that cached teachers are not reused."""
FOCUS = 2.0  # γ of the focal loss
STEPS_BETWEEN_LOOKS = 50  # on an accelerator: until then the loss that is shown is an earlier one
NUMBERS_PER_IMAGE = 6  # random ones, about


@dataclass(frozen=True)
class TeachingPlan:
    """The hyperparameters of a training. The learning rate has a short warm-up and then decays to about zero."""

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float
    shift: int = 0
    """Largest random shift, in pixels, of images that are not cropped."""
    zoom: float = 1.0
    """Largest factor of random scaling before a crop; 1 trains on whole images."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["cosine", "poly"] = "cosine"
    loss: Literal["cross-entropy", "focal"] = "cross-entropy"
    class_weights: bool = False
    """Weigh classes by 1 / ln(1.02 + share of the training labels) (ENet, Paszke et al. 2016), of mean 1."""


EMBEDDED_PLANS: dict[str, TeachingPlan] = {
    "classification": TeachingPlan(steps=280, batch=16, learning_rate=1e-3, weight_decay=0.05, shift=3),
    "segmentation": TeachingPlan(steps=800, batch=16, learning_rate=1e-3, weight_decay=0.05, shift=4),
}
"""Plans by task for the embedded data: default teachers must train within a minute, or a few for segmenters."""
USUAL_PLANS = {
    "classification": TeachingPlan(steps=400, batch=64, learning_rate=1e-3, weight_decay=0.05, shift=3),
    "segmentation": TeachingPlan(steps=4000, batch=16, learning_rate=1e-3, weight_decay=0.05, zoom=2.0),
}
"""Plans by task for a user's own images; segmenters are trained on crops."""
OTHER_PLAN = TeachingPlan(steps=400, batch=64, learning_rate=1e-3, weight_decay=0.05)
"""For tasks that are not built in: whole images without shifts, which would move what belongs to a position."""


def usual_plan(source: DataSource) -> TeachingPlan:
    """The default plan for a data set."""
    plans = USUAL_PLANS if source.fingerprint is None else EMBEDDED_PLANS
    return plans.get(source.task, OTHER_PLAN)


def cache_key(name: str, source: DataSource, plan: TeachingPlan, compute: Compute, seed: int) -> str:
    """A digest of everything that determines a trained teacher."""
    libraries = {library: version(library) for library in ("torch", "timm", "segmentation-models-pytorch")}
    facts = [name, source.fingerprint, asdict(plan), compute.device.type, compute.precision, seed, libraries]
    return digest(json.dumps(facts), str(VERSION))[:16]


class Training:
    """The training of a network on labelled images, step by step, which can be interrupted and resumed.

    The loss is the cross-entropy of logits `[n, k, *s]` to targets `[n, *s]`, or the focal loss (Lin et al. 2017,
    eq. 4). Half of the images are mirrored where `source.mirror` says that this keeps their labels. Raises `UsageError`
    if there are fewer images than a batch.
    """

    def __init__(
        self,
        model: nn.Module,
        data: LabelledImages,
        source: DataSource,
        plan: TeachingPlan,
        compute: Compute,
        seed: int,
    ) -> None:
        if len(data) < plan.batch:
            raise UsageError(f"too few images for a batch: there are {len(data)} to train on, `batch` is {plan.batch}")
        compute.place(model)
        self.model, self.data, self.plan, self.compute = model, data, plan, compute
        self.done = 0
        self.seconds = 0.0
        """Seconds spent so far, including those before an interruption."""
        self._optimizer = make_optimizer(plan.optimizer, model, plan.learning_rate, plan.weight_decay)
        self._learning_rate = _schedule(plan)
        self._numbers = self._from(seed, 0)
        home = compute.home(data.images.nbytes + data.targets.nbytes)
        self._images, self._targets = data.images.to(home), data.targets.to(home)
        self._sizes = None if data.sizes is None else data.sizes.to(compute.device)
        self._ignored = IGNORE_INDEX if data.targets.ndim > 1 else NOTHING_IGNORED
        self._view = _view(data, source, plan)
        self._weights: Tensor | None = None
        if plan.class_weights:
            self._weights = _class_weights(data.targets, len(source.class_names)).to(compute.device)

    def run(self, after_step: Callable[[int, float], None]) -> None:
        """Take the remaining steps; calls `after_step` with the number of steps done and the loss."""
        self.model.train()
        value: float | None = None
        while self.done < self.plan.steps:
            started = time.perf_counter()
            images, targets = self._drawn()
            with self.compute.autocast():
                logits = self.model(images)
            loss = self._loss(logits.float(), targets)
            descend(self._optimizer, loss, self._learning_rate(self.done))
            self.done += 1
            if value is None or self.compute.device.type == "cpu" or self.done % STEPS_BETWEEN_LOOKS == 0:
                value = loss.item()  # a GPU is not waited for at every step
            self.seconds += time.perf_counter() - started
            after_step(self.done, value)
        self.model.eval()

    def _drawn(self) -> tuple[Tensor, Tensor]:
        index = self._numbers.whole(0, len(self.data), self.plan.batch)
        images = self.compute.images(self.compute.rows(self._images, index))
        targets = self.compute.rows(self._targets, index).long()
        if isinstance(self._view, RandomView):
            return self._view(images, targets, self._numbers, self._ignored)
        sizes = images.shape[-2:] if self._sizes is None else self._sizes[index]
        return self._view(images, targets, sizes, self._numbers, self._ignored)

    def _from(self, seed: int, used: int) -> RandomNumbers:
        ahead = STEPS_BETWEEN_LOOKS * self.plan.batch * NUMBERS_PER_IMAGE
        return RandomNumbers(seed, self.compute.device, ahead=ahead, used=used)

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.plan.loss == "cross-entropy":
            return F.cross_entropy(logits, targets, weight=self._weights, ignore_index=self._ignored)
        values = F.cross_entropy(logits, targets, ignore_index=self._ignored, reduction="none")
        counted = targets != self._ignored
        weights = counted.float() if self._weights is None else self._weights[targets.where(counted, 0)] * counted
        return ((1 - (-values).exp()) ** FOCUS * values * weights).sum() / weights.sum().clamp(min=1e-6)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "done": self.done,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "numbers": [self._numbers.seed, self._numbers.used],
            "global_randomness": random_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.done, self.seconds = state["done"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._numbers = self._from(*state["numbers"])
        set_random_state(state["global_randomness"])


def _view(data: LabelledImages, source: DataSource, plan: TeachingPlan) -> RandomView | RandomWindow:
    """Random crops if the network trains on parts of images, else whole images with small shifts."""
    parts = plan.zoom != 1 or tuple(data.images.shape[1:]) != source.image_shape
    if data.targets.ndim > 1 and parts:
        return RandomWindow(source.image_shape[1:], plan.zoom, flip=source.mirror)
    return RandomView(shift=plan.shift, flip=source.mirror)


def _schedule(plan: TeachingPlan) -> Schedule:
    rise = max(plan.steps // 7, 1)
    kind = Cosine if plan.schedule == "cosine" else Polynomial
    return Warmup(rise, kind(plan.learning_rate, plan.steps - rise))


def _class_weights(targets: Tensor, classes: int) -> Tensor:
    """`[k]`, of mean 1."""
    counts = torch.bincount(targets[targets != IGNORE_INDEX].long(), minlength=classes).float()
    weights = 1 / torch.log(1.02 + counts / counts.sum())
    return weights / weights.mean()
