"""Teachers and students from settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from torch import nn

from compress.errors import UsageError
from compress.methods import find_method
from compress.runs.forecast import seconds_a_step
from compress.runs.provenance import begin_with
from compress.runs.reading import with_preparation
from compress.settings import ResolvedSettings
from compress.tasks import make_task
from compress.tasks.data import DataSource
from compress.tasks.models import (
    CIFAR_NETWORKS,
    STORED,
    NormalisedModel,
    architecture_name,
    create_model,
    fingerprint,
    fit_weights,
    require_image_size,
)
from compress.tasks.models.binary import USUAL_THRESHOLD, as_one_logit, bare, threshold_of
from compress.tasks.models.classifier_sharing import ClassifierSharing, share_classifier
from compress.tasks.models.model_folder import Card, load_model, save_model
from compress.tasks.models.pretrained import create_pretrained
from compress.tasks.models.synchronised import synchronise
from compress.tasks.packaged_teacher import packaged_teacher
from compress.tasks.teaching import Training, cache_key, usual_plan
from compress.teacher import Teacher
from compress.training.compute import Compute
from compress.training.parallel import Workers
from compress.training.progress import Steps, clock, console


def new_model(name: str, source: DataSource, seed: int, arguments: Mapping[str, Any] | None = None) -> NormalisedModel:
    """An untrained model for the data's classes and size; raises `UsageError` if it cannot take such images.

    `arguments` are of the network's constructor, beside its name.
    """
    torch.manual_seed(seed)
    model = _answering(partial(create_model, arguments=arguments) if arguments else create_model, name, source)
    require_logits(model, name, source)
    return model


def beginning(name: str, source: DataSource, seed: int) -> NormalisedModel:
    """A new model with ImageNet weights if they are available; prints a note if not, where there could be some."""
    with_weights = None if name in CIFAR_NETWORKS else pretrained(name, source, seed)
    return with_weights or new_model(name, source, seed)


def pretrained(name: str, source: DataSource, seed: int) -> NormalisedModel | None:
    """A new model with ImageNet weights; None, with a note, if there are none to be had."""
    torch.manual_seed(seed)  # the decoder or the last layer starts from random weights anyway
    try:
        if name in CIFAR_NETWORKS:
            raise UsageError("there are no ImageNet weights of networks for small images")
        model = _answering(create_pretrained, name, source)
    except UsageError as error:
        console.print(f"{name} starts from random weights: {error}", soft_wrap=True)
        return None
    require_logits(model, name, source)
    return model


def new_student(
    settings: ResolvedSettings, source: DataSource, weights: str | None
) -> tuple[NormalisedModel, str | None]:
    """The student with the weights that it begins with, and their SHA-256; None where they are random.

    `weights` are `pretrained`, a file or a folder; None or `none` is random. Raises `UsageError` for what does not fit.
    """
    if weights == "pretrained":
        model = pretrained(settings.student, source, settings.seed)
        if model is not None:
            console.print(f"{settings.student} begins with its ImageNet weights (--student-weights)", soft_wrap=True)
            return model, fingerprint(model)
    student = new_model(settings.student, source, settings.seed)
    if weights in (None, "none", "pretrained"):
        return student, None
    return student, begin_with(student, Path(weights))


def _answering(create: Callable[..., NormalisedModel], name: str, source: DataSource) -> NormalisedModel:
    """A network with a logit for every class of the data, or with one where there is a threshold."""
    if source.threshold is None:
        return create(source.task, name, len(source.class_names), source.image_shape[1:])
    return as_one_logit(create(source.task, name, 1, source.image_shape[1:]), source.threshold)


def as_answered(source: DataSource, teacher: Teacher) -> DataSource:
    """The data as the weights of a teacher answer it: with a threshold where they have one logit for two classes.

    Raises `UsageError` if they have one logit and the data has other than two classes.
    """
    if teacher.classes != 1 or source.task != "segmentation" or source.threshold is not None:
        return source
    if len(source.class_names) != 2:
        raise UsageError(
            f"{teacher.origin} has one logit, which tells two classes apart, and {source.name} has "
            f"{len(source.class_names)}: list the background and the class that it was trained for"
        )
    threshold = teacher.threshold or USUAL_THRESHOLD
    console.print(
        f"{teacher.name}: one logit; a pixel is {source.class_names[1]!r} from a probability of {threshold}, "
        "`threshold` chooses another",
        soft_wrap=True,
    )
    return replace(source, threshold=threshold)


def require_logits(model: nn.Module, name: str, source: DataSource) -> None:
    """Raise `UsageError` unless the model's logits for the data's images are `[n, k, *s]` with its classes."""
    shape = require_image_size(model, name, source.image_shape)
    positions = {"classification": (), "segmentation": source.image_shape[1:]}.get(source.task, tuple(shape[2:]))
    expected = (1, len(source.class_names), *positions)
    if tuple(shape) != expected:
        hint = "; `compress.tasks.models.binary.OneLogit` makes two classes of one logit" if shape[1:2] == (1,) else ""
        raise UsageError(
            f"{name} answers one image with {list(shape)} where {source.task} needs {list(expected)}{hint}"
        )


def card_of(name: str, source: DataSource, model: NormalisedModel) -> Card:
    """The card of the model's file."""
    mean, std = (tuple(t.flatten().tolist()) for t in (model.mean, model.std))
    shared = model.network if isinstance(model.network, ClassifierSharing) else None
    return Card(
        task=source.task,
        network=architecture_name(name, shared.backbone if shared else bare(model.network)),
        data=source.name,
        class_names=source.class_names,
        image_shape=source.image_shape,
        mean=mean,
        std=std,
        image_size=source.image_size,
        crop_size=source.crop_size,
        framing=source.framing,
        threshold=threshold_of(model),
        palette=make_task(source).spec.palette,
        shared_channels=shared.channels if shared else 0,
    )


def student_of(
    method: str, student: NormalisedModel, teacher: NormalisedModel, source: DataSource, seed: int
) -> NormalisedModel:
    """The student for the method: unchanged, or with the teacher's classifier."""
    if not find_method(method).shares_classifier:
        return student
    torch.manual_seed(seed)  # the projector's weights must not depend on random numbers drawn for the teacher
    return share_classifier(student, teacher, source.image_shape)


def place(teacher: nn.Module, student: nn.Module, compute: Compute, workers: Workers, *, together: bool) -> None:
    """Move both to the device; `together`, the student's batches are normalised over all workers.

    Raises `UsageError` if they cannot be.
    """
    if together:
        synchronise(student, workers, compute.device)
    for model in (teacher, student):
        compute.place(model)


def require_origin(teacher: Teacher, source: DataSource) -> None:
    """Raise `UsageError` if neither a file nor the name has weights and the data is not embedded."""
    if teacher.weights is None and source.fingerprint is None and not teacher.name.startswith(STORED):
        raise UsageError(
            f"no teacher for {source.name}: name its weights with `teacher_weights`, "
            f"or train one with `compress teach --data {source.name}`"
        )


def find_teacher(teacher: Teacher, source: DataSource, compute: Compute, seed: int) -> NormalisedModel:
    """The teacher with its weights from a file, from the name itself or from this package; else one is taught on the
    embedded data, and cached.
    """
    if teacher.weights is not None or teacher.name.startswith(STORED):
        return network_of(teacher, source, seed)
    packaged = packaged_teacher(teacher.name, source.name)
    if packaged:
        console.print(f"teacher {packaged.network}: comes with the package, taught on {source.name}", soft_wrap=True)
        return load_model(packaged.folder)[0]
    return taught_teacher(teacher.name, source, compute, seed)


def network_of(teacher: Teacher, source: DataSource, seed: int) -> NormalisedModel:
    """The teacher with the weights of its file or of its name; raises `UsageError` if it has neither."""
    if teacher.weights is not None:
        return fit_teacher(teacher, source, seed)
    if not teacher.name.startswith(STORED):
        raise UsageError(f"{teacher.name} is a network without weights: give a file of them")
    return unfitted_teacher(teacher, source, seed).eval()


def unfitted_teacher(teacher: Teacher, source: DataSource, seed: int) -> NormalisedModel:
    """The teacher's network with its preparation of images, without the weights of its file."""
    return with_preparation(new_model(teacher.name, source, seed, teacher.arguments), teacher)


def fit_teacher(teacher: Teacher, source: DataSource, seed: int) -> NormalisedModel:
    """The teacher with the weights of its file; says what was decided about them.

    Raises `UsageError` that says what does not fit.
    """
    model = unfitted_teacher(teacher, source, seed)
    notes = fit_weights(bare(model.network), teacher.weights or {}, teacher.origin, teacher.choice)
    for note in (*teacher.notes, *notes):
        console.print(note, soft_wrap=True)
    return model.eval()


def taught_teacher(name: str, source: DataSource, compute: Compute, seed: int) -> NormalisedModel:
    """The default teacher of an embedded data set: from the cache, or trained and cached now."""
    plan = usual_plan(source)
    folder = user_cache_path("compress-kd") / "teachers" / cache_key(name, source, plan, compute, seed)
    if (folder / "README.md").is_file():  # this file is written last
        console.print(f"teacher {name}: read from the cache")
        return load_model(folder)[0]
    model, data = new_model(name, source, seed), source.training()
    compute.place(model)
    step = seconds_a_step(model, compute.images(data.images[: plan.batch]), compute)
    cost = "" if step is None else f", about {clock(step * plan.steps)}"
    console.print(
        f"teacher {name}: not in the cache, taught once on {source.name} in {plan.steps} steps{cost}", soft_wrap=True
    )
    with Steps("teaching", plan.steps) as steps:
        training = Training(model, data, source, plan, compute, seed)
        training.run(lambda done, loss: steps.update(done, f"loss {loss:.3f}"))
    save_model(folder, model.cpu(), card_of(name, source, model), f"# {name}, taught on {source.name}\n")
    return model
