"""The main loop: each round synthesises samples into the replay buffer, then distils from it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from compress.distillation.hints import Hints
from compress.distillation.learning_mode import set_learning_mode
from compress.distillation.plan import DistillationPlan
from compress.distillation.round import PartialRound, Round
from compress.distillation.sample_measures import SampleMeasures
from compress.distillation.student_step import StudentStep
from compress.errors import Interrupted
from compress.replay.balance import variety
from compress.replay.buffer import Buffer
from compress.synthesis.inversion import Inversion
from compress.task import Samples, Task
from compress.training.execution import Execution
from compress.training.guards import CollapseGuard, StandstillGuard, require_finite
from compress.training.mixing import NUMBERS_PER_BATCH
from compress.training.random_numbers import RandomNumbers, new_seed
from compress.training.random_state import random_state, set_random_state
from compress.training.stopping import StopSignal

DRAWN = 2  # random numbers that the draw of an image takes at most


class Distiller:
    """Data-free distillation of a teacher into a student. All methods use this class with different parts."""

    def __init__(
        self,
        *,
        task: Task,
        teacher: nn.Module,
        student: nn.Module,
        inversion: Inversion,
        buffer: Buffer,
        optimizer: torch.optim.Optimizer,
        plan: DistillationPlan,
        execution: Execution,
        hints: Hints | None = None,
    ) -> None:
        self.task, self.teacher, self.student = task, teacher, student
        self.inversion, self.buffer, self.optimizer = inversion, buffer, optimizer
        self.plan, self.execution, self.hints = plan, execution, hints
        self.compute, self.workers, self.randomness = execution.compute, execution.workers, execution.randomness
        self.student_step = StudentStep(
            teacher=teacher, student=student, loss=plan.distillation_loss, hints=hints,
            optimizer=optimizer, execution=execution,
        )  # fmt: skip
        self.sample_measures = SampleMeasures(teacher, self.compute)
        self.next_round = 0
        self.partial: PartialRound | None = None
        self.step = 0
        self.learning_rate_scale = 1.0
        """The factor of all learning rates, halved whenever a diverged run returns to its last checkpoint."""
        self.collapse, self.standstill = CollapseGuard(), StandstillGuard(plan.rounds - plan.warmup_rounds)
        self.seconds = {"inversion": 0.0, "distillation": 0.0}
        """Seconds spent on inversion and distillation so far, including those before an interruption."""

    def run(
        self,
        after_round: Callable[[Round], None],
        stopping: StopSignal | None = None,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        """Run the remaining rounds; `after_round` reports, draws pictures and writes checkpoints.

        `moved` is called before every inversion and before every step of the student; `next_round`, `partial` and
        `step` then give the position of the run.

        Raises `Interrupted` after a stop signal in `stopping`, at a point from which `state_dict()` can resume to the
        same student: between two steps of the student, or with several workers between two rounds. Raises `Diverged`
        when losses or weights are NaN or infinite.
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
            after_round(Round(index=index, samples=partial.samples, numbers=partial.numbers, notice=partial.notice))

    def _begin(self, index: int, stopping: StopSignal) -> PartialRound:
        if self.workers.any(stopping.requested):
            raise Interrupted("asked to stop between two rounds")
        parts = self.inversion.micro_batches
        with self._timed("inversion"):
            new_samples, terms = self._invert(index, stopping)
            samples, numbers = self.workers.gather_samples(new_samples), self.workers.mean_numbers(terms)
        if index >= self.plan.keep_from:
            numbers["admitted"] = self.buffer.add(samples) / len(samples.images)
        numbers |= self.sample_measures(samples, self.inversion.micro_batches)
        numbers["variety"] = variety(samples.images)
        learning = index >= self.plan.warmup_rounds
        complaint = self.collapse.complaint(samples, numbers["variety"]) if learning else None
        numbers["collapsed"] = float(complaint is not None)
        renewed = complaint is not None and self.inversion.renew(self.randomness)
        begun = PartialRound(samples=samples, numbers=numbers, seed=new_seed(self.randomness))
        if complaint:
            fate = "the generator begins anew" if renewed else "there is no generator that could begin anew"
            begun.note(f"{complaint}: {fate}")
        if self.inversion.micro_batches > parts:
            begun.note(f"out of memory: the inversion makes a round's samples in {self.inversion.micro_batches} parts")
        begun.note(self.inversion.notice())
        return begun

    def _invert(self, index: int, stopping: StopSignal) -> tuple[Samples, dict[str, float]]:
        """A round of the inversion; being asked to stop undoes it, and so does a lack of memory, to begin with less.

        Several workers would have to agree on either, so that they do neither.
        """
        if self.workers.size > 1:
            return self.inversion.round(index, self.randomness)
        before = copy.deepcopy((self.inversion.state_dict(), self._random_state()))
        while True:
            try:
                with stopping.heeded_at_once():
                    return self.inversion.round(index, self.randomness)
            except Interrupted:
                self._undo_inversion(*before)
                raise
            except torch.OutOfMemoryError:
                parts = self.inversion.micro_batches
                if not self.inversion.halve():
                    raise
            # out here the memory that the exception held is free
            self._undo_inversion({**before[0], "micro_batches": 2 * parts}, before[1])

    def _undo_inversion(self, state: dict[str, Any], random: dict[str, Any]) -> None:
        self.inversion.load_state_dict(copy.deepcopy(state))
        self._set_random_state(random)

    @contextmanager
    def _timed(self, half: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[half] += time.perf_counter() - started

    def _distil(self, partial: PartialRound, stopping: StopSignal, moved: Callable[[], None]) -> None:
        """Take the remaining student steps of a round and add the means of all its steps to its numbers."""
        set_learning_mode(self.student, dropout=self.plan.dropout)
        self.student_step.begin_round()
        parts = self.student_step.micro_batches
        per_step = self.plan.batch * (DRAWN + self.plan.augment.numbers_per_image) + NUMBERS_PER_BATCH
        ahead = self.plan.steps_per_round * per_step
        numbers = RandomNumbers(
            partial.seed, self.compute.device, ahead=max(ahead - partial.used, 1), used=partial.used
        )
        with self.hints.listening() if self.hints else nullcontext():
            while partial.done < self.plan.steps_per_round:
                if stopping.requested and self.workers.size == 1:
                    require_finite(self.student.state_dict())  # checkpoints must hold finite weights
                    raise Interrupted("asked to stop between two steps")
                moved()
                totals = self._distil_step(numbers)
                partial.totals = totals.clone() if partial.totals is None else partial.totals + totals
                partial.done, partial.used = partial.done + 1, numbers.used
        self.workers.average(self.student.buffers())  # each worker's batch normalisation used its own share
        if self.student_step.micro_batches > parts:
            parts = self.student_step.micro_batches
            partial.note(f"out of memory: a batch of the student is taken in {parts} parts from now on")
        partial.note(self.student_step.notice)
        self._read(partial)

    def _distil_step(self, numbers: RandomNumbers) -> Tensor:
        """A step's totals, `[k]`; nothing here copies to or from the device, or waits for it."""
        drawn = self.buffer.draw(self.plan.batch, numbers)
        share, ignore = self.workers.share(self.plan.batch), self.task.spec.ignore_index
        images = self.compute.images(drawn.images[share])
        images, _ = self.plan.augment(images, drawn.index[share], numbers, ignore, self.workers.part)
        rate = self.learning_rate_scale * self.plan.learning_rate(self.step)
        self.step += 1
        if self.plan.mix is None:
            done = self.student_step(images, drawn.weights[share], rate)
            self.buffer.refresh(drawn, done.divergence, done.step_taken)
        else:
            mixed = self.plan.mix(images, numbers)
            done = self.student_step(mixed.images, mixed.of_both(drawn.weights[share]), rate)
            self.buffer.refresh(drawn, mixed.of_both(done.divergence, self.workers.size), done.step_taken)
        return done.totals

    def _read(self, partial: PartialRound) -> None:
        """Put the means of a round's steps, whose totals lie on the device, among its numbers; note a standstill."""
        if partial.totals is None:
            return
        means = self.student_step.read(partial.totals)
        partial.numbers["skipped"] = partial.numbers.get("skipped", 0.0) + means.pop("skipped")
        if means:
            means = self.workers.mean_numbers(means)
            answers = self.plan.steps_per_round * self.plan.batch * partial.samples.targets[0].numel()
            partial.note(self.standstill.complaint(means["agreement"], means["majority"], answers))
            partial.numbers |= means | {"standstill": float(self.standstill.at_standstill)}

    def _random_state(self) -> dict[str, Any]:
        return {"own": self.randomness.get_state(), "others": random_state()}

    def _set_random_state(self, state: dict[str, Any]) -> None:
        self.randomness.set_state(state["own"])
        set_random_state(state["others"])

    def state_dict(self) -> dict[str, Any]:
        """The state that the rest of the run depends on."""
        return {
            "next_round": self.next_round,
            "partial": self.partial.plain() if self.partial else None,
            "step": self.step,
            "learning_rate_scale": self.learning_rate_scale,
            "seconds": dict(self.seconds),
            "student": self.student.state_dict(),
            "student_step": self.student_step.state_dict(),
            **({"hints": self.hints.state_dict()} if self.hints else {}),
            "inversion": self.inversion.state_dict(),
            "buffer": self.buffer.state_dict(),
            "collapse": self.collapse.state_dict(),
            "standstill": self.standstill.state_dict(),
            "randomness": self._random_state(),
        }

    def scale_learning_rates(self, scale: float) -> None:
        """From now on, all learning rates of student and inversion are `scale` times those of the settings."""
        self.learning_rate_scale = self.inversion.learning_rate_scale = scale

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`, bit for bit on the same machine."""
        self.next_round, self.step = state["next_round"], state["step"]
        self.partial = PartialRound.from_plain(state["partial"], self.compute.device) if state["partial"] else None
        self.scale_learning_rates(state["learning_rate_scale"])
        self.seconds = dict(state["seconds"])
        for name in ("student", "student_step", "hints", "inversion", "buffer", "collapse", "standstill"):
            if name in state:
                getattr(self, name).load_state_dict(state[name])
        self._set_random_state(state["randomness"])
