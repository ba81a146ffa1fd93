"""The report's view of held-out images: some with predictions, and the confusions of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compress.storage.run_directory import write_png
from compress.task import Batch, HeldOut
from compress.tasks.data import LabelledImages
from compress.training.compute import Compute

SHOWN = 12


def mistakes(counts: Tensor | None, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """The non-zero counts of a confusion matrix `[k, k]` by name, the true class first."""
    if counts is None:
        return {}
    return {
        name: {names[predicted]: int(row[predicted]) for predicted in row.nonzero().flatten().tolist()}
        for name, row in zip(names, counts, strict=True)
        if row.any()
    }


@torch.no_grad()
def show_held_out(
    folder: Path, split: LabelledImages, held_out: HeldOut, networks: Sequence[nn.Module], compute: Compute
) -> list[dict[str, Any]]:
    """Some held-out images, evenly spread, as pictures in `folder`, with the predictions of teacher and student."""
    chosen = torch.linspace(0, len(split) - 1, min(SHOWN, len(split))).round().long()
    sizes = None if split.sizes is None else split.sizes[chosen]
    some = replace(split, images=split.images[chosen], targets=split.targets[chosen], sizes=sizes)
    shown: list[dict[str, Any]] = []
    for batch in some.batches(SHOWN):
        images = batch.images.to(compute.device).contiguous(memory_format=torch.channels_last)
        answers = [network(images).float().cpu() for network in networks]
        for at in range(len(images)):
            one, file = Batch(batch.images[[at]], batch.targets[[at]]), folder / f"{len(shown) + 1:02d}.png"
            entry = _shown(file, one, [logits[[at]] for logits in answers], held_out)
            shown.append({"picture": f"{folder.name}/{file.name}", **entry})
    return shown


def _shown(file: Path, one: Batch, answers: Sequence[Tensor], held_out: HeldOut) -> dict[str, Any]:
    """One image, with its true and predicted class names or beside its label maps."""
    teacher, student = (logits.argmax(dim=1) for logits in answers)
    counted = one.targets != held_out.spec.ignore_index
    facts = {"right": (student == one.targets)[counted].float().mean().item() if counted.any() else None}
    if one.targets.ndim > 1:
        write_png(file, held_out.picture(one, *answers, target="label"))
        return facts
    write_png(file, one.images[0].mul(255).round().to(torch.uint8))
    names = {"label": one.targets, "teacher": teacher, "student": student}
    return facts | {role: held_out.spec.class_names[int(classes)] for role, classes in names.items()}
