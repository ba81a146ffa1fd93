"""What a run is about to do and how long it takes: said before anything long begins, measured in the first seconds."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from compress.distillation.distiller import Distiller
from compress.distillation.round import Round
from compress.methods import MethodContext, find_method
from compress.runs.evaluation import parameter_count
from compress.training.compute import Compute
from compress.training.progress import clock, console
from compress.training.random_state import random_state, set_random_state


def seconds_a_step(model: nn.Module, images: Tensor, compute: Compute) -> float | None:
    """How long a copy of the model takes to answer a batch `[n, 3, h, w]` and to work out its gradients.

    The second of two steps is measured: the first one makes what is kept. None where a copy cannot be made or a whole
    batch does not fit into memory. The model and all random numbers stay as they were.
    """
    before = random_state()
    try:
        learner = copy.deepcopy(model).train()
        seconds = [_timed(lambda: _step(learner, images, compute), compute) for _ in range(2)]
    except (torch.OutOfMemoryError, TypeError, RuntimeError):  # the last two: modules that cannot be copied
        return None
    finally:
        set_random_state(before)
    return seconds[-1]


def _step(learner: nn.Module, images: Tensor, compute: Compute) -> None:
    with compute.autocast():
        logits: Tensor = learner(images)
    torch.autograd.backward(logits.float().square().mean())


def _timed(work: Callable[[], object], compute: Compute) -> float:
    started = time.perf_counter()
    work()
    if compute.device.type == "cuda":
        torch.cuda.synchronize(compute.device)
    return time.perf_counter() - started


def say_beginning(context: MethodContext, distiller: Distiller) -> None:
    """What the rounds that are left make, and who learns from it how much: two lines."""
    settings, plan, first = context.settings, distiller.plan, distiller.next_round
    rounds, taught = plan.rounds - first, plan.rounds - max(first, plan.warmup_rounds)
    if find_method(settings.method).needs_collected:
        console.print(f"makes: {rounds:,} rounds on the collected images", soft_wrap=True)
    else:
        count = f"{rounds * settings.inversion.samples:,} images in {rounds:,} rounds"
        console.print(f"makes: {count} by {settings.method}, from the teacher alone", soft_wrap=True)
    sizes = (f"{parameter_count(network) / 1e6:.2f} M" for network in (context.student, context.teacher))
    student, teacher = sizes
    console.print(
        f"teaches: {settings.student or 'the student'}, {student} parameters (teacher: {teacher}), "
        f"in {taught * plan.steps_per_round:,} steps of {plan.batch} images",
        soft_wrap=True,
    )


class Forecast:
    """How long the rounds take: known after the first one, of which the student's steps may not be a part."""

    def __init__(self, distiller: Distiller) -> None:
        self._distiller, self._first = distiller, distiller.next_round
        self._started = time.perf_counter()

    def after(self, done: Round) -> None:
        """A round is done; after the first one, a line says how long all of them take."""
        if done.index != self._first:
            return
        plan, spent = self._distiller.plan, time.perf_counter() - self._started
        seconds, silent = spent * (plan.rounds - done.index), plan.warmup_rounds - done.index
        if silent > 0:
            step = self._step(self._distiller.compute.images(done.samples.images))
            if step is None:
                return
            seconds += step * plan.steps_per_round * (plan.rounds - plan.warmup_rounds)
        console.print(
            f"takes: about {clock(seconds)} for the rounds, then scores, the ONNX file and the report", soft_wrap=True
        )

    def _step(self, samples: Tensor) -> float | None:
        """Seconds of a step of the student, with what its teacher answers."""
        distiller = self._distiller
        batch = samples.repeat(-(-distiller.plan.batch // len(samples)), 1, 1, 1)[: distiller.plan.batch]
        learnt = seconds_a_step(distiller.student, batch, distiller.compute)
        with torch.no_grad(), distiller.compute.autocast():
            answered = _timed(lambda: distiller.teacher(batch), distiller.compute)
        return None if learnt is None else learnt + answered
