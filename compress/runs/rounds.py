"""The rounds of a run as the command line sees them: shown, recorded, mended, and stopped when the user asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from typing import Any

import torch

from compress.distillation.distiller import Distiller
from compress.distillation.round import Round
from compress.errors import CompressError, Diverged, Interrupted
from compress.runs.events import EventFiles
from compress.runs.forecast import Forecast
from compress.runs.live_progress import Live, phase
from compress.storage.history import History
from compress.storage.run_directory import RunDirectory
from compress.task import Batch
from compress.training.progress import Steps, console
from compress.training.stopping import StopSignal

SECONDS_BETWEEN_CHECKPOINTS = 60.0
SLOWEST = 1 / 8  # smallest factor of the learning rates: three times half
SHOWN = 24  # samples in a picture
Picture = Callable[..., torch.Tensor]
"""A batch and the logits of teacher and student -> a uint8 RGB picture `[3, H, W]`."""


class Record:
    """What a run leaves while it goes on: a line and numbers of each round, pictures, checkpoints."""

    def __init__(
        self,
        distiller: Distiller,
        run: RunDirectory,
        kept: dict[str, Any],
        live: Live,
        events: EventFiles | None,
        picture: Picture,
    ) -> None:
        """`kept` is what a checkpoint holds beside the distiller's state: `history`, the numbers of the rounds so far,
        and what else the caller wants to find there.
        """
        self._distiller, self._run, self._kept = distiller, run, kept
        self._live, self._events, self._picture = live, events, picture
        self._history = History(run.path, kept["history"])
        self._forecast, self._saved = Forecast(distiller), time.monotonic()
        total = distiller.plan.rounds
        self._drawn = {0, distiller.plan.warmup_rounds - 1, total // 2, total - 1}

    def add(self, done: Round) -> None:
        """Record a round, with a checkpoint if the last one is old enough."""
        total, row = self._distiller.plan.rounds, {"round": done.index, **done.numbers}
        self._history.add(row)
        self._run.log(f"round {done.index + 1}/{total} " + " ".join(f"{k} {v:.4f}" for k, v in done.numbers.items()))
        if self._events:
            self._events.add(row)
        if done.notice:
            self.say(f"round {done.index + 1}: {done.notice}", style="yellow")
        if done.index in self._drawn:
            self._draw(done)
        self._forecast.after(done)
        self._live.add(done, row)
        if time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS or done.index + 1 == total:
            self.save()

    def _draw(self, done: Round) -> None:
        picture = self._picture(*_answered(self._distiller, done)).cpu()
        self._run.write_picture(f"round-{done.index + 1:04d}", picture)
        if self._events:
            self._events.add_picture(picture, done.index)

    def say(self, line: str, style: str = "") -> None:
        """Print a line and append it to the log."""
        console.print(line, style=style, soft_wrap=True)
        self._run.log(line)

    def save(self) -> None:
        """A checkpoint."""
        self._run.write_checkpoint({**self._distiller.state_dict(), **self._kept})
        self._saved = time.monotonic()

    def go_back(self, reason: Diverged) -> None:
        """Continue from the last checkpoint with half of its learning rates, and save them in it."""
        state = self._run.read_checkpoint()
        self._kept["history"] = state["history"]
        scale = self._distiller.learning_rate_scale / 2
        self._distiller.load_state_dict(state)
        self._distiller.scale_learning_rates(scale)
        self.save()
        self._history = History(self._run.path, state["history"])
        self._live.go_on(state["history"])
        if self._events:
            self._events.go_back(self._distiller.next_round)
        line = f"{reason}: back to round {self._distiller.next_round} with half the learning rates"
        self.say(line, style="yellow")


def lead(
    distiller: Distiller,
    run: RunDirectory,
    kept: dict[str, Any],
    *,
    picture: Picture,
    tensorboard: bool = False,
    heed_signals: bool = False,
) -> None:
    """All rounds, recorded in `run`, samples drawn by `picture`; with `tensorboard` also as event files.

    Raises `Interrupted` after a checkpoint if asked to stop by Ctrl-C or SIGTERM, which only `heed_signals` listens to.

    Raises `CompressError` if losses are NaN or infinite with an eighth of the learning rates, too.
    """
    stopping, total = StopSignal("step", heed_signals=heed_signals), distiller.plan.rounds
    events = EventFiles(run.events, distiller.next_round) if tensorboard else None
    with (
        closing(events) if events else nullcontext(),
        stopping,
        Steps(phase(distiller), total, distiller.next_round) as steps,
    ):
        live = Live(distiller, steps, kept["history"])
        record = Record(distiller, run, kept, live, events, picture)
        if not run.checkpoint.is_file():
            record.save()
        try:
            _mend(distiller, record.add, stopping, record.go_back, live.moved)
        except Interrupted as error:
            record.save()
            raise Interrupted(
                f"stopped after {distiller.next_round} of {total} rounds: `resume` with `out` {run.path} continues"
            ) from error


def follow(distiller: Distiller, *, heed_signals: bool = False) -> None:
    """The rounds of every worker but the first: its share of the work; it stops when any is asked to."""
    stopping = StopSignal("round", heed_signals=heed_signals)
    with stopping, suppress(Interrupted):
        _mend(distiller, lambda _: None, stopping, lambda _: None)


def _mend(
    distiller: Distiller,
    after_round: Callable[[Round], None],
    stopping: StopSignal,
    go_back: Callable[[Diverged], None],
    moved: Callable[[], None] = lambda: None,
) -> None:
    """All rounds that are left, from where `go_back` leads whenever they diverge; all workers diverge together."""
    while distiller.next_round < distiller.plan.rounds:
        try:
            distiller.run(after_round, stopping, moved)
        except Diverged as error:
            if distiller.learning_rate_scale <= SLOWEST:
                raise CompressError(
                    f"{error}, with an eighth of the learning rates too: lower distillation.lr or "
                    "inversion.lr_generator, or check the teacher"
                ) from error
            go_back(error)
            distiller.workers.align(distiller)


@torch.no_grad()
def _answered(distiller: Distiller, done: Round) -> tuple[Batch, torch.Tensor, torch.Tensor]:
    """Some samples of a round, with the logits of teacher and student."""
    samples = done.samples
    images = distiller.compute.images(samples.images[:SHOWN])
    was_training = distiller.student.training
    with distiller.compute.autocast():
        teacher, student = (network(images).float() for network in (distiller.teacher, distiller.student.eval()))
    distiller.student.train(was_training)
    return Batch(images, samples.targets[:SHOWN]), teacher, student
