"""Small distillers on the fake task, on any device."""

from __future__ import annotations

from typing import Any

import torch
from small_networks import Halves, tiny_vit, without_normalisation
from torch import Tensor
from torch.utils._pytree import tree_leaves

from compress.distillation.distiller import Distiller
from compress.distillation.round import Round
from compress.gan.collected import Collected
from compress.methods import METHODS, MethodContext
from compress.settings import DistillSettings
from compress.storage.settings_files import merged
from compress.testing import FakeTask
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers

EXACT = not torch.cuda.is_available()
"""The pretend device computes on the processor: it rounds as that does."""
SMALL = {
    "inversion": {"samples": 8, "steps": 2, "latent": 16, "width": 8},
    "replay": {"capacity": 24},
    "gan": {"iterations": 2, "batch": 8, "latent": 8, "width": 8, "samples": 12, "capacity": 24, "inflation": 3},
    "distillation": {"rounds": 3, "warmup": 1, "steps": 2, "batch": 6, "lr": 0.05},
}


def make(
    device: torch.device,
    method: str = "ssd-kd",
    *,
    positions: bool = False,
    normalised: bool = True,
    photographs: bool = False,
    transformer: bool = False,
    **sections: Any,
) -> Distiller:
    """A small distiller there, which has collected images if its method needs them or they are asked for."""
    torch.manual_seed(0)
    task, entry = FakeTask(positions=positions), METHODS[method]
    teacher, student = task.teacher(), task.student()
    if entry.shares_classifier:
        teacher, student = Halves(8).eval().requires_grad_(requires_grad=False), Halves(4)
    if transformer:
        teacher = tiny_vit(patch=2)
    if not normalised:
        without_normalisation(teacher)
    compute = Compute(device, torch.float32, sections.pop("capture", "off"))
    for network in (teacher, student):
        compute.place(network)
    settings = {name: part for name, part in SMALL.items() if name != "gan" or method == "hidfd"}
    settings = DistillSettings.model_validate(merged(entry.defaults, settings, {"method": method, **sections}))
    noise = torch.randint(256, (30, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    collected = Collected(noise, torch.arange(30) % 4) if entry.needs_collected or photographs else None
    randomness = torch.Generator().manual_seed(0)
    return entry.build(
        MethodContext(
            task=task,
            teacher=teacher,
            student=student,
            settings=settings,
            mirror=True,
            execution=Execution(compute=compute, workers=Workers(), randomness=randomness),
            collected=collected,
        )
    )


def run(distiller: Distiller) -> list[Round]:
    rounds: list[Round] = []
    distiller.run(rounds.append)
    return rounds


def close(one: object, other: object) -> bool:
    """Whether two states hold the same numbers: to the last bit on the pretend device, nearly on a real one."""
    pairs = zip(tree_leaves(one), tree_leaves(other), strict=True)
    return all(_close(a, b) for a, b in pairs)


def _close(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor):
        return bool(one == other)
    one, other = one.cpu(), other.cpu()
    return torch.equal(one, other) if EXACT else torch.allclose(one.float(), other.float(), rtol=0.05, atol=0.05)
