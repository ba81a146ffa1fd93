"""The loop: synthesise into the replay buffer, then distil from it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import backward

from compress import losses
from compress.distillation.distillation_loss import DistillationLoss
from compress.distillation.hints import Hints
from compress.distillation.round import PartialRound, Round
from compress.errors import Interrupted
from compress.replay.balance import variety
from compress.replay.buffer import Buffer
from compress.synthesis.inversion import Inversion
from compress.task import Samples, Task
from compress.training.augment import RandomView
from compress.training.compute import Compute
from compress.training.guards import CollapseGuard, StepGuard, require_finite
from compress.training.optimizers import set_rate
from compress.training.parallel import ALONE, Workers
from compress.training.random_state import random_state, set_random_state
from compress.training.schedules import Schedule
from compress.training.stopping import StopSignal


@dataclass(frozen=True)
class DistillationPlan:
    """How much is made, and how the student learns from it."""

    rounds: int
    warmup_rounds: int
    steps_per_round: int
    batch: int
    distillation_loss: DistillationLoss
    learning_rate: Schedule
    augment: RandomView
    keep_from: int = 0
    """First round whose samples enter the buffer."""


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
        self.partial: PartialRound | None = None
        self.step = 0
        self.learning_rate_scale = 1.0
        """What learning rates are multiplied by: halved whenever the run goes back because it diverged."""
        self.micro_batches = 1
        """In how many parts a batch is taken: twice as many whenever memory did not do."""
        self.guard, self.collapse = StepGuard(), CollapseGuard()
        self.seconds = {"inversion": 0.0, "distillation": 0.0}
        """Spent on each half so far, of the parts before an interruption too."""

    def run(
        self,
        after_round: Callable[[Round], None],
        stopping: StopSignal | None = None,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        """All rounds that are left; `after_round` reports, draws pictures and writes checkpoints.

        `moved` is called before every inversion and before every step of the student, for whoever watches:
        `next_round`, `partial` and `step` then say where the run is.

        Raises `Interrupted` when `stopping` is asked, at a place that `state_dict()` can tell and from which the run
        goes on to the same student: between two steps of the student, several workers between two rounds. Raises
        `Diverged` when losses or weights are no numbers any more.
        """
        stopping = stopping or StopSignal("step")
        for index in range(self.next_round, self.plan.rounds):
            moved()
            partial = self.partial = self.partial or self._begin(index, stopping)
            if index >= self.plan.warmup_rounds:
                with self._timed("distillation"):
                    self._distil(partial, stopping, moved)
            partial.numbers |= self.buffer.numbers()
            require_finite(self.student.state_dict(), self.optimizer.state_dict(), self.inversion.state_dict())
            self.partial, self.next_round = None, index + 1
            after_round(Round(index, partial.samples, partial.numbers, partial.notice))

    def _begin(self, index: int, stopping: StopSignal) -> PartialRound:
        if self.workers.any(stopping.asked):
            raise Interrupted("asked to stop between two rounds")
        with self._timed("inversion"):
            made, terms = self._invert(index, stopping)
            samples, numbers = self.workers.gather_samples(made), self.workers.mean_numbers(terms)
        if index >= self.plan.keep_from:
            numbers["admitted"] = self.buffer.add(samples) / len(samples.images)
        numbers["confidence"] = samples.statistics.confidence.mean().item()
        numbers["variety"] = variety(samples.images)
        learning = index >= self.plan.warmup_rounds
        complaint = self.collapse.complaint(samples, numbers["variety"]) if learning else None
        numbers["collapsed"] = float(complaint is not None)
        if complaint:
            renewed = self.inversion.renew(self.randomness)
            complaint += ": the generator begins anew" if renewed else ": there is no generator that could begin anew"
        return PartialRound(samples, numbers, notice=complaint)

    def _invert(self, index: int, stopping: StopSignal) -> tuple[Samples, dict[str, float]]:
        """A round of the inversion; being asked to stop undoes it, but with several workers, who have to agree."""
        if self.workers.size > 1:
            return self.inversion.round(index, self.randomness)
        before = copy.deepcopy((self.inversion.state_dict(), self._random_state()))
        try:
            with stopping.heeded_at_once():
                return self.inversion.round(index, self.randomness)
        except Interrupted:
            self.inversion.load_state_dict(before[0])
            self._set_random_state(before[1])
            raise

    @contextmanager
    def _timed(self, half: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[half] += time.perf_counter() - started

    def _distil(self, partial: PartialRound, stopping: StopSignal, moved: Callable[[], None]) -> None:
        """The steps that are left of a round's, and the means of all of them among its numbers."""
        self.student.train()
        parts = self.micro_batches
        with self.hints.listening() if self.hints else nullcontext():
            while len(partial.steps) < self.plan.steps_per_round:
                if stopping.asked and self.workers.size == 1:
                    require_finite(self.student.state_dict())  # what is kept of a run has to be sound
                    raise Interrupted("asked to stop between two steps")
                moved()
                partial.steps.append(self._distil_step())
        self.workers.average(self.student.buffers())  # batch normalisation saw each worker's share apart
        if self.micro_batches > parts:
            partial.notice = f"out of memory: a batch of the student is taken in {self.micro_batches} parts from now on"
        taken = [step for step in partial.steps if step]
        partial.numbers["skipped"] = partial.numbers.get("skipped", 0.0) + len(partial.steps) - len(taken)
        if taken:
            means = torch.tensor([list(step.values()) for step in taken]).mean(dim=0).tolist()
            partial.numbers |= self.workers.mean_numbers(dict(zip(taken[0], means, strict=True)))

    def _distil_step(self) -> dict[str, float]:
        """The numbers of one step; none if its losses were no numbers, and it was not taken."""
        drawn = self.buffer.draw(self.plan.batch, self.randomness)
        share, ignore = self.workers.share(self.plan.batch), self.task.spec.ignore_index
        images = self.compute.images(drawn.images[share])
        images, _ = self.plan.augment(images, drawn.index[share], self.randomness, ignore, self.workers.part)
        set_rate(self.optimizer, self.learning_rate_scale * self.plan.learning_rate(self.step))
        self.step += 1
        heard = self._gradients(images, drawn.weights[share].to(images.device))
        divergence = heard[self.plan.distillation_loss.name]
        losses_of_all = self.workers.gather(torch.stack([divergence, heard.pop("loss")], dim=1)).cpu()
        if not self.guard.passes(losses_of_all):
            return {}
        self.optimizer.step()
        self.buffer.refresh(drawn, losses_of_all[:, 0])
        return {name: values.mean().item() for name, values in heard.items()}

    def _gradients(self, images: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Leave the gradients of the mean loss, in twice as many parts whenever memory does not do; numbers `[n]`."""
        while True:
            self.optimizer.zero_grad()
            try:
                parts = zip(images.chunk(self.micro_batches), weights.chunk(self.micro_batches), strict=True)
                heard = [self._backward(*part, len(part[0]) / len(images)) for part in parts]
                return {name: torch.cat([numbers[name] for numbers in heard]) for name in heard[0]}
            except torch.OutOfMemoryError:
                if len(images) < 4 * self.micro_batches:
                    raise  # batch normalisation needs two images
                self.micro_batches *= 2

    def _backward(self, images: Tensor, weights: Tensor, share: float) -> dict[str, Tensor]:
        """Add the gradients of `share` times the mean loss of images; returns what the images' losses were, `[n]`."""
        with self.compute.autocast():
            divergence, student_logits, teacher_logits = self.plan.distillation_loss(self.student, self.teacher, images)
            loss, numbers = divergence, {self.plan.distillation_loss.name: divergence}
            if self.hints:
                numbers["hints"] = self.hints.distance()
                loss = loss + self.hints.weight * numbers["hints"]
        loss = loss * weights
        backward(share * loss.mean())
        numbers["agreement"] = losses.agreement(student_logits, teacher_logits)
        return {name: values.detach() for name, values in {**numbers, "loss": loss}.items()}

    def _random_state(self) -> dict[str, Any]:
        return {"own": self.randomness.get_state(), "others": random_state()}

    def _set_random_state(self, state: dict[str, Any]) -> None:
        self.randomness.set_state(state["own"])
        set_random_state(state["others"])

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""
        return {
            "next_round": self.next_round,
            "partial": self.partial.plain() if self.partial else None,
            "step": self.step,
            "learning_rate_scale": self.learning_rate_scale,
            "micro_batches": self.micro_batches,
            "seconds": dict(self.seconds),
            "student": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **({"hints": self.hints.state_dict()} if self.hints else {}),
            "inversion": self.inversion.state_dict(),
            "buffer": self.buffer.state_dict(),
            "guard": self.guard.state_dict(),
            "collapse": self.collapse.state_dict(),
            "randomness": self._random_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`, bit for bit on the same machine."""
        self.next_round, self.step, self.micro_batches = state["next_round"], state["step"], state["micro_batches"]
        self.partial = PartialRound.from_plain(state["partial"]) if state["partial"] else None
        self.learning_rate_scale = self.inversion.learning_rate_scale = state["learning_rate_scale"]
        self.seconds = dict(state["seconds"])
        for name in ("student", "optimizer", "hints", "inversion", "buffer", "guard", "collapse"):
            if name in state:
                getattr(self, name).load_state_dict(state[name])
        self._set_random_state(state["randomness"])
