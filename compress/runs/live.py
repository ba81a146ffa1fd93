"""What can be seen of a run while it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from compress.distillation.distiller import Distiller
from compress.distillation.round import Round
from compress.training.progress import Steps

LOSSES = (
    "kl", "l1", "alignment", "hints", "one_hot", "bn", "hinge", "recognised", "adversarial", "disagreement",
    "competition", "logit_distance", "activation", "balance", "variation", "instance",
)  # fmt: skip
"""Loss terms in the order in which they are shown; those of a method of somebody else's follow."""
NO_LOSSES = frozenset({"round", "agreement", "confidence", "variety", "collapsed", "skipped", "admitted"})


def phase(distiller: Distiller) -> str:
    """What is being done: samples before the student learns, samples of a round, or the student's steps."""
    if distiller.next_round < distiller.plan.warmup_rounds:
        return "warming up"
    return "distilling" if distiller.partial or distiller.next_round == distiller.plan.rounds else "inverting"


class Live:
    """Phase, place within the round, images per second, agreement and losses, for a bar or for plain lines.

    Images per second of the clock, since the run was begun or taken up, or since its warm-up ended: "made" are new
    samples, "learnt from" is what the student was shown, a sample again whenever it was drawn again.

    The agreement is the student's with its teacher on the samples of a round's steps, synthetic ones. The best so far
    tells whether it still rises, and nothing else: the last student is the one that is handed over. There is no score
    on held-out images before the end, so that nobody chooses a round by the images that the result is judged on.
    """

    def __init__(self, distiller: Distiller, steps: Steps, rows: Iterable[Mapping[str, float]]) -> None:
        """`rows` are the numbers of the rounds so far."""
        self._distiller, self._steps = distiller, steps
        self.go_on(rows)

    def go_on(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Count from here on: `rows` are the numbers of the rounds that are behind."""
        self._losses, self._agreement, self._best = "", "", 0.0
        for row in rows:
            self._read(row)
        self._count()

    def _count(self) -> None:
        """Begin to count images, and to judge how long the rest takes."""
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
        """There is something new to see."""
        begun, now = self._distiller.partial, phase(self._distiller)
        place = f"step {begun.done + 1} of {self._distiller.plan.steps_per_round}" if begun else ""
        words = "  ".join(filter(None, (place, self._speed(), self._agreement)))
        self._steps.update(self._rounds(), words, self._losses, title=now)

    def _rounds(self) -> float:
        """How many are done, with the part of the one that is under way."""
        begun = self._distiller.partial
        part = begun.done / self._distiller.plan.steps_per_round if begun else 0.0
        return self._distiller.next_round + part

    def add(self, done: Round, row: Mapping[str, float]) -> None:
        """A round is done, with these numbers."""
        if done.index != self._begun_before:
            self._made += len(done.samples.images)
        self._read(row)
        if phase(self._distiller) == "warming up":
            self._steps.restart(self._rounds())  # no student has learnt yet, which is what takes the time
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
