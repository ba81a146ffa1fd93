"""Runs of seconds to minutes of one thread, without a folder: what the comparisons on the embedded digits share."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compress.distillation.distiller import Distiller
from compress.distillation.round import Round
from compress.methods import find_method
from compress.methods.context import MethodContext
from compress.runs.evaluation import evaluate
from compress.runs.models import new_model, taught_teacher
from compress.settings import DistillSettings
from compress.storage.files import write_text
from compress.storage.settings_files import merged, validated
from compress.task import HeldOut
from compress.tasks import held_out_of, make_task
from compress.tasks.data import open_data
from compress.training.compute import CPU_FLOAT32

RESULTS = Path(__file__).parent / "results" / "digits"
NETWORK, TUNING, HELD_OUT = "test_resnet", "digits-tuning", "digits"
"""timm's smallest residual network teaches a new one of its kind. Both data sets have the same training scans."""
UNIFORM_BATCHES = 50


def measured(
    changes: Mapping[str, Any], seed: int, build: Callable[[MethodContext], Distiller] | None = None
) -> dict[str, Any]:
    """One run with these settings, `method` among them: scores of its last round, and that round's numbers.

    `top1` is of the scans that tune settings, `top1_held_out` of those that choose nothing. `build` is another recipe
    of the engine in the method's place.

    `teacher` and `student` are `NETWORK` unless the settings name others. The teacher is taught on its first use and
    cached. `top1_own_statistics` is the student's score when its batch normalisation takes the statistics of the scans
    themselves: what it would reach if those of its training images were like them. `top1_uniform_statistics` is its
    score when these are estimated anew on uniform draws from the buffer, whatever the batches were drawn by.
    """
    named = {"teacher": NETWORK, "student": NETWORK, **changes}
    source, entry = open_data(TUNING, "classification"), find_method(named["method"])
    teacher = taught_teacher(named["teacher"], source, CPU_FLOAT32, 0)
    kept = {"seed": seed, "device": "cpu", "precision": "fp32"}
    settings = validated(DistillSettings, merged(entry.defaults, named, kept))
    student, started = new_model(named["student"], source, seed), time.process_time()
    context = MethodContext.of(
        make_task(source, settings.inversion.targets), teacher, student, settings, mirror=source.mirror
    )
    distiller, last = (build or entry.build)(context), dict[str, float]()

    def keep(done: Round) -> None:
        last.clear()
        last.update(done.numbers, mean_pixel=done.samples.images.float().mean().item() / 255)

    distiller.run(keep)
    seconds = round(time.process_time() - started, 1)
    held_out, others = held_out_of(source), held_out_of(open_data(HELD_OUT, "classification"))
    return {
        **{name: named[name] for name in ("method", "teacher", "student")}, "seed": seed,
        "top1": evaluate(student.eval(), held_out, context.compute).headline,
        "top1_held_out": evaluate(student.eval(), others, context.compute).headline,
        "top1_own_statistics": _own_statistics(student, held_out),
        "top1_uniform_statistics": evaluate(_of_uniform_draws(distiller), held_out, context.compute).headline,
        "teacher_top1": evaluate(teacher, held_out, context.compute).headline,
        "teacher_top1_held_out": evaluate(teacher, others, context.compute).headline,
        "last_round": last, "cpu_seconds": seconds, "settings": dict(changes), "torch": torch.__version__,
    }  # fmt: skip


@torch.no_grad()
def _own_statistics(student: nn.Module, held_out: HeldOut) -> float:
    """Top-1 on all scans at once, with batch normalisation by the statistics of these."""
    batches = list(held_out.batches())
    images, targets = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("images", "targets"))
    answers = copy.deepcopy(student).train()(images).argmax(dim=1)
    return (answers == targets).float().mean().item()


@torch.no_grad()
def _of_uniform_draws(distiller: Distiller) -> nn.Module:
    """A copy of the student whose batch normalisation has the mean statistics of uniform draws from the buffer."""
    student, held = copy.deepcopy(distiller.student).train(), distiller.buffer.state_dict()["images"]
    for layer in student.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the mean of all batches
    chance = torch.Generator().manual_seed(0)
    for _ in range(UNIFORM_BATCHES):
        index = torch.randint(len(held), (distiller.plan.batch,), generator=chance)
        student(distiller.compute.images(held[index]))
    return student.eval()


def once(file: Path, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The run that is kept in this file, carried out if there is none yet."""
    if not file.is_file():
        write_text(file, json.dumps(run(), indent=1) + "\n")
    kept: dict[str, Any] = json.loads(file.read_text())
    return kept
