"""A round of data-free distillation written the plain way, as the public code of the field does it: what ours is
compared with.

The mathematics is FastDFKD's (AAAI 2022): a kept generator is cloned and adapted with new latents on
`bn·L_bn + oh·L_oh + adv·L_adv`, the images of the best step enter a pool, the kept generator moves by the summed
gradients, and the student learns the teacher's soft labels on draws from the pool. What is plain about it:

- hooks on every batch normalisation layer that call `torch.var_mean`; they are registered once and stay, so that the
  teacher pays for them during distillation too;
- float32, and the default memory format;
- crops and flips by a loop over the samples;
- the pool is a folder of PNG files, scanned anew in every round, and read back by a DataLoader with PIL and
  torchvision's RandomCrop, RandomHorizontalFlip and ToTensor.

Differences from the engine's `fast-dfkd` that are not about speed: the paper's own generator (2.33 M parameters,
from 8x8 maps, not told the targets); crops are padded with black; labels are drawn independently; a pass over the pool
draws without replacement; SGD without Nesterov's correction, and weight decay on every parameter.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

LATENT, WIDTH, PADDING, MOMENTUM = 256, 128, 4, 0.9
BN, ONE_HOT, ADVERSARIAL = 10.0, 1.0, 1.0
LR_GENERATOR, LR_LATENT, LR_STUDENT = 5e-3, 1.5e-2, 0.01
TEMPERATURE = 20.0


class PlainGenerator(nn.Module):
    """FastDFKD's generator for images of 32 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(LATENT, WIDTH * 8 * 8)
        self.body = nn.Sequential(
            nn.BatchNorm2d(WIDTH),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(WIDTH, WIDTH // 2, 3, padding=1, bias=False),
            nn.BatchNorm2d(WIDTH // 2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(WIDTH // 2, 3, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Images `[n, 3, 32, 32]` of latents `[n, 256]`."""
        images: Tensor = self.body(self.project(latents).view(-1, WIDTH, 8, 8))
        return images


class MomentHook:
    """Keeps how far the last batch's channel moments were from those a layer was trained on."""

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        self.distance = torch.zeros(())
        self._latest: tuple[Tensor, Tensor] | None = None
        self._average: tuple[Tensor, Tensor] | None = None
        layer.register_forward_hook(self._measure)

    def _measure(self, layer: nn.BatchNorm2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        self._latest = (mean.detach(), variance.detach())
        if self._average is not None:
            mean = (1 - MOMENTUM) * mean + MOMENTUM * self._average[0]
            variance = (1 - MOMENTUM) * variance + MOMENTUM * self._average[1]
        self.distance = (layer.running_var - variance).norm() + (layer.running_mean - mean).norm()

    def end_round(self) -> None:
        """Fold the last batch into the moving average."""
        assert self._latest is not None
        if self._average is None:
            self._average = self._latest
        mixed = [MOMENTUM * a + (1 - MOMENTUM) * b for a, b in zip(self._average, self._latest, strict=True)]
        self._average = (mixed[0], mixed[1])


class PngFolder(Dataset[Tensor]):
    """The PNG files that lie in a folder now."""

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("*.png"))
        self._transform = transforms.Compose(
            [transforms.RandomCrop(32, padding=PADDING), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        )

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Tensor:
        image: Tensor = self._transform(Image.open(self._files[index]).convert("RGB"))
        return image


class PlainDistiller:
    """The loop's two halves; `folder` is the pool."""

    def __init__(self, teacher: nn.Module, student: nn.Module, folder: Path, batch: int, workers: int) -> None:
        self._teacher, self._student = teacher, student
        self._folder, self._batch, self._workers = folder, batch, workers
        self._generator = PlainGenerator()
        self._hooks = [MomentHook(layer) for layer in teacher.modules() if isinstance(layer, nn.BatchNorm2d)]
        self._meta = torch.optim.Adam(self._generator.parameters(), LR_GENERATOR * 5, betas=(0.5, 0.999))
        self._learner = torch.optim.SGD(student.parameters(), LR_STUDENT, momentum=0.9, weight_decay=1e-4)
        self._stored = 0
        self._batches: Iterator[Tensor] = iter(())

    def store(self, images: Tensor) -> None:
        """Write images `[n, 3, 32, 32]` in [0, 1] into the pool, one file each."""
        for image in images.mul(255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy():
            Image.fromarray(image).save(self._folder / f"{self._stored:07d}.png")
            self._stored += 1

    def invert(self, samples: int, steps: int) -> None:
        """One round of synthesis, into the pool, which is then scanned and opened for reading."""
        self._student.eval()
        latents = torch.randn(samples, LATENT, requires_grad=True)
        targets = torch.randint(10, (samples,))
        clone = copy.deepcopy(self._generator)
        groups = [{"params": clone.parameters()}, {"params": [latents], "lr": LR_LATENT}]
        optimizer = torch.optim.Adam(groups, LR_GENERATOR, betas=(0.5, 0.999))
        gathered = [torch.zeros_like(parameter) for parameter in clone.parameters()]
        lowest, best = float("inf"), torch.empty(0)
        for _ in range(steps):
            images = clone(latents)
            loss = self._loss(images, targets)
            if loss.item() < lowest:
                lowest, best = loss.item(), images.detach()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            for total, parameter in zip(gathered, clone.parameters(), strict=True):
                total.add_(parameter.grad)
            optimizer.step()
        for hook in self._hooks:
            hook.end_round()
        self._move(gathered)
        self.store(best)
        self._open()

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        views = crop_and_flip(images)
        teacher_logits, student_logits = self._teacher(views), self._student(views)
        bn = torch.stack([hook.distance for hook in self._hooks]).sum()
        agreed = (teacher_logits.argmax(dim=1) == student_logits.argmax(dim=1)).float()
        kl = F.kl_div(student_logits.log_softmax(dim=1), teacher_logits.softmax(dim=1), reduction="none").sum(dim=1)
        return BN * bn + ONE_HOT * F.cross_entropy(teacher_logits, targets) - ADVERSARIAL * (kl * agreed).mean()

    def _move(self, gradients: list[Tensor]) -> None:
        for parameter, gradient in zip(self._generator.parameters(), gradients, strict=True):
            parameter.grad = gradient
        self._meta.step()

    def _open(self) -> None:
        pool = PngFolder(self._folder)
        loader = DataLoader(pool, self._batch, shuffle=True, drop_last=True, num_workers=self._workers)
        self._batches = _forever(loader)

    def distil(self, steps: int) -> None:
        """Steps of the student on draws from the pool."""
        self._student.train()
        for _ in range(steps):
            images = next(self._batches)
            with torch.no_grad():
                answers = F.softmax(self._teacher(images) / TEMPERATURE, dim=1)
            guesses = F.log_softmax(self._student(images) / TEMPERATURE, dim=1)
            loss = F.kl_div(guesses, answers, reduction="batchmean") * TEMPERATURE**2
            self._learner.zero_grad()
            torch.autograd.backward(loss)
            self._learner.step()


def crop_and_flip(images: Tensor) -> Tensor:
    """Each image `[n, 3, h, w]` moved by up to 4 pixels and mirrored or not, sample by sample, differentiably."""
    size = images.shape[-1]
    views = []
    for image in F.pad(images, (PADDING,) * 4).unbind():
        top, left, mirrored = (int(torch.randint(limit, ())) for limit in (2 * PADDING + 1, 2 * PADDING + 1, 2))
        view = image[:, top : top + size, left : left + size]
        views.append(view.flip(2) if mirrored else view)
    return torch.stack(views)


def _forever(loader: DataLoader[Tensor]) -> Iterator[Tensor]:
    while True:
        yield from loader
