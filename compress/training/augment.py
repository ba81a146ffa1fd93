"""Random augmentation of images: one draw per sample, differentiable, without a loop over samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from compress.training.random_numbers import Numbers

PER_CROP = 4  # random numbers that `RandomCrop` takes of each image


@dataclass(frozen=True, kw_only=True)
class RandomView:
    """Shift by up to `shift` pixels in each direction with edge padding; mirror half of the samples if `flip`.

    `zoom` scales each image by a random factor of up to `zoom` or its inverse, with mirror padding, so that objects
    have more sizes than a generator makes. `shuffle_channels` permutes the colour channels of each image: the images of
    one round share a few colours, and a student should not learn classes from them. `wrap` pads with the opposite edge
    instead (DeepInversion's roll), so that every pixel stays in the image.

    FastDFKD pads with black before it crops. The teacher's training data has no black bars, and they raise the
    batch-normalisation term of a network for large images.
    """

    shift: int
    flip: bool
    shuffle_channels: bool = False
    wrap: bool = False
    zoom: float = 1.0

    @property
    def numbers_per_image(self) -> int:
        """How many random numbers a view takes, of images with three channels."""
        return 3 + 3 * self.shuffle_channels + 3 * (self.zoom != 1)

    def __call__(
        self, images: Tensor, targets: Tensor, numbers: Numbers, fill: int, part: tuple[int, int] = (0, 1)
    ) -> tuple[Tensor, Tensor]:
        """Transform images `[n, c, h, w]` and, if they are maps, targets `[n, h, w]` alike; other targets stay.

        The border is padded with the edge of the image, and with `fill` (the ignore index) in the target. `part` is
        (index, count) of the equal part of a batch that the images are: random numbers are drawn for the whole batch.
        """
        count, device = len(images), images.device
        drawn, own = count * part[1], slice(part[0] * count, (part[0] + 1) * count)
        offsets = numbers.whole(-self.shift, self.shift + 1, 2, drawn, 1)[:, own]
        mirrored = (numbers.uniform(drawn, 1)[own] < 0.5) & self.flip
        height, width = images.shape[-2:]
        rows = torch.arange(height, device=device) + offsets[0]
        columns = torch.arange(width, device=device) + offsets[1]
        columns = torch.where(mirrored, columns.flip(1), columns)
        if self.wrap:
            rows, columns = rows % height, columns % width
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        which = torch.arange(count, device=device)[:, None, None]
        rows, columns = rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
        # advanced indices around a slice put the channels last: the memory format that convolutions prefer
        moved = images[which, :, rows, columns].permute(0, 3, 1, 2)
        if self.shuffle_channels:
            order = numbers.uniform(drawn, images.shape[1])[own].argsort(dim=1)
            moved = moved[which[:, 0], order].contiguous(memory_format=torch.channels_last)
        aims = targets if targets.ndim != 3 else torch.where(inside, targets[which, rows, columns], fill)
        return (moved, aims) if self.zoom == 1 else self._zoomed(moved, aims, numbers, drawn, own)

    def _zoomed(
        self, images: Tensor, targets: Tensor, numbers: Numbers, drawn: int, own: slice
    ) -> tuple[Tensor, Tensor]:
        size, right, down = numbers.uniform(3, drawn)[:, own].float()
        side = self.zoom ** (2 * size - 1)  # of the window, relative to the image
        room, zero = (1 - side).abs(), torch.zeros_like(side)
        rows = [side, zero, room * (2 * right - 1), zero, side, room * (2 * down - 1)]
        grid = F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
        images = images.contiguous(memory_format=torch.channels_last)
        if targets.ndim != 3:
            return images, targets
        labels = F.grid_sample(targets[:, None].float(), grid, "nearest", "reflection", align_corners=False)
        return images, labels[:, 0].to(targets.dtype)


@dataclass(frozen=True)
class RandomWindow:
    """A crop of `size` of each image, which is first scaled by a random factor of up to `zoom` or its inverse.

    Parts of the crop beyond the image are padded with its edge, and with `fill` in the label map.
    """

    size: tuple[int, int]
    zoom: float
    flip: bool

    def __call__(
        self, images: Tensor, targets: Tensor, sizes: Tensor | torch.Size, numbers: Numbers, fill: int
    ) -> tuple[Tensor, Tensor]:
        """Windows of float images `[n, c, h, w]` and label maps `[n, h, w]`; image i fills `sizes[i]` of them,
        or all fill one size.
        """
        drawn = numbers.uniform(4, len(images)).float()
        scale = self.zoom ** (2 * drawn[0] - 1)
        rows, columns = (
            self._positions(
                length, scale, sizes[..., axis] if isinstance(sizes, Tensor) else sizes[axis], drawn[1 + axis]
            )
            for axis, length in enumerate(self.size)
        )
        columns = torch.where((drawn[3] < 0.5)[:, None] & self.flip, columns.flip(1), columns)
        height, width = images.shape[-2:]
        grid = torch.stack(
            [
                ((2 * columns + 1) / width - 1)[:, None, :].expand(-1, len(rows[0]), -1),
                ((2 * rows + 1) / height - 1)[:, :, None].expand(-1, -1, len(columns[0])),
            ],
            dim=3,
        )
        window = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        labels = F.grid_sample(targets[:, None].float() + 1, grid, mode="nearest", align_corners=False)[:, 0].long() - 1
        return window.contiguous(memory_format=torch.channels_last), torch.where(labels < 0, fill, labels)

    @staticmethod
    def _positions(length: int, scale: Tensor, size: Tensor | int, drawn: Tensor) -> Tensor:
        """Coordinates `[n, length]` of the pixels of each crop along one axis of images of `size [n]`."""
        room = size - length / scale
        start = torch.minimum(room, torch.zeros_like(room)) + room.abs() * drawn
        return start[:, None] + (torch.arange(length, device=drawn.device) + 0.5) / scale[:, None] - 0.5


@dataclass(frozen=True)
class RandomCrop:
    """A random crop of each image with between `smallest` and 1 of its area, resized to the size of the image."""

    smallest: float
    flip: bool

    def __call__(self, images: Tensor, numbers: Numbers) -> Tensor:
        """Crop images `[n, c, h, w]`, differentiably, with the aspect ratio preserved."""
        area, right, down, mirrored = numbers.uniform(PER_CROP, len(images)).float()
        side = (self.smallest + (1 - self.smallest) * area).sqrt()
        centre_x, centre_y = (1 - side) * (2 * right - 1), (1 - side) * (2 * down - 1)
        width = torch.where((mirrored < 0.5) & self.flip, -side, side)
        zero = torch.zeros_like(side)
        rows = torch.stack([width, zero, centre_x, zero, side, centre_y], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(rows, list(images.shape), align_corners=False)
        cropped = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        return cropped.contiguous(memory_format=torch.channels_last)
