"""Optimisation steps on the inversion loss, of which the images of the best step are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor
from torch.autograd import backward
from torch.optim import Optimizer

from compress.errors import Diverged
from compress.synthesis.inversion_loss import BatchLoss, InversionLoss, as_samples
from compress.task import Samples, Statistics
from compress.training.capture import Captured
from compress.training.execution import Execution
from compress.training.optimizers import rates_on_device, restart, set_rates
from compress.training.random_numbers import RandomNumbers, StepNumbers


class InversionSteps:
    """Optimisation steps of a batch of images, or of the network that generates them, on the inversion loss.

    Tensors that a step changes stay at the same memory addresses from round to round, so that steps can run as a graph.
    """

    def __init__(
        self,
        *,
        images_now: Callable[[Tensor | None], Tensor],
        optimizer: Optimizer,
        shared: Iterable[Tensor],
        buffers: Iterable[Tensor],
        loss: InversionLoss,
        execution: Execution,
        after_step: Callable[[Tensor], None],
        changed: Iterable[Tensor] = (),
    ) -> None:
        """`images_now` returns images in [0, 1] for targets. `shared` are the optimised tensors that are the same on
        all workers. `after_step` is called with whether the step was taken, `[]` on the device; tensors that it changes
        are listed in `changed`.
        """
        self._images_now, self._optimizer, self._loss, self._after_step = images_now, optimizer, loss, after_step
        self._workers, self._buffers, self._changed = execution.workers, list(buffers), list(changed)
        self._guard = execution.guarded(optimizer, shared, self._buffers)
        self._best, self._index = BestStep(), 0
        self.captured = Captured(self._take, self._state, execution, "the inversion's step")
        rates_on_device(optimizer, execution.device if self.captured.wanted else None)

    def run(
        self, count: int, steps: int, index: int, rates: Iterable[float], targets: Tensor | None, numbers: RandomNumbers
    ) -> tuple[Samples, dict[str, float]]:
        """Take steps with `count` images `[n, 3, h, w]`; return the best step's images as samples, and its terms.

        `index` is the number of the round, and `rates` are the learning rates of the optimiser's groups. The
        optimiser's state is reset first. Raises `Diverged` if no step had a finite loss.
        """
        restart(self._optimizer)
        set_rates(self._optimizer, rates)
        self._best.forget()
        self._index = index
        with self._loss as loss:
            self.captured.begin_round(loss.conditions(index))
            for _ in range(steps):
                drawn = numbers.uniform(loss.numbers_of(count))
                _, *latest = self.captured(drawn) if targets is None else self.captured(drawn, targets)
            outcome = self._guard.read(*self._best.numbers)
            if outcome.last_taken:
                loss.end_round(latest)
        lowest, *terms = outcome.numbers
        if lowest == float("inf"):
            raise Diverged("the inversion diverged, no step had a finite loss")
        report = {**dict(zip(self._best.names, terms, strict=True)), "skipped": float(outcome.skipped)}
        return self._best.samples(), report

    def _take(self, drawn: Tensor, targets: Tensor | None = None) -> tuple[Tensor, ...]:
        """Take a step with these random numbers; return the mean total over workers, and the loss's `latest()`."""
        self._guard.begin()
        images = self._images_now(targets)
        batch_loss = self._loss.judge(images, targets, self._index, StepNumbers(drawn))
        backward(batch_loss.total)
        total = self._workers.mean(batch_loss.total)
        step_taken = self._guard.end(total)
        self._best.offer(images, batch_loss, total, step_taken)
        self._after_step(step_taken)
        return total, *self._loss.latest()

    def _state(self) -> Iterator[Tensor]:
        """All tensors that a step changes."""
        for group in self._optimizer.param_groups:
            yield from group["params"]
        yield from chain.from_iterable(state.values() for state in self._optimizer.state.values())
        yield from chain(self._buffers, self._changed, self._best.kept, self._guard.state_dict().values())


class BestStep:
    """The images of the step with the lowest total loss over all workers so far, compared on the device."""

    def __init__(self) -> None:
        self.names: list[str] = []
        """Names of the terms."""
        self.kept: list[Tensor] = []
        """Total, images, targets, confidence, histogram, then the terms."""

    def forget(self) -> None:
        """Reset: the next step that is offered becomes the best."""
        if self.kept:
            self.kept[0].fill_(float("inf"))

    @torch.no_grad()
    def offer(self, images: Tensor, batch_loss: BatchLoss, total: Tensor, step_taken: Tensor) -> None:
        """Keep the images if the step was taken and its `total`, over all workers, is the lowest so far."""
        statistics, lowest = batch_loss.statistics, torch.where(step_taken, total, float("inf"))
        offered = [lowest, images.detach(), batch_loss.targets, statistics.confidence, statistics.histogram]
        offered += batch_loss.terms.values()
        if self.names != list(batch_loss.terms) or not self.kept:
            self.names, self.kept = list(batch_loss.terms), [new.clone() for new in offered]
            return
        better = lowest < self.kept[0]
        for new, kept in zip(offered, self.kept, strict=True):
            kept.copy_(torch.where(better, new, kept))

    @property
    def numbers(self) -> list[Tensor]:
        """The lowest total, infinite if no step was taken, and the terms of that step, `[]` each."""
        return [self.kept[0], *self.kept[5:]]

    def samples(self) -> Samples:
        """The images of the best step."""
        images, *others = self.kept[1:5]
        targets, confidence, histogram = (kept.clone() for kept in others)
        return as_samples(images, targets, Statistics(confidence, histogram))
