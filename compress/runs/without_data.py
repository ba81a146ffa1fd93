"""Evaluation without data: the agreement of student and teacher on new synthetic images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.stats import norm
from torch import Tensor, nn

from compress import losses
from compress.distillation.distiller import Distiller
from compress.errors import UsageError
from compress.methods import MethodContext, find_method, frozen
from compress.runs.models import find_teacher
from compress.runs.reading import teacher_of
from compress.runs.schema import with_own_sections
from compress.settings import ResolvedSettings
from compress.storage.checkpoints import restore
from compress.storage.run_directory import RunDirectory
from compress.storage.settings_files import load_config, validated
from compress.tasks import make_task
from compress.tasks.data import SOURCES, DataSource, LabelledImages, open_data
from compress.tasks.models import fingerprint
from compress.tasks.models.model_folder import Card, load_model
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers
from compress.training.progress import Steps

IMAGES = 1000
"""Smallest number of images; whole rounds are synthesised."""
CONFIDENCE = 0.95
SEED = 2**31 - 1
"""Of the new images: no run that was given a smaller one has drawn the same."""


@dataclass(frozen=True)
class EstimatedAgreement:
    """The share of positions with the same predicted class, and its interval at `CONFIDENCE`."""

    share: float
    low: float
    high: float
    images: int

    @classmethod
    def of(cls, shares: Tensor) -> EstimatedAgreement:
        """Wilson's interval from one share per image, `[n]`; it is conservative for shares between 0 and 1."""
        n, mean = len(shares), shares.double().mean().item()
        z = float(norm.ppf((1 + CONFIDENCE) / 2))
        centre = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * (mean * (1 - mean) / n + z**2 / (4 * n**2)) ** 0.5
        low, high = max(centre - half, 0.0), min(centre + half, 1.0)
        return cls(mean, min(low, mean), max(high, mean), n)  # of a share of 0 or 1, rounding leaves an end beside it


def agreement_without_data(run: Path, compute: Compute) -> tuple[EstimatedAgreement, Card]:
    """Synthesise new images with the run's final state and compare both networks on them in fp32.

    The student has not been trained on these images, and if the method is adversarial, they maximise its errors. The
    result does not transfer to real images. Raises `UsageError` for what is no finished run of networks by name, for
    another teacher than the run's, and for methods that make no images of the teacher alone.
    """
    folder = RunDirectory.open(run)
    student, card = load_model(run)
    settings = validated(with_own_sections(ResolvedSettings), load_config(str(run / "config.yaml")))
    method = find_method(settings.method)
    if method.needs_collected:
        raise UsageError(f"{settings.method} needs collected images to make new ones: score it on held-out data")
    state = folder.read_checkpoint()
    source = _source(card)
    own_teacher = teacher_of(card.task, settings.teacher, settings.teacher_weights, settings)
    taught_by = compute  # a taught teacher's is a part of its name in the cache
    if own_teacher.weights is None:
        taught_by = Compute.choose(settings.device, settings.precision)
    teacher = find_teacher(own_teacher, source, taught_by, settings.seed)
    if fingerprint(teacher) != card.origin.get("teacher_sha256"):
        raise UsageError(
            f"the teacher {settings.teacher} that is here is not the one {run} was made with: put back its weights"
        )
    for model in (teacher, student):
        compute.place(model)
    task = make_task(source, settings.inversion.targets)
    randomness = torch.Generator().manual_seed(SEED)
    context = MethodContext(
        task=task,
        teacher=frozen(teacher),
        student=student,
        settings=settings,
        mirror=source.mirror,
        execution=Execution(compute=compute, workers=Workers(), randomness=randomness),
    )
    distiller = method.build(context)
    restore(distiller, state)
    randomness.manual_seed(SEED)
    torch.manual_seed(SEED)
    return EstimatedAgreement.of(_shares(distiller, student.eval(), compute)), card


def _shares(distiller: Distiller, student: nn.Module, compute: Compute) -> Tensor:
    """`[n]`: for every new image, the share of positions with the same predicted class."""
    shares: list[Tensor] = []
    with Steps("making images", IMAGES) as steps:
        while (count := sum(map(len, shares))) < IMAGES:
            samples, _ = distiller.inversion.round(distiller.plan.rounds - 1, distiller.randomness)
            for pixels in torch.split(samples.images, 50):
                shares.append(_compared(compute.images(pixels), distiller.teacher, student))
            steps.update(min(count + len(samples.images), IMAGES))
    return torch.cat(shares)


@torch.no_grad()
def _compared(images: Tensor, teacher: nn.Module, student: nn.Module) -> Tensor:
    return losses.agreement(student.eval()(images), teacher(images)).cpu()


def _source(card: Card) -> DataSource:
    """The embedded data, whose teachers are taught; of other data, all that a model's own card says."""
    listing = SOURCES.find(card.data)
    if listing and not listing.on_disk:
        return open_data(card.data, card.task)
    return DataSource(
        name=card.data,
        task=card.task,
        class_names=card.class_names,
        image_shape=card.image_shape,
        training=_nothing,
        held_out=_nothing,
        palette=card.palette,
        image_size=card.image_size,
        crop_size=card.crop_size,
        threshold=card.threshold,
        framing=card.framing,
    )


def _nothing() -> LabelledImages:
    raise UsageError("this estimate uses no data")
