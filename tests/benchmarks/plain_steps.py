"""Steps of both halves of a run as a user would write them in plain torch: what the engine's are compared with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import backward

from compress.synthesis.generators import ConditionalGenerator
from compress.training.compute import Compute

CLASSES = 10


class StudentLoop:
    """A step of SGD on the teacher's soft answers to one batch of images."""

    def __init__(self, teacher: nn.Module, student: nn.Module, compute: Compute, batch: int, side: int) -> None:
        self._teacher, self._student, self._compute = teacher.eval(), student.train(), compute
        self._optimizer = torch.optim.SGD(
            student.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True
        )
        images = torch.rand(batch, 3, side, side).to(compute.device)
        self._images = images.contiguous(memory_format=torch.channels_last)

    def step(self) -> Tensor:
        """One step; its loss."""
        self._student.train()
        self._optimizer.zero_grad()
        with self._compute.autocast():
            with torch.no_grad():
                answers = self._teacher(self._images).float().softmax(dim=1)
            loss = -(answers * self._student(self._images).float().log_softmax(dim=1)).sum(dim=1).mean()
        backward(loss)
        self._optimizer.step()
        return loss.detach()


class InversionLoop:
    """A step of Adam on a generator and its latents for batch statistics, targets and the student's disagreement."""

    def __init__(
        self, teacher: nn.Module, student: nn.Module, compute: Compute, batch: int, side: int, *, maps: bool = False
    ) -> None:
        self._teacher, self._student, self._compute = teacher.eval(), student.eval(), compute
        self._generator = ConditionalGenerator(CLASSES, (3, side, side))
        compute.place(self._generator)
        self._latents = torch.randn(batch, self._generator.latent).to(compute.device).requires_grad_()
        self._targets = torch.randint(CLASSES, (batch, side, side) if maps else (batch,)).to(compute.device)
        on_card = compute.device.type == "cuda"
        learning = [*self._generator.parameters(), self._latents]
        self._optimizer = torch.optim.Adam(learning, 1e-3, betas=(0.5, 0.999), fused=True, capturable=on_card)
        self._distances: list[Tensor] = []

    def step(self) -> Tensor:
        """One step; its loss. The hooks are there meanwhile only, and the student needs no gradients."""
        self._student.eval().requires_grad_(requires_grad=False)
        layers = [m for m in self._teacher.modules() if isinstance(m, nn.BatchNorm2d)]
        hooks = [layer.register_forward_pre_hook(self._measure) for layer in layers]
        self._optimizer.zero_grad()
        self._distances = []
        with self._compute.autocast():
            images = self._generator(self._latents, self._targets)
            answers, guesses = self._teacher(images).float(), self._student(images).float()
        kl = nn.functional.kl_div(guesses.log_softmax(dim=1), answers.softmax(dim=1), reduction="batchmean")
        loss = nn.functional.cross_entropy(answers, self._targets) - kl + 10 * torch.stack(self._distances).mean()
        backward(loss)
        self._optimizer.step()
        for hook in hooks:
            hook.remove()
        self._student.requires_grad_()
        return loss.detach()

    def _measure(self, layer: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        assert layer.running_mean is not None
        assert layer.running_var is not None
        variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3), correction=0)
        self._distances.append((layer.running_var - variance).norm() + (layer.running_mean - mean).norm())
