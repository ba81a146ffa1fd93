"""The embedded data sets: scikit-learn's handwritten digits, as they are and composed into scenes.

The 1,797 scans (8x8 pixels, 17 grey levels) come with scikit-learn, so nothing is downloaded. A seeded, stratified
split gives a quarter of the scans of each digit to the held-out side; no scan serves on both sides.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

CLASS_NAMES = tuple(str(digit) for digit in range(10))
SCENE_CLASS_NAMES = ("background", *CLASS_NAMES)
HELD_OUT_FRACTION = 0.25
SPLIT_SEED = 0
SCENE_SIZE = 96
CELLS = 2  # a scene has CELLS x CELLS places, each with at most one digit
TRAINING_SCENES, HELD_OUT_SCENES = 4000, 400


@lru_cache(maxsize=1)
def scans() -> tuple[Tensor, Tensor]:
    """All scans as float `[1797, 1, 8, 8]` in [0, 1] and their labels `[1797]`."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(labels).long()


def split(*, held_out: bool) -> tuple[Tensor, Tensor]:
    """One side of the stratified split, `(scans [n, 1, 8, 8], labels [n])`."""
    images, labels = scans()
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    shuffled = torch.randperm(len(labels), generator=generator)
    chosen = []
    for digit in range(10):
        members = shuffled[labels[shuffled] == digit]
        cut = round(len(members) * HELD_OUT_FRACTION)
        chosen.append(members[:cut] if held_out else members[cut:])
    index = torch.cat(chosen)
    return images[index], labels[index]


def digit_images(*, held_out: bool) -> tuple[Tensor, Tensor]:
    """The scans enlarged to uint8 RGB `[n, 3, 32, 32]`, white on black, with labels `[n]`."""
    images, labels = split(held_out=held_out)
    enlarged = F.interpolate(images, size=(32, 32), mode="bicubic", align_corners=False).clamp(0, 1)
    return enlarged.mul(255).round().to(torch.uint8).repeat(1, 3, 1, 1), labels


def digit_scenes(*, held_out: bool) -> tuple[Tensor, Tensor]:
    """Scenes of up to four digits on textured backgrounds, composed from one side's scans.

    Returns uint8 RGB `[n, 3, 96, 96]` and label maps uint8 `[n, 96, 96]`: 0 background, 1..10 the digits' strokes.
    """
    images, labels = split(held_out=held_out)
    count = HELD_OUT_SCENES if held_out else TRAINING_SCENES
    generator = torch.Generator().manual_seed(SPLIT_SEED + 1 + held_out)
    parts = [_compose(images, labels, min(500, count - start), generator) for start in range(0, count, 500)]
    return torch.cat([scene for scene, _ in parts]), torch.cat([label_map for _, label_map in parts])


def _compose(images: Tensor, labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    scene = _textures(count, generator)
    paper = scene.mean(dim=(2, 3))
    label_map = torch.zeros(count, SCENE_SIZE, SCENE_SIZE, dtype=torch.uint8)
    for cell in range(CELLS * CELLS):
        drawn = torch.randint(len(labels), (count,), generator=generator)
        present = torch.rand(count, generator=generator) < 0.8
        ink = _place(images[drawn], cell, generator) * present.view(-1, 1, 1, 1)
        scene = ink * _ink_colours(paper, generator) + (1 - ink) * scene
        stroke = ink.squeeze(1) > 0.5
        label_map = torch.where(stroke, (labels[drawn] + 1).to(torch.uint8).view(-1, 1, 1), label_map)
    scene = scene + 0.03 * torch.randn(scene.shape, generator=generator)
    return scene.clamp(0, 1).mul(255).round().to(torch.uint8), label_map


def _place(scan: Tensor, cell: int, generator: torch.Generator) -> Tensor:
    """Opacity `[n, 1, h, w]` of each scan at a random place in its cell: 36 to 56 pixels high, tilted a little."""
    count = len(scan)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    half_height = uniform(36, 56) / SCENE_SIZE
    row, column = divmod(cell, CELLS)
    centre_x = (column + 0.5) * 2 / CELLS - 1 + uniform(-0.12, 0.12)
    centre_y = (row + 0.5) * 2 / CELLS - 1 + uniform(-0.12, 0.12)
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
    for cells, strength in ((3, 0.12), (12, 0.10), (48, 0.06)):
        noise = torch.randn(count, 3, cells, cells, generator=generator) * strength
        texture = texture + F.interpolate(noise, size=SCENE_SIZE, mode="bilinear", align_corners=False)
    return texture.clamp(0, 1)


def _ink_colours(paper: Tensor, generator: torch.Generator) -> Tensor:
    """A random colour `[n, 3, 1, 1]` for each digit, clearly lighter or darker than the mean colour of its paper."""
    colour = torch.rand(paper.shape, generator=generator)
    dark = paper.mean(dim=1, keepdim=True) > 0.5
    return torch.where(dark, colour * 0.35, 1 - colour * 0.35)[..., None, None]
