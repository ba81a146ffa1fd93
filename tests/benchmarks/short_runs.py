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
NETWORK, TUNING = "test_resnet", "digits-tuning"
"""timm's smallest residual network teaches a new one of its kind, scored on the scans that tune settings."""


def measured(changes: Mapping[str, Any], seed: int, data: str = TUNING) -> dict[str, Any]:
    """One run with these settings, `method` among them: scores of its last round, and that round's numbers.

    `teacher` and `student` are `NETWORK` unless the settings name others. The teacher is taught on its first use and
    cached. `top1_own_statistics` is the student's score when its batch normalisation takes the statistics of the scans
    themselves: what it would reach if those of its training images were like them.
    """
    named = {"teacher": NETWORK, "student": NETWORK, **changes}
    source, entry = open_data(data, "classification"), find_method(named["method"])
    teacher = taught_teacher(named["teacher"], source, CPU_FLOAT32, 0)
    kept = {"seed": seed, "device": "cpu", "precision": "fp32"}
    settings = validated(DistillSettings, merged(entry.defaults, named, kept))
    student, started = new_model(named["student"], source, seed), time.process_time()
    context = MethodContext.of(
        make_task(source, settings.inversion.targets), teacher, student, settings, mirror=source.mirror
    )
    distiller, last = entry.build(context), dict[str, float]()

    def keep(done: Round) -> None:
        last.clear()
        last.update(done.numbers, mean_pixel=done.samples.images.float().mean().item() / 255)

    distiller.run(keep)
    seconds = round(time.process_time() - started, 1)
    held_out = held_out_of(source)
    return {
        **{name: named[name] for name in ("method", "teacher", "student")}, "seed": seed, "data": data,
        "top1": evaluate(student.eval(), held_out, context.compute).headline,
        "top1_own_statistics": _own_statistics(student, held_out),
        "teacher_top1": evaluate(teacher, held_out, context.compute).headline,
        "last_round": last, "cpu_seconds": seconds, "settings": dict(changes), "torch": torch.__version__,
    }  # fmt: skip


@torch.no_grad()
def _own_statistics(student: nn.Module, held_out: HeldOut) -> float:
    """Top-1 on all scans at once, with batch normalisation by the statistics of these."""
    batches = list(held_out.batches())
    images, targets = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("images", "targets"))
    answers = copy.deepcopy(student).train()(images).argmax(dim=1)
    return (answers == targets).float().mean().item()


def once(file: Path, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The run that is kept in this file, carried out if there is none yet."""
    if not file.is_file():
        write_text(file, json.dumps(run(), indent=1) + "\n")
    kept: dict[str, Any] = json.loads(file.read_text())
    return kept
