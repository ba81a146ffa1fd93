"""The objective of an inversion: a sum of named, weighted terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from compress import losses
from compress.training.schedules import Constant, Schedule

COMPETITION_TEMPERATURE = 3.0
"""DeepInversion's τ."""


@dataclass(frozen=True, kw_only=True)
class View:
    """The inputs of the terms in one inversion step. Inputs that no active term needs are None."""

    images: Tensor
    """`[n, 3, h, w]` in [0, 1], the teacher's input after random augmentation."""
    targets: Tensor
    teacher_logits: Tensor
    ignore_index: int
    student_logits: Tensor | None = None
    bn_distance: Tensor | None = None
    teacher_features: Tensor | None = None
    """`[n, c, *s]`: the input of the teacher's last layer."""
    instance_distance: Tensor | None = None
    """`[n]`: see `compress.synthesis.instances`."""
    patch_entropy: Tensor | None = None
    """`[n]`: see `compress.synthesis.patch_entropy`."""


def one_hot(view: View) -> Tensor:
    """Cross-entropy of the teacher to the drawn targets, `[n]` (DAFL's and FastDFKD's L_oh)."""
    return losses.cross_entropy(view.teacher_logits, view.targets, view.ignore_index)


def adversarial(view: View) -> Tensor:
    """FastDFKD's L_adv, `[n]`: see `losses.adversarial`."""
    assert view.student_logits is not None
    return losses.adversarial(view.student_logits, view.teacher_logits)


def disagreement(view: View) -> Tensor:
    """−KL(teacher ‖ student) at τ = 1, `[n]` (ZSKT, DFQ)."""
    assert view.student_logits is not None
    return -losses.kl(view.student_logits, view.teacher_logits)


def logit_distance(view: View) -> Tensor:
    """−log(L1 + 1) of the mean distance of logits, `[]` (DFAD): it falls as −L1 does, with a bounded gradient."""
    assert view.student_logits is not None
    return -torch.log1p(losses.l1(view.student_logits, view.teacher_logits).mean())


def competition(view: View) -> Tensor:
    """−JS(teacher, student) at τ = 3, `[n]` (Adaptive DeepInversion)."""
    assert view.student_logits is not None
    return -losses.jensen_shannon(view.student_logits, view.teacher_logits, COMPETITION_TEMPERATURE)


def bn(view: View) -> Tensor:
    """Distance to the teacher's batch normalisation statistics, `[]`: a property of the batch, not of a sample."""
    assert view.bn_distance is not None
    return view.bn_distance


def activation(view: View) -> Tensor:
    """−mean|f| of the input of the teacher's last layer, `[n]` (DAFL): real images activate it strongly."""
    assert view.teacher_features is not None
    return -view.teacher_features.float().abs().flatten(1).mean(dim=1)


def balance(view: View) -> Tensor:
    """Σ p̄ log p̄ of the teacher's mean prediction over batch and positions, `[]` (DAFL, DFQ): lowest if balanced."""
    shares = losses.class_shares(view.teacher_logits).mean(dim=0)
    return (shares * shares.clamp(min=1e-12).log()).sum()


def variation(view: View) -> Tensor:
    """Total variation, `[n]`: L2 norms of the differences to horizontal, vertical and both diagonal neighbours
    (DeepInversion)."""
    images = view.images.float()
    differences = (
        images[..., :, 1:] - images[..., :, :-1],
        images[..., 1:, :] - images[..., :-1, :],
        images[..., 1:, 1:] - images[..., :-1, :-1],
        images[..., 1:, :-1] - images[..., :-1, 1:],
    )
    return torch.stack([torch.linalg.vector_norm(d.flatten(1), dim=1) for d in differences]).sum(dim=0)


def instance(view: View) -> Tensor:
    """CMI's contrastive term, `[n]`: high for images that are similar to others."""
    assert view.instance_distance is not None
    return view.instance_distance


def patch_entropy(view: View) -> Tensor:
    """−H of the similarities of an image's patches in the teacher, `[]` (PSAQ-ViT): a prior, for the whole batch."""
    assert view.patch_entropy is not None
    return -view.patch_entropy.mean()


@dataclass(frozen=True, kw_only=True)
class Term:
    """One loss term of an inversion; a method adds its own with `Objective(weights, {"name": Term(...)})`."""

    value: Callable[[View], Tensor]
    """One value per sample `[n]`, or one for the whole batch `[]`; unreduced and unweighted."""
    needs: frozenset[str] = frozenset()
    """Fields of the view that are None unless a term needs them: `student_logits`, `bn_distance`, `teacher_features`,
    `instance_distance`, `patch_entropy`."""
    meaning: str = ""
    """A short explanation of the number, for the live view and the report."""


STUDENT = frozenset({"student_logits"})
TERMS: Mapping[str, Term] = {
    "one_hot": Term(value=one_hot, meaning="cross-entropy of the teacher to the targets"),
    "adversarial": Term(
        value=adversarial, needs=STUDENT, meaning="the student's disagreement that samples seek, negative"
    ),
    "disagreement": Term(
        value=disagreement, needs=STUDENT, meaning="divergence of student and teacher that samples seek, negative"
    ),
    "logit_distance": Term(
        value=logit_distance, needs=STUDENT, meaning="between student and teacher, sought by samples, negative"
    ),
    "competition": Term(
        value=competition, needs=STUDENT, meaning="divergence of student and teacher that samples seek, negative"
    ),
    "bn": Term(
        value=bn, needs=frozenset({"bn_distance"}), meaning="distance to the teacher's batch-normalisation statistics"
    ),
    "activation": Term(
        value=activation,
        needs=frozenset({"teacher_features"}),
        meaning="strength of the teacher's last features, negative",
    ),
    "balance": Term(value=balance, meaning="of a round's samples: least when classes are even"),
    "variation": Term(value=variation, meaning="between neighbouring pixels"),
    "instance": Term(
        value=instance, needs=frozenset({"instance_distance"}), meaning="how hard images are to tell from one another"
    ),
    "patch_entropy": Term(
        value=patch_entropy,
        needs=frozenset({"patch_entropy"}),
        meaning="variety of the similarities of patches in the teacher, negative",
    ),
}


@dataclass(frozen=True)
class Objective:
    """Terms by name with their weights, which may change over the rounds; a method is largely such a dictionary."""

    weights: Mapping[str, Schedule]
    own: Mapping[str, Term] = field(default_factory=dict)
    """Terms that a method defines itself, in addition to `TERMS` or in place of one of them."""

    def term(self, name: str) -> Term:
        """The term of that name."""
        return self.own[name] if name in self.own else TERMS[name]

    @property
    def meanings(self) -> dict[str, str]:
        """The explanation of each term, by name."""
        return {name: self.term(name).meaning for name in self.weights}

    def active(self, round_index: int) -> dict[str, float]:
        """The terms with a nonzero weight in this round, and their weights."""
        weights = {name: schedule(round_index) for name, schedule in self.weights.items()}
        return {name: weight for name, weight in weights.items() if weight != 0}

    def needs(self, view_field: str, round_index: int | None = None) -> bool:
        """Whether a term with a nonzero weight in this round, or by default in any, needs a field of the view."""
        ever_active = [name for name, schedule in self.weights.items() if schedule != Constant(0.0)]
        names = ever_active if round_index is None else self.active(round_index)
        return any(view_field in self.term(name).needs for name in names)

    def __call__(self, view: View, sample_weights: Tensor, round_index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The total `[]`, and each term's unweighted mean. `sample_weights [n]` scale the per-sample terms."""
        total, means = view.teacher_logits.new_zeros(()), {}
        for name, weight in self.active(round_index).items():
            value = self.term(name).value(view)
            means[name] = value.detach().mean()
            total = total + weight * (value * sample_weights if value.ndim else value).mean()
        return total.float(), means
