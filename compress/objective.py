"""What an inversion minimises: named, weighted terms over one view of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from compress import losses
from compress.schedules import Schedule


@dataclass(frozen=True)
class View:
    """All that a term may look at in one inversion step."""

    targets: Tensor
    teacher_logits: Tensor
    student_logits: Tensor | None
    """None while no term with a weight needs the student."""
    bn_distance: Tensor
    ignore_index: int


def one_hot(view: View) -> Tensor:
    """Cross-entropy of the teacher to the drawn targets, `[n]` (DAFL's and FastDFKD's L_oh)."""
    return losses.cross_entropy(view.teacher_logits, view.targets, view.ignore_index)


def adversarial(view: View) -> Tensor:
    """FastDFKD's L_adv, `[n]`: see `losses.adversarial`."""
    assert view.student_logits is not None
    return losses.adversarial(view.student_logits, view.teacher_logits)


def bn(view: View) -> Tensor:
    """Distance to the teacher's batch normalisation statistics, `[]`: it belongs to the batch, not to a sample."""
    return view.bn_distance


TERMS: Mapping[str, Callable[[View], Tensor]] = {"one_hot": one_hot, "adversarial": adversarial, "bn": bn}
NEEDS_STUDENT = frozenset({"adversarial"})


@dataclass(frozen=True)
class Objective:
    """A paper is largely a dictionary of weights: term name to its weight over rounds."""

    weights: Mapping[str, Schedule]

    def active(self, round_index: int) -> dict[str, float]:
        """The terms that count in this round, with their weights."""
        weights = {name: schedule(round_index) for name, schedule in self.weights.items()}
        return {name: weight for name, weight in weights.items() if weight != 0}

    def needs_student(self, round_index: int) -> bool:
        """Whether this round's terms look at the student's logits."""
        return not NEEDS_STUDENT.isdisjoint(self.active(round_index))

    def __call__(self, view: View, sample_weights: Tensor, round_index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The total `[]` and each term's plain mean; `sample_weights [n]` scale the per-sample terms."""
        total, means = view.teacher_logits.new_zeros(()), {}
        for name, weight in self.active(round_index).items():
            value = TERMS[name](view)
            means[name] = value.detach().mean()
            total = total + weight * (value * sample_weights if value.ndim else value).mean()
        return total.float(), means
