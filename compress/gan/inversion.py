"""A source of samples in place of an inversion: a teacher-guided GAN that is trained on collected real images."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from compress.errors import Diverged
from compress.gan import losses as terms
from compress.gan.collected import Collected
from compress.gan.features import FeatureModel, penultimate
from compress.gan.networks import BigGenerator, Discriminator
from compress.losses import class_histogram
from compress.synthesis.inversion_loss import joined, labelled
from compress.synthesis.targets import even_share
from compress.task import IGNORE_INDEX, Samples, Task
from compress.training.augment import RandomView
from compress.training.compute import Compute
from compress.training.optimizers import adam, descend
from compress.training.random_numbers import RandomNumbers

BETAS = (0.0, 0.999)
CHUNK = 250  # images per generator batch
MOST_AHEAD = 1 << 22  # random numbers that are sent to a GPU together: 32 MiB
SINGULAR_VECTORS = ("._u", "._v")  # of spectral normalisation


@dataclass(frozen=True, kw_only=True)
class GanPlan:
    """The settings of the GAN's training and of the number of samples."""

    training_rounds: int
    """Rounds that train it. Later rounds only generate samples."""
    iterations: int
    batch: int
    learning_rate: float
    decay: float
    """Decay of the moving average of the generator's weights, which generates the samples."""
    average_from: int
    """Iteration at which the moving average starts; before, it equals the generator."""
    integration: float
    smoothing: float
    samples: int
    augment: RandomView


class GanInversion:
    """The generative half of HiDFD (AAAI 2025); see `compress.methods.hidfd` for the equations."""

    def __init__(
        self,
        *,
        task: Task,
        teacher: FeatureModel,
        generator: BigGenerator,
        discriminator: Discriminator,
        collected: Collected,
        plan: GanPlan,
        compute: Compute,
    ) -> None:
        assert collected.labels is not None, "a conditional GAN needs labels"
        self._task, self._teacher, self._labels = task, teacher, collected.labels.to(compute.device)
        self._images = collected.images.to(compute.home(collected.images.numel()))
        self._generator, self._discriminator = generator, discriminator
        self._average = copy.deepcopy(generator).eval().requires_grad_(requires_grad=False)
        self._plan, self._compute = plan, compute
        self.learning_rate_scale, self.micro_batches = 1.0, 1
        self._optimizers = {
            name: adam(network.parameters(), plan.learning_rate, BETAS)
            for name, network in (("generator", generator), ("discriminator", discriminator))
        }
        self._counts = torch.full((task.spec.num_classes,), terms.COUNT_AT_FIRST, device=compute.device)
        self._iteration = 0

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """Train the GAN, or generate samples. A training round returns one sample per class, for pictures."""
        plan, device = self._plan, self._compute.device
        if index >= plan.training_rounds:
            return self._made(plan.samples, randomness)
        per_image = 1 + self._generator.latent + 2 * plan.augment.numbers_per_image
        numbers = RandomNumbers.of(randomness, device, min(plan.iterations * plan.batch * per_image, MOST_AHEAD))
        reports = [self._iterate(numbers) for _ in range(plan.iterations * self.micro_batches)]
        means = {name: torch.stack([report[name] for report in reports]).mean() for name in reports[0]}
        told = dict(zip(means, torch.stack(list(means.values())).tolist(), strict=True))
        if not all(math.isfinite(value) for value in told.values()):
            raise Diverged("the GAN diverged: its losses are NaN or infinite")
        samples, quality = self._made(self._task.spec.num_classes, randomness)
        return samples, told | quality

    def _iterate(self, numbers: RandomNumbers) -> dict[str, Tensor]:
        """One step of each network on real images and as many generated ones with the same labels."""
        index = numbers.whole(0, len(self._images), self._plan.batch // self.micro_batches)
        labels = self._labels[index]
        real = self._view(self._compute.images(self._compute.rows(self._images, index)), numbers)
        with self._compute.autocast():
            latents = numbers.normal(len(labels), self._generator.latent)
            generated = self._view(self._generator(latents, labels), numbers)
            seen_made = self._teacher.features(generated)
            with torch.no_grad():
                seen_real = self._teacher.features(real)
        teacher_features = torch.cat([penultimate(seen_real), penultimate(seen_made.detach())])
        report = self._discriminate(torch.cat([real, generated.detach()]), teacher_features, labels)
        report |= self._generate(generated, seen_made, labels)
        self._follow()
        return {name: value.detach() for name, value in report.items()}

    def _discriminate(self, images: Tensor, teacher_features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """One step of the discriminator on `images [2n, 3, h, w]` with the teacher's features `[2n, t]` of them."""
        with self._compute.autocast():
            score, sides, guess = self._discriminator(images)
        losses_by_name = discriminator_terms(score, sides, guess, teacher_features, labels)
        loss = (
            losses_by_name["hinge"]
            + losses_by_name["sides"]
            + self._plan.integration * (losses_by_name["transfer"] + losses_by_name["blend"])
        )
        descend(self._optimizers["discriminator"], loss, self.learning_rate_scale * self._plan.learning_rate)
        return losses_by_name

    def _generate(self, generated: Tensor, teacher_map: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """One step of the generator of the images `generated` with the teacher's `teacher_map` of them."""
        self._discriminator.requires_grad_(requires_grad=False)
        with self._compute.autocast():
            score, sides, _ = self._discriminator(generated)
            logits = self._teacher.classify(teacher_map)
        self._counts = terms.updated_counts(self._counts, class_histogram(logits.detach()).sum(dim=0))
        fooled = -score.mean() + terms.passed_off(sides, labels).mean()
        frequency = terms.frequency(logits, terms.frequency_weights(self._counts))
        loss = fooled + self._plan.smoothing * frequency
        descend(self._optimizers["generator"], loss, self.learning_rate_scale * self._plan.learning_rate)
        self._discriminator.requires_grad_()
        return {"generator": fooled, "frequency": frequency}

    @torch.no_grad()
    def _follow(self) -> None:
        """Update the moving average, including batch statistics but not singular vectors, which cannot be averaged."""
        self._iteration += 1
        decay = self._plan.decay if self._iteration > self._plan.average_from else 0.0
        generator = self._generator.state_dict()
        for name, kept in self._average.state_dict().items():
            averaged = kept.is_floating_point() and not name.endswith(SINGULAR_VECTORS)
            kept.lerp_(generator[name], 1 - decay) if averaged else kept.copy_(generator[name])

    @torch.no_grad()
    def _made(self, count: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """Samples of the averaged generator, and the share that the teacher classifies as their labels."""
        targets = self._task.draw_targets(count, even_share(self._task.spec.num_classes), randomness)
        latents, parts = torch.randn(count, self._generator.latent, generator=randomness), []
        device, at_once = self._compute.device, CHUNK // self.micro_batches
        for labels, noise in zip(
            *(torch.split(drawn.to(device), at_once) for drawn in (targets, latents)), strict=True
        ):
            with self._compute.autocast():
                images = self._average(noise, labels)
            parts.append(labelled(self._teacher, images, labels, self._compute))
        samples = joined(parts)
        recognised = samples.statistics.histogram.argmax(dim=1) == samples.targets
        return samples, {"recognised": recognised.float().mean().item()}

    def _view(self, images: Tensor, numbers: RandomNumbers) -> Tensor:
        nothing = torch.zeros(len(images), device=images.device)
        return self._plan.augment(images, nothing, numbers, IGNORE_INDEX)[0]

    def renew(self, randomness: torch.Generator) -> bool:
        """See `Inversion`: after the warm-up nothing would train a new generator."""
        return False

    def halve(self) -> bool:
        """See `Inversion`: twice as many steps on half as many images each."""
        if self._plan.batch < 4 * self.micro_batches:
            return False
        self.micro_batches *= 2
        return True

    def notice(self) -> str | None:
        """See `Inversion`: the steps of a GAN are always plain."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """All that is kept from round to round."""
        networks = (self._generator, self._average, self._discriminator)
        return {
            "networks": [network.state_dict() for network in networks],
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
            "counts": self._counts,
            "iteration": self._iteration,
            "micro_batches": self.micro_batches,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        for network, kept in zip((self._generator, self._average, self._discriminator), state["networks"], strict=True):
            network.load_state_dict(kept)
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self._counts, self._iteration = state["counts"].to(self._compute.device), state["iteration"]
        self.micro_batches = state["micro_batches"]


def discriminator_terms(
    score: Tensor, sides: Tensor, guess: Tensor, teacher_features: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Each term's mean `[]`; the first half of every input is real, the second generated for the same labels `[n]`."""
    real, generated = score.chunk(2)
    real_sides, made_sides = sides.chunk(2)
    features = (*teacher_features.chunk(2), *guess.chunk(2))
    return {
        "hinge": (terms.hinge_real(real) + terms.hinge_made(generated)).mean(),
        "sides": terms.told_apart(real_sides, made_sides, labels).mean(),
        "transfer": terms.transfer(*features).mean(),
        "blend": terms.blend(*features).mean(),
    }
