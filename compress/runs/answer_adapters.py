"""Modules of the user's own that answer with more than logits: adapted, or refused with advice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from compress.errors import UsageError

Place = str | int
"""Where in an answer its logits are: a name of a field or a key, or the number of a part; `head.logits` or `0.1` is a
part of a part."""
NETWORK = "network."
IMAGES = 2
DEPTH = 3
"""How many levels of an answer are searched for tensors."""


class Picked(nn.Module):
    """A network whose answer holds its logits at some place, as one that answers with logits.

    Its weights go by the names that they have in the network itself.
    """

    def __init__(self, network: nn.Module, place: Place) -> None:
        super().__init__()
        self.network, self._place = network, place
        self.register_state_dict_post_hook(_named_as_inside)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_named_as_here)  # type: ignore[no-untyped-call]

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[n, k, *s]` of images `[n, 3, h, w]`."""
        answer = self.network(images)
        logits: Tensor = _at(answer, self._place)
        return logits


def _at(answer: Any, place: Place) -> Any:
    """The part at a place; raises one of `MISSING` if there is none."""
    if isinstance(answer, Tensor):
        raise KeyError(place)
    if isinstance(answer, Mapping) and place in answer:  # before its attributes: a key may be called `items`
        return answer[place]
    if isinstance(place, int):
        return answer[place]
    if not isinstance(answer, Mapping) and hasattr(answer, place):
        return getattr(answer, place)
    first, dot, rest = place.partition(".")
    if dot:
        return _at(_at(answer, first), rest)
    return answer[int(place)] if place.isdigit() else answer[place]


MISSING = (AttributeError, KeyError, IndexError, TypeError)


def _named_as_inside(module: nn.Module, state: dict[str, Any], prefix: str, metadata: object) -> None:
    """Take the wrapper's own part out of the names."""
    for name in [name for name in state if name.startswith(prefix + NETWORK)]:
        state[prefix + name.removeprefix(prefix + NETWORK)] = state.pop(name)


def _named_as_here(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Put it back before weights are loaded."""
    for name in [name for name in state if name.startswith(prefix) and not name.startswith(prefix + NETWORK)]:
        state[prefix + NETWORK + name.removeprefix(prefix)] = state.pop(name)


def adapt_answer(
    network: object, role: str, place: Place | None, image_shape: tuple[int, int, int], setting: str = "output"
) -> nn.Module:
    """Wrap a module so that it returns a tensor of logits, and move it to the CPU.

    `setting` is the argument that holds `place`, for messages. Raises `UsageError` for anything but a plain
    `torch.nn.Module`, if there are no logits at `place`, and if the module returns another object than a tensor and no
    `place` is given.
    """
    module = _plain(network, role)
    label = f"the {role} {type(module).__name__}"
    answer = _answer(module.cpu(), image_shape)
    if answer is None or isinstance(answer, Tensor):
        return module  # of two modules, one may need no adapter
    described, advice = _described(answer), _advice(answer, setting)
    if place is None:
        raise UsageError(f"{label} returns {described}, not one tensor of logits: {advice}")
    try:
        logits = _at(answer, place)
    except MISSING as error:
        raise UsageError(f"{label} returns {described}, without {place!r}: {advice}") from error
    if not isinstance(logits, Tensor):
        raise UsageError(f"{label} returns {described}, with {_described(logits)} at {place!r}: {advice}")
    return Picked(module, place)


def _plain(network: object, role: str) -> nn.Module:
    if isinstance(network, torch.export.ExportedProgram):
        raise UsageError(f"the {role} is a program of torch.export, not a module: give the one it was made of")
    if not isinstance(network, nn.Module):
        raise UsageError(f"the {role} is a {type(network).__name__}: give a torch.nn.Module")
    if isinstance(network, torch.jit.ScriptModule):
        raise UsageError(f"the {role} is TorchScript, whose layers cannot be watched: give the module it was made of")
    if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return _plain(network.module, role)
    original = getattr(network, "_orig_mod", None)
    if isinstance(original, nn.Module):  # of torch.compile
        return _plain(original, role)
    try:
        network.train(network.training)
    except NotImplementedError as error:
        raise UsageError(
            f"the {role} is the module of a torch.export program, which cannot change between training and evaluation: "
            "give the module it was made of"
        ) from error
    return network


@torch.no_grad()
def _answer(module: nn.Module, image_shape: tuple[int, int, int]) -> object:
    """What it answers `IMAGES` images with; None if it fails, which is explained where shapes are checked."""
    was_training = module.training
    try:
        return module.eval()(torch.rand(IMAGES, *image_shape, generator=torch.Generator().manual_seed(0)))
    except Exception:  # networks raise many exception types
        return None
    finally:
        module.train(was_training)


def _described(answer: object) -> str:
    if isinstance(answer, Mapping):
        return f"a {type(answer).__name__} with {', '.join(map(repr, list(answer)[:4]))}"
    if isinstance(answer, (tuple, list)):
        return f"a {type(answer).__name__} of {len(answer)} parts"
    return f"a {type(answer).__name__}"


def _advice(answer: object, setting: str) -> str:
    place = next(iter(_places(answer)), None)
    if place is None:
        return "wrap it in a torch.nn.Module that returns its logits"
    return f"say where they are by `{setting}`, {setting}={place!r}"


def _places(answer: object) -> list[Place]:
    """Where logits may be in an answer, the likeliest first: by their name, then by a row for each image."""
    tensors = list(_tensors(answer, (), DEPTH))
    tensors.sort(key=lambda one: (one[0][-1] not in ("logits", "out"), one[1].shape[:1] != (IMAGES,), one[1].ndim < 2))
    return [path[0] if len(path) == 1 else ".".join(map(str, path)) for path, _ in tensors]


def _tensors(answer: object, path: tuple[Place, ...], depth: int) -> Iterator[tuple[tuple[Place, ...], Tensor]]:
    """The tensors in nested answers by the path to them, the outermost first."""
    parts: dict[Place, object] = {}
    if isinstance(answer, Mapping):
        parts = {key: part for key, part in answer.items() if isinstance(key, str)}
    elif isinstance(answer, (tuple, list)):
        fields = getattr(answer, "_fields", range(len(answer)))  # of a named tuple
        parts = dict(zip(fields, answer, strict=True))
    else:
        parts = {name: getattr(answer, name, None) for name in ("logits", "out")}
    yield from (((*path, place), part) for place, part in parts.items() if isinstance(part, Tensor))
    for place, part in parts.items():
        if depth > 1 and isinstance(part, (Mapping, tuple, list)):
            yield from _tensors(part, (*path, place), depth - 1)


def require_no_softmax(logits: Tensor, label: str) -> None:
    """Raise `UsageError` for answers `[n, k, *s]` that are probabilities: not negative, and of sum 1."""
    sums = logits.sum(dim=1)
    if logits.amin() >= 0 and torch.allclose(sums, torch.ones_like(sums), atol=1e-4) and logits.shape[1] > 1:
        raise UsageError(
            f"{label} answers with probabilities, which sum to 1: leave out its softmax, so that it answers with logits"
        )
