"""The outputs that a file must reproduce, computed by torch alone."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .card import FileCard
from .runtime import GUESSES
from .torch_framing import shown


def expected_logits(network: nn.Module, card: FileCard, images: Tensor) -> Tensor:
    """The network's logits `[n, k, *s]` of images `[n, 3, h, w]` in [0, 1] at their own size."""
    logits: Tensor = network(seen_by_network(images, card))
    return at_size(logits, (images.shape[-2], images.shape[-1])) if card.task == "segmentation" else logits


def at_size(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits of label maps `[n, k, h, w]`, resized to `size`, height and width."""
    return F.interpolate(logits, size=size, mode="bilinear") if logits.shape[-2:] != size else logits


def seen_by_network(images: Tensor, card: FileCard) -> Tensor:
    """The network's input inside a file for images `[n, 3, h, w]` in [0, 1]: unchanged, or preprocessed if it takes
    pixels."""
    return shown(images, card) if card.input == "uint8" else images


def expected_answers(logits: Tensor, card: FileCard) -> dict[str, Tensor]:
    """The outputs by name of a correct file with that card for logits `[n, k, *s]`."""
    if card.output == "logits":
        return {"logits": logits}
    probabilities = logits.softmax(dim=1)
    if card.output == "probabilities":
        return {"probabilities": probabilities}
    if card.task == "classification":
        best = probabilities.topk(min(GUESSES, logits.shape[1]))
        return {"classes": best.indices, "scores": best.values}
    scores, classes = probabilities.max(dim=1)
    return {"classes": classes, "scores": scores}


def decided_classes(outputs: dict[str, Tensor], card: FileCard) -> Tensor:
    """The best class of each position, long `[n, *s]`, from a file's outputs or from the expected ones."""
    if "classes" not in outputs:
        return best_class(next(iter(outputs.values())))
    classes = outputs["classes"].long()
    return classes[:, 0] if card.task == "classification" else classes


def best_class(logits: Tensor) -> Tensor:
    """The best class of each position, `[n, k, *s] -> [n, *s]`; `max` takes a fifth of the time of `argmax`."""
    return logits.max(dim=1).indices
