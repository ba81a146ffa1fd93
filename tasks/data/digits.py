"""The embedded data sets: scikit-learn's handwritten digits, as they are and composed into scenes.

The 1,797 scans (8x8 pixels, 17 grey levels) come with scikit-learn, so nothing is downloaded. A seeded, stratified
split gives a quarter of the scans of each digit to the held-out side, on which results are reported, and a fifth of the
others to the tuning side, on which settings are chosen; no scan serves on two sides.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

CLASS_NAMES = tuple(str(digit) for digit in range(10))
SCENE_CLASS_NAMES = ("background", *CLASS_NAMES)
Side = Literal["training", "tuning", "held-out"]
HELD_OUT_FRACTION, TUNING_FRACTION = 0.25, 0.2  # the second of what the first leaves
SPLIT_SEED = 0
VERSION = 2
"""To be raised with every change of an image or a label, so that teachers that were taught before are not used."""
IMAGE_SIZE = 32
SCENE_SIZE = 64
PLACES = (-0.48, 0.48)  # where digits are centred, -1 the left edge and 1 the right one; each place has at most one
SCENES = {"training": 4000, "tuning": 400, "held-out": 400}


@lru_cache(maxsize=1)
def scans() -> tuple[Tensor, Tensor]:
    """All scans as float `[1797, 1, 8, 8]` in [0, 1] and their labels `[1797]`."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(labels).long()


def split(side: Side) -> tuple[Tensor, Tensor]:
    """One side of the stratified split, `(scans [n, 1, 8, 8], labels [n])`."""
    images, labels = scans()
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    shuffled = torch.randperm(len(labels), generator=generator)
    chosen = []
    for digit in range(10):
        members = shuffled[labels[shuffled] == digit]
        held_out = round(len(members) * HELD_OUT_FRACTION)
        tuning = held_out + round((len(members) - held_out) * TUNING_FRACTION)
        parts = {"held-out": members[:held_out], "tuning": members[held_out:tuning], "training": members[tuning:]}
        chosen.append(parts[side])
    index = torch.cat(chosen)
    return images[index], labels[index]


def digit_images(side: Side) -> tuple[Tensor, Tensor]:
    """The scans of one side enlarged to uint8 RGB `[n, 3, 32, 32]`, white on black, with labels `[n]`."""
    images, labels = split(side)
    enlarged = F.interpolate(images, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bicubic", align_corners=False).clamp(0, 1)
    return enlarged.mul(255).round().to(torch.uint8).repeat(1, 3, 1, 1), labels


def digit_scenes(side: Side) -> tuple[Tensor, Tensor]:
    """Scenes of up to two digits on textured backgrounds, composed from one side's scans.

    Returns uint8 RGB `[n, 3, 64, 64]` and label maps uint8 `[n, 64, 64]`: 0 background, 1..10 the digits' strokes.
    """
    images, labels = split(side)
    count = SCENES[side]
    generator = torch.Generator().manual_seed(SPLIT_SEED + 1 + list(SCENES).index(side))
    parts = [compose(images, labels, min(500, count - start), generator) for start in range(0, count, 500)]
    return torch.cat([scene for scene, _ in parts]), torch.cat([label_map for _, label_map in parts])


def compose(images: Tensor, labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """New scenes like those of `digit_scenes`, from scans `[n, 1, 8, 8]` with labels `[n]`."""
    scene = _textures(count, generator)
    paper = scene.mean(dim=(2, 3))
    label_map = torch.zeros(count, SCENE_SIZE, SCENE_SIZE, dtype=torch.uint8)
    for place in PLACES:
        drawn = torch.randint(len(labels), (count,), generator=generator)
        present = torch.rand(count, generator=generator) < 0.85
        ink = _place(images[drawn], place, generator) * present.view(-1, 1, 1, 1)
        scene = ink * _ink_colours(paper, generator) + (1 - ink) * scene
        stroke = ink.squeeze(1) > 0.5
        label_map = torch.where(stroke, (labels[drawn] + 1).to(torch.uint8).view(-1, 1, 1), label_map)
    scene = scene + 0.03 * torch.randn(scene.shape, generator=generator)
    return scene.clamp(0, 1).mul(255).round().to(torch.uint8), label_map


def _place(scan: Tensor, across: float, generator: torch.Generator) -> Tensor:
    """Opacity `[n, 1, h, w]` of each scan near its place: 34 to 46 pixels high, tilted a little, at any height."""
    count = len(scan)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    half_height = uniform(34, 46) / SCENE_SIZE
    centre_x = across + uniform(-0.1, 0.1)
    centre_y = uniform(-0.3, 0.3)
    angle = uniform(-0.2, 0.2)
    cosine, sine = angle.cos() / half_height, angle.sin() / half_height
    transform = torch.stack(
        [
            torch.stack([cosine, sine, -(cosine * centre_x + sine * centre_y)], dim=1),
            torch.stack([-sine, cosine, -(cosine * centre_y - sine * centre_x)], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(transform, [count, 1, SCENE_SIZE, SCENE_SIZE], align_corners=False)
    return F.grid_sample(scan, grid, mode="bicubic", align_corners=False).clamp(0, 1)


def _textures(count: int, generator: torch.Generator) -> Tensor:
    """Coloured backgrounds `[n, 3, h, w]`: a base colour plus noise at three scales."""
    texture = 0.15 + 0.7 * torch.rand(count, 3, 1, 1, generator=generator)
    for cells, strength in ((2, 0.12), (8, 0.10), (32, 0.06)):
        noise = torch.randn(count, 3, cells, cells, generator=generator) * strength
        texture = texture + F.interpolate(noise, size=SCENE_SIZE, mode="bilinear", align_corners=False)
    return texture.clamp(0, 1)


def _ink_colours(paper: Tensor, generator: torch.Generator) -> Tensor:
    """A random colour `[n, 3, 1, 1]` for each digit, clearly lighter or darker than the mean colour of its paper."""
    colour = torch.rand(paper.shape, generator=generator)
    dark = paper.mean(dim=1, keepdim=True) > 0.5
    return torch.where(dark, colour * 0.35, 1 - colour * 0.35)[..., None, None]
