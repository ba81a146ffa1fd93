"""Other readings of SSD-KD's φ and δ, each against the buffer without either, judged on training images of CIFAR-10.

    python tests/benchmarks/phi_delta_variants.py readings --data-root DIR --teacher-weights resnet56-4bfd9763.th

No code of the paper is public and its equations could not be read: what φ counts, where it acts, and what δ measures
are choices. Here each choice is a recipe of the engine in ssd-kd's place, at half the ablation's budget: 1,200 student
steps, 2,500 of 6,400 samples held. Scores are of the 10,000 images of data_batch_5: the test set chooses nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from runs import Arm, Benchmark, Table
from torch import Tensor, nn

from compress import losses, methods
from compress.cli import main as command_line
from compress.distillation.distillation_loss import DistillationLoss
from compress.distillation.distiller import Distiller
from compress.methods.assembly import adapt_generator, alike, fast_terms
from compress.methods.context import MethodContext
from compress.replay.balance import balance, rescaled
from compress.replay.buffer import Draw, ReplayBuffer
from compress.replay.policies import Balanced, Keep, Prioritised, Uniform, newest
from compress.synthesis.objective import Objective
from compress.task import Samples, Statistics

DISTILL = ("distill", "--task", "classification", "--teacher", "cifar_resnet56", "--student", "cifar_resnet20")
STALE_FOR = 3
"""Rounds between two refreshes of all priorities."""


class Annealed:
    """δ's draw with importance weights whose β rises evenly from 0.4 to 1 over `draws` (Schaul et al. 2016)."""

    def __init__(self, draws: int) -> None:
        self._draws, self._done = draws, 0

    def probabilities(self, priorities: Tensor) -> Tensor:
        """See `Prioritised`."""
        return Prioritised(1.0).probabilities(priorities)

    def weights(self, probabilities: Tensor, size: int) -> Tensor:
        """See `Prioritised`."""
        self._done += 1
        return Prioritised(0.4 + 0.6 * min(self._done / self._draws, 1.0)).weights(probabilities, size)


class PlainDiscrepancy:
    """Loss and buffer at once: the student learns at its temperature, priorities are KL at temperature 1."""

    def __init__(self, distillation_loss: DistillationLoss, buffer: ReplayBuffer) -> None:
        self._lesson, self._buffer = distillation_loss, buffer
        self.name = distillation_loss.name
        self.add, self.draw, self.numbers = buffer.add, buffer.draw, buffer.numbers
        self.state_dict, self.load_state_dict = buffer.state_dict, buffer.load_state_dict
        self._latest = torch.empty(0)

    def __call__(self, student: nn.Module, teacher: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `DistillationLoss`."""
        loss, student_logits, teacher_logits = self._lesson(student, teacher, images)
        self._latest = losses.kl(student_logits.detach(), teacher_logits)
        return loss, student_logits, teacher_logits

    def refresh(self, drawn: Draw, divergence: Tensor, step_taken: Tensor) -> None:
        """See `Buffer`."""
        self._buffer.refresh(drawn, self._latest, step_taken)


class FreshPriorities:
    """A buffer whose priorities are all measured anew every few rounds, not only those of what is drawn."""

    def __init__(self, context: MethodContext, buffer: ReplayBuffer) -> None:
        self._context, self._buffer, self._rounds = context, buffer, 0
        self.draw, self.refresh, self.numbers = buffer.draw, buffer.refresh, buffer.numbers
        self.state_dict, self.load_state_dict = buffer.state_dict, buffer.load_state_dict

    @torch.no_grad()
    def add(self, samples: Samples) -> int:
        """Admit, then look at everything that is held."""
        admitted, self._rounds = self._buffer.add(samples), self._rounds + 1
        if self._rounds > self._context.settings.distillation.warmup and self._rounds % STALE_FOR == 0:
            self._context.student.eval()
            temperature, compute = self._context.settings.distillation.temperature, self._context.compute
            held = self._buffer.state_dict()["images"]
            for index in torch.arange(len(held)).split(250):
                images = compute.images(held[index])
                with compute.autocast():
                    distance = losses.kl(self._context.student(images), self._context.teacher(images), temperature)
                for _ in range(2):  # the first sets w to 1, the second δ to w·KL
                    self._buffer.refresh(
                        Draw(index=index, images=held[index], weights=torch.ones(len(index))),
                        distance,
                        torch.tensor(True),
                    )
        return admitted


@dataclass(frozen=True)
class Reading:
    """What φ weighs in the inversion and orders in the buffer, and what δ draws."""

    weighs: bool = False
    counts_batch: bool = False
    """Whether n_c counts the batch, not the buffer."""
    gamma: float = 2.0
    keep: Keep = newest
    beta: float | None = None
    """Of δ; None: uniform draws."""
    annealed: bool = False
    plain: bool = False
    fresh: bool = False

    def __call__(self, context: MethodContext) -> Distiller:
        """The recipe."""
        learning = context.settings.distillation
        steps = (learning.rounds - learning.warmup) * learning.steps
        draw: Any = Uniform() if self.beta is None else Prioritised(self.beta)
        draw = Annealed(steps) if self.annealed else draw
        buffer = ReplayBuffer(context.settings.replay.capacity, self.keep, draw, context.compute)
        weights = partial(self._phi, buffer) if self.weighs else alike
        distiller = adapt_generator(context, Objective(fast_terms(context)), weights, buffer)
        if self.plain:
            both = PlainDiscrepancy(distiller.plan.distillation_loss, buffer)
            distiller.buffer = both
            object.__setattr__(distiller.plan, "distillation_loss", both)
            distiller.student_step._loss = both
        if self.fresh:
            distiller.buffer = FreshPriorities(context, buffer)
        return distiller

    def _phi(self, buffer: ReplayBuffer, statistics: Statistics) -> Tensor:
        in_buffer = len(buffer) and not self.counts_batch
        share = buffer.class_share if in_buffer else statistics.histogram.mean(dim=0)
        return rescaled(balance(statistics, share, self.gamma))


READINGS: Mapping[str, Reading] = {
    "neither φ nor δ": Reading(),
    "φ as read": Reading(weighs=True, keep=Balanced(2.0)),
    "φ with γ 1": Reading(weighs=True, gamma=1.0, keep=Balanced(1.0)),
    "φ weighs only, n_c of the batch": Reading(weighs=True, counts_batch=True),
    "φ admits only": Reading(keep=Balanced(2.0)),
    "δ as read": Reading(beta=0.5),
    "δ at τ 1": Reading(beta=0.5, plain=True),
    "δ with β 1": Reading(beta=1.0),
    "δ with β from 0.4 to 1": Reading(beta=0.4, annealed=True),
    "δ with all priorities fresh": Reading(beta=0.5, fresh=True),
}

BENCHMARK = Benchmark(
    "cifar10",
    "top1",
    {
        "readings": Table(
            "Readings of φ and δ, on 10,000 training images, at half the ablation's budget",
            tuple(
                Arm(
                    name,
                    DISTILL,
                    "cifar10/ssd-kd-short",
                    {
                        "inversion": {"targets": "independent"},
                        "replay": {"capacity": 2500},
                        "distillation": {"rounds": 50},
                    },
                    program=(__file__, "--as", name),
                )
                for name in READINGS
            ),
        )
    },
)


def training_root(data_root: Path, folder: Path) -> Path:
    """A CIFAR-10 whose test images are those of its last training batch, by links."""
    root = next(r for r in (data_root / "cifar-10-batches-py", data_root) if (r / "data_batch_5").is_file()).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for file in root.iterdir():
        link = folder / file.name
        if not link.exists():
            link.symlink_to(root / ("data_batch_5" if file.name == "test_batch" else file.name))
    return folder


def main() -> None:
    """Run what is missing of the table, then write it; `--as READING` is the command line with ssd-kd read so."""
    if sys.argv[1:2] == ["--as"]:
        methods.METHODS["ssd-kd"] = replace(methods.METHODS["ssd-kd"], build=READINGS[sys.argv[2]])
        command_line(sys.argv[3:])
    arguments = BENCHMARK.options(__doc__, "--data-root", "--teacher-weights")
    root = training_root(arguments.data_root, arguments.work / "training-images")

    def flags(table: str, arm: Arm) -> Sequence[object]:
        return ["--data", "cifar10", "--data-root", root, "--teacher-weights", arguments.teacher_weights]

    BENCHMARK.carry_out(arguments.tables, arguments.work, flags)


if __name__ == "__main__":
    main()
