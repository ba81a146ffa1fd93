"""One step of the student on a batch: forward, backward, and the optimiser's step if all of it is finite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import backward
from torch.optim import Optimizer

from compress import losses
from compress.distillation.distillation_loss import DistillationLoss
from compress.distillation.hints import Hints
from compress.training.capture import Captured
from compress.training.execution import Execution
from compress.training.optimizers import rates_on_device, set_rate


@dataclass(frozen=True)
class Taken:
    """The results of a step, on the device, without a wait."""

    divergence: Tensor
    """`[n]`: the loss of each image, of all workers."""
    totals: Tensor
    """`[k]`: what `StudentStep.read` takes the sum of over steps; 0 where the step was not taken."""
    step_taken: Tensor
    """`[]`: whether it was."""


class StudentStep:
    """Steps of a student, and of the projections of its hints, towards its teacher."""

    def __init__(
        self,
        *,
        teacher: nn.Module,
        student: nn.Module,
        loss: DistillationLoss,
        hints: Hints | None,
        optimizer: Optimizer,
        execution: Execution,
    ) -> None:
        self._teacher, self._student, self._loss, self._hints = teacher, student, loss, hints
        self._optimizer, self._execution = optimizer, execution
        self._guard = execution.guarded(optimizer, self._learners("parameters"), self._learners("buffers"))
        self.names: tuple[str, ...] = ()
        """Of the numbers of a step, after the first one."""
        self.micro_batches = 1
        """In how many parts a batch is taken: twice as many whenever memory did not do."""
        self._in_step = any(isinstance(module, nn.SyncBatchNorm) for module in student.modules())
        """Whether all workers have to take their batches in the same parts, since they meet within the student."""
        self._captured = Captured(self._take, self._state, execution, "the student's step")
        rates_on_device(optimizer, execution.device if self._captured.wanted else None)

    def __call__(self, images: Tensor, weights: Tensor, lr: float) -> Taken:
        """A step on images `[n, 3, h, w]` in [0, 1] with importance weights `[n]`: this worker's share of a batch."""
        set_rate(self._optimizer, lr)
        return Taken(*self._captured(images, weights))

    def begin_round(self) -> None:
        """Look at the steps that run as a graph again, now and then."""
        self._captured.begin_round()

    @property
    def notice(self) -> str | None:
        """Why steps do not run as a graph, once."""
        return self._captured.notice()

    def read(self, totals: Tensor) -> dict[str, float]:
        """What the steps since the last look came to, with the sum `[k]` of their totals: the mean of each number over
        the steps that were taken, and `skipped`, how many were not.

        Where several were taken, `answer_spread` is the standard deviation from batch to batch of the teacher's mean
        answer to a batch, which is averaged over the classes. `majority` is the share of its most frequent class.
        """
        classes = (len(totals) - 1 - len(self.names)) // 3
        steps, sums, answers, squares, predicted = torch.split(totals, [1, len(self.names), classes, classes, classes])
        variances = (squares / steps - (answers / steps) ** 2).clamp(min=0)
        outcome = self._guard.read(steps[0], *(sums / steps), (predicted / steps).max(), variances.sqrt().mean())
        taken, *means, spread = outcome.numbers
        numbers = {"skipped": float(outcome.skipped)}
        if taken:
            numbers |= dict(zip((*self.names, "majority"), means, strict=True))
        return numbers | {"answer_spread": spread} if taken > 1 else numbers

    def _take(self, images: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        numbers = self._gradients(images, weights)
        loss = numbers.pop("loss")
        of_all = self._execution.workers.gather(torch.stack([numbers[self._loss.name], loss], dim=1))
        step_taken = self._guard.end(of_all)
        answer, classes = (self._execution.workers.mean(numbers.pop(n).mean(dim=0)) for n in ("answers", "classes"))
        self.names = tuple(numbers)
        means = torch.stack(list(numbers.values())).mean(dim=1)
        totals = torch.cat([torch.ones_like(means[:1]), means, answer, answer**2, classes])
        return of_all[:, 0], torch.where(step_taken, totals, 0.0), step_taken

    def _gradients(self, images: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Leave the gradients of the mean loss, in twice as many parts whenever memory does not do.

        Returns what `_backward` does, of all parts.
        """
        self._guard.begin()
        while True:
            try:
                parts = zip(images.chunk(self.micro_batches), weights.chunk(self.micro_batches), strict=True)
                numbers = [self._backward(*part, len(part[0]) / len(images)) for part in parts]
                return {name: torch.cat([part[name] for part in numbers]) for name in numbers[0]}
            except torch.OutOfMemoryError:
                together = self._in_step and self._execution.workers.size > 1
                if self._captured.recording or together or len(images) < 4 * self.micro_batches:
                    raise  # a graph needs memory beside that of plain steps; batch normalisation needs two images
            self._guard.undo()  # out here the memory that the exception held is free
            self.micro_batches *= 2

    def _backward(self, images: Tensor, weights: Tensor, share: float) -> dict[str, Tensor]:
        """Add the gradients of `share` times the mean loss of images; returns what the images' losses were, `[n]`,
        and what the teacher answered, as probabilities and as classes, `[n, k]`.
        """
        with self._execution.compute.autocast():
            divergence, student_logits, teacher_logits = self._loss(self._student, self._teacher, images)
            loss, numbers = divergence, {self._loss.name: divergence}
            if self._hints:
                numbers["hints"] = self._hints.distance()
                loss = loss + self._hints.weight * numbers["hints"]
        loss = loss * weights
        backward(share * loss.mean())
        numbers["agreement"] = losses.agreement(student_logits, teacher_logits)
        numbers["answers"] = losses.class_shares(teacher_logits)
        numbers["classes"] = losses.class_histogram(teacher_logits)
        return {name: values.detach() for name, values in {**numbers, "loss": loss}.items()}

    def _learners(self, kind: str) -> list[Tensor]:
        modules = [module for module in (self._student, self._hints) if module is not None]
        return list(chain.from_iterable(getattr(module, kind)() for module in modules))

    def _state(self) -> Iterator[Tensor]:
        """All that a step changes."""
        yield from self._learners("parameters")
        yield from self._learners("buffers")
        for state in self._optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))
        yield from self._guard.state_dict().values()

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, but for the networks."""
        return {"optimizer": self._optimizer.state_dict(), "guard": self._guard.state_dict(), "names": list(self.names),
                "micro_batches": self.micro_batches}  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._optimizer.load_state_dict(state["optimizer"])
        rates_on_device(self._optimizer, self._execution.device if self._captured.wanted else None)
        self._guard.load_state_dict(state["guard"])
        self.names, self.micro_batches = tuple(state["names"]), state["micro_batches"]
        self._captured.forget()
