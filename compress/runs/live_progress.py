"""Live progress of a run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from compress.distillation.distiller import Distiller
from compress.distillation.round import Round
from compress.training.progress import Steps

LOSSES = (
    "kl", "l1", "alignment", "hints", "one_hot", "bn", "hinge", "recognised", "adversarial", "disagreement",
    "competition", "logit_distance", "activation", "balance", "variation", "instance",
    "patch_entropy",
)  # fmt: skip
"""Loss terms in the order in which they are shown; those of a method of somebody else's follow."""
NO_LOSSES = frozenset({
    "round", "agreement", "confidence", "variety", "collapsed", "skipped", "admitted", "evenness", "bn_distance",
    "answer_spread", "collected_evenness", "majority", "standstill",
})  # fmt: skip


def phase(distiller: Distiller) -> str:
    """The phase of a run: warm-up, inversion of a round, or student steps."""
    if distiller.next_round < distiller.plan.warmup_rounds:
        return "warming up"
    return "distilling" if distiller.partial or distiller.next_round == distiller.plan.rounds else "inverting"


class Live:
    """Phase, progress within the round, images per second, agreement and losses, for a bar or plain lines.

    Images per second are of wall-clock time since the start of the process or the end of the warm-up. "made" counts new
    samples, "learnt from" the samples of student steps, repeats included.

    The agreement is that of student and teacher on the synthetic samples of a round's steps. The best so far only shows
    whether it still rises, because the last student is the result. There is no score on held-out images before the end,
    so that no round is selected by the images of the final score.
    """

    def __init__(self, distiller: Distiller, steps: Steps, rows: Iterable[Mapping[str, float]]) -> None:
        """`rows` are the numbers of the finished rounds."""
        self._distiller, self._steps = distiller, steps
        self.go_on(rows)

    def go_on(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Start counting here; `rows` are the numbers of the finished rounds."""
        self._losses, self._agreement, self._best = "", "", 0.0
        for row in rows:
            self._read(row)
        self._count()

    def _count(self) -> None:
        """Start counting images and estimating the ETA."""
        self._since, self._made, self._first_step = time.monotonic(), 0, self._distiller.step
        self._begun_before = self._distiller.next_round if self._distiller.partial else None
        self._steps.restart(self._rounds())

    def _read(self, row: Mapping[str, float]) -> None:
        others = [n for n in row if n not in NO_LOSSES and n not in LOSSES and not n.startswith("buffer_")]
        self._losses = "  ".join(f"{name} {row[name]:.3f}" for name in (*LOSSES, *others) if name in row)
        if "agreement" in row:
            self._best = max(self._best, row["agreement"])
            self._agreement = f"agreement {row['agreement']:.3f}, best {self._best:.3f}"

    def moved(self) -> None:
        """Update the display."""
        begun, now = self._distiller.partial, phase(self._distiller)
        place = f"step {begun.done + 1} of {self._distiller.plan.steps_per_round}" if begun else ""
        words = "  ".join(filter(None, (place, self._speed(), self._agreement)))
        self._steps.update(self._rounds(), words, self._losses, title=now)

    def _rounds(self) -> float:
        """Finished rounds, including the finished fraction of the current one."""
        begun = self._distiller.partial
        part = begun.done / self._distiller.plan.steps_per_round if begun else 0.0
        return self._distiller.next_round + part

    def add(self, done: Round, row: Mapping[str, float]) -> None:
        """Record a finished round with its numbers."""
        if done.index != self._begun_before:
            self._made += len(done.samples.images)
        self._read(row)
        if phase(self._distiller) == "warming up":
            self._steps.restart(self._rounds())  # rounds without student steps say nothing about the ETA
        elif done.index + 1 == self._distiller.plan.warmup_rounds:
            self._count()
        self.moved()

    def _speed(self) -> str:
        seconds = max(time.monotonic() - self._since, 1e-3)
        shown = (self._distiller.step - self._first_step) * self._distiller.plan.batch
        counts = {"made": self._made, "learnt from": shown}
        rates = ", ".join(f"{_rounded(count / seconds)} {name}" for name, count in counts.items() if count)
        return f"images/s: {rates}" if rates else ""


def _rounded(rate: float) -> str:
    return f"{rate:.1f}" if rate < 10 else f"{rate:.0f}"
