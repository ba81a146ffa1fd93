"""The loop: synthesise into the replay buffer, then distil from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from compress import losses
from compress.augment import RandomView
from compress.balance import variety
from compress.compute import Compute
from compress.hints import Hints
from compress.inversion import Inversion
from compress.lessons import Lesson
from compress.optimizers import descend
from compress.parallel import ALONE, Workers
from compress.replay import Buffer
from compress.schedules import Schedule
from compress.task import Samples, Task


@dataclass(frozen=True)
class DistillationPlan:
    """How much is made, and how the student learns from it."""

    rounds: int
    warmup_rounds: int
    steps_per_round: int
    batch: int
    lesson: Lesson
    learning_rate: Schedule
    augment: RandomView
    keep_from: int = 0
    """First round whose samples enter the buffer."""


@dataclass(frozen=True)
class Round:
    """What one round did: its new samples and its numbers, for whoever watches."""

    index: int
    samples: Samples
    numbers: dict[str, float]


class Distiller:
    """Data-free distillation of a teacher into a student; every method is one of these with other parts."""

    def __init__(
        self,
        task: Task,
        teacher: nn.Module,
        student: nn.Module,
        inversion: Inversion,
        buffer: Buffer,
        optimizer: torch.optim.Optimizer,
        plan: DistillationPlan,
        compute: Compute,
        randomness: torch.Generator,
        workers: Workers = ALONE,
        hints: Hints | None = None,
    ) -> None:
        self.task, self.teacher, self.student = task, teacher, student
        self.inversion, self.buffer, self.optimizer = inversion, buffer, optimizer
        self.plan, self.compute, self.randomness = plan, compute, randomness
        self.workers, self.hints = workers, hints
        workers.in_step(optimizer, [*student.parameters(), *(hints.parameters() if hints else ())])
        self.next_round = 0
        self.step = 0
        self.seconds = {"inversion": 0.0, "distillation": 0.0}
        """Spent on each half so far, of the parts before an interruption too."""

    def run(self, after_round: Callable[[Round], None]) -> None:
        """All rounds that are left; `after_round` reports, draws pictures and writes checkpoints."""
        for index in range(self.next_round, self.plan.rounds):
            with self._timed("inversion"):
                made, terms = self.inversion.round(index, self.randomness)
                samples, numbers = self.workers.gather_samples(made), self.workers.mean_numbers(terms)
            if index >= self.plan.keep_from:
                numbers["admitted"] = self.buffer.add(samples) / len(samples.images)
            numbers["confidence"] = samples.statistics.confidence.mean().item()
            numbers["variety"] = variety(samples.images)
            if index >= self.plan.warmup_rounds:
                with self._timed("distillation"):
                    numbers |= self._distil()
            numbers |= self.buffer.numbers()
            self.next_round = index + 1
            after_round(Round(index, samples, numbers))

    @contextmanager
    def _timed(self, half: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[half] += time.perf_counter() - started

    def _distil(self) -> dict[str, float]:
        self.student.train()
        with self.hints.listening() if self.hints else nullcontext():
            steps = [self._distil_step() for _ in range(self.plan.steps_per_round)]
        self.workers.average(self.student.buffers())  # batch normalisation saw each worker's share apart
        means = torch.tensor([list(step.values()) for step in steps]).mean(dim=0).tolist()
        return self.workers.mean_numbers(dict(zip(steps[0], means, strict=True)))

    def _distil_step(self) -> dict[str, float]:
        drawn = self.buffer.draw(self.plan.batch, self.randomness)
        share, ignore = self.workers.share(self.plan.batch), self.task.spec.ignore_index
        images = self.compute.images(drawn.images[share])
        images, _ = self.plan.augment(images, drawn.index[share], self.randomness, ignore, self.workers.part)
        with self.compute.autocast():
            divergence, student_logits, teacher_logits = self.plan.lesson(self.student, self.teacher, images)
            loss, numbers = divergence, {self.plan.lesson.name: divergence}
            if self.hints:
                numbers["hints"] = self.hints.distance()
                loss = loss + self.hints.weight * numbers["hints"]
        loss = (loss * drawn.weights[share].to(loss.device)).mean()
        descend(self.optimizer, loss, self.plan.learning_rate(self.step))
        self.step += 1
        self.buffer.refresh(drawn, self.workers.gather(divergence))
        numbers["agreement"] = losses.agreement(student_logits.detach(), teacher_logits)
        return {name: values.mean().item() for name, values in numbers.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""
        return {
            "next_round": self.next_round,
            "step": self.step,
            "seconds": dict(self.seconds),
            "student": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **({"hints": self.hints.state_dict()} if self.hints else {}),
            "inversion": self.inversion.state_dict(),
            "buffer": self.buffer.state_dict(),
            "randomness": self.randomness.get_state(),
            "global_randomness": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`, bit for bit on the same machine."""
        self.next_round, self.step = state["next_round"], state["step"]
        self.seconds = dict(state["seconds"])
        for name in ("student", "optimizer", "hints", "inversion", "buffer"):
            if name in state:
                getattr(self, name).load_state_dict(state[name])
        self.randomness.set_state(state["randomness"])
        torch.set_rng_state(state["global_randomness"])
