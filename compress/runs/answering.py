"""A network's answers to labelled images, as many at once as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from compress.task import Batch
from compress.training.compute import Compute


class Answers:
    """Logits of images on the CPU. Whenever memory does not do, half as many pixels are shown at once from then on."""

    def __init__(self, predict: Callable[[Tensor], Tensor], compute: Compute) -> None:
        self._predict, self._compute = predict, compute
        self.most = compute.pixels_at_once() if isinstance(predict, nn.Module) else None
        """Pixels that are shown at once; None: batches as they come. Other runtimes plan their memory themselves."""

    @torch.no_grad()
    def of(self, batches: Iterable[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits `[n, k, *s]` and targets `[n, *s]` of batches, those of one image size together."""
        for batch in batches if self.most is None else _together(batches, self.most):
            yield self._answered(batch.images), batch.targets

    def _answered(self, images: Tensor) -> Tensor:
        while True:
            pixels = images[0, 0].numel() if len(images) else 1
            at_once = len(images) if self.most is None else self.most // pixels
            try:
                parts = torch.split(images, max(at_once, 1))
                return torch.cat([self._logits(part) for part in parts])
            except torch.OutOfMemoryError:
                at_once = min(at_once, len(images))
                if at_once < 2:
                    raise
            self.most = at_once // 2 * pixels  # out here the memory that the exception held is free

    def _logits(self, images: Tensor) -> Tensor:
        with self._compute.autocast():
            logits = self._predict(images.to(self._compute.device).contiguous(memory_format=torch.channels_last))
        return logits.float().cpu()


def _together(batches: Iterable[Batch], most: int) -> Iterator[Batch]:
    """The same images in batches of up to `most` pixels; a batch that has more stays whole."""
    waiting: list[Batch] = []
    for batch in batches:
        pixels = batch.images[:, 0].numel() + sum(kept.images[:, 0].numel() for kept in waiting)
        if waiting and (pixels > most or waiting[0].images.shape[1:] != batch.images.shape[1:]):
            yield _joined(waiting)
            waiting = []
        waiting.append(batch)
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[Batch]) -> Batch:
    return Batch(*(torch.cat(parts) for parts in zip(*((b.images, b.targets) for b in batches), strict=True)))
