"""Match a file's tensors with a network's: by name under any prefix and among other tensors, or by order."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

COUNTER = "num_batches_tracked"
WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\.")
"""Name segments added by wrappers such as torch.compile and FSDP, anywhere in a name."""
AVERAGED = re.compile(r"(?:^|[._])(?:ema|swa|averaged|avg|teacher|polyak)(?:[._]|$)", re.IGNORECASE)
"""Paths of moving averages of weights, which usually score better than the weights of the last step."""
LEFT_ANYWHERE = re.compile(
    r"(?:^|\.)(?:total_ops|total_params|n_averaged|num_batches_tracked|relative_position_index|attn_mask"
    r"|relative_coords_table|position_ids)$"
)
"""Names left among the weights by profilers, weight averaging and older versions; the output does not use them."""
LEFT_BESIDE = re.compile(
    r"(?:criterion|criteria|loss|losses|loss_\w+|\w+_loss|metrics?|\w+_metrics?|(?:train|val|valid|test)_\w+"
    r"|mean|std|pixel_mean|pixel_std|normali[sz]\w*)(?:\.|$)"
)
"""Names of losses, metrics and normalisation that training scripts save beside the network."""
KINDS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, kw_only=True)
class Match:
    """A network's tensors in a file, and the prefix of their names there."""

    path: str
    """The prefix in the file, such as `state_dict.module.`; empty if there is none."""
    tensors: dict[str, Tensor]
    """By the network's names."""
    extra: tuple[str, ...] = ()
    """Names under the path that the network does not have."""

    @property
    def label(self) -> str:
        """The path as it appears in messages."""
        return self.path.removesuffix(".") or "the whole file"


def unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with the segments that wrappers add removed from their names."""
    return {WRAPPERS.sub("", name): tensor for name, tensor in tensors.items()}


def below(tensors: Mapping[str, Tensor], key: str) -> dict[str, Tensor]:
    """The tensors whose path begins with `key`, by the rest of the path."""
    start = f"{key.rstrip('.')}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def matches(state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], unneeded: Sequence[str] = ()) -> list[Match]:
    """All prefixes in a file under which some of the network's names occur, the most complete match first.

    `unneeded` are name prefixes of weights that the network uses in training only.
    """
    needed = [name for name in state if not name.endswith(COUNTER)]
    anchors = {needed[0], needed[-1], needed[len(needed) // 2], needed[len(needed) // 3]} if needed else set()
    paths = {
        name[: len(name) - len(anchor)]
        for anchor in anchors
        for name in tensors
        if name == anchor or name.endswith(f".{anchor}")
    }
    matches = [
        _match(path, state, tensors, tuple(unneeded)) for path in sorted(paths, key=lambda path: (len(path), path))
    ]
    return sorted(matches, key=lambda match: -sum(fits(match.tensors.get(name), state[name]) for name in needed))


def _match(path: str, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], unneeded: tuple[str, ...]) -> Match:
    own = below(tensors, path) if path else tensors
    children = {name.partition(".")[0] for name in state}
    extra = [
        name
        for name in own
        if name not in state
        and not name.startswith(unneeded or ("\0",))
        and not LEFT_ANYWHERE.search(name)
        and not (LEFT_BESIDE.match(name) and name.partition(".")[0] not in children)
    ]
    return Match(path=path, tensors={name: tensor for name, tensor in own.items() if name in state}, extra=tuple(extra))


def fits(tensor: Tensor | None, own: Tensor) -> bool:
    """Whether a tensor exists and has the shape of `own`."""
    return tensor is not None and tensor.shape == own.shape


def is_complete(match: Match, state: Mapping[str, Tensor]) -> bool:
    """Whether a match has all tensors that the network needs, and no unknown ones."""
    return not match.extra and all(
        fits(match.tensors.get(name), own) for name, own in state.items() if not name.endswith(COUNTER)
    )


def equal(first: Match, second: Match) -> bool:
    """Whether two matches have the same values."""
    return all(
        name in second.tensors and torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items()
    )


def in_order(state: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> Match | None:
    """Match tensors by order and shape alone, without batch counters; None if any shape differs.

    Where both names end in `weight`, `bias`, `running_mean` or `running_var`, these endings must agree, too.
    """
    needed = [name for name in state if not name.endswith(COUNTER)]
    for path in ["", *_roots(tensors)]:
        own = below(tensors, path) if path else tensors
        held = [name for name in own if not LEFT_ANYWHERE.search(name)]
        if len(held) == len(needed) and all(
            fits(own[theirs], state[ours]) and _same_kind(theirs, ours)
            for theirs, ours in zip(held, needed, strict=True)
        ):
            return Match(
                path=f"{path}." if path else "", tensors={o: own[t] for t, o in zip(held, needed, strict=True)}
            )
    return None


def _roots(tensors: Mapping[str, Tensor]) -> list[str]:
    heads = {".".join(name.split(".")[:depth]): None for depth in (1, 2, 3) for name in tensors}
    return list(heads)


def _same_kind(theirs: str, ours: str) -> bool:
    ends = theirs.rpartition(".")[2], ours.rpartition(".")[2]
    return ends[0] == ends[1] or not set(ends) <= set(KINDS)


def renamed_by_timm(network: nn.Module, tensors: Mapping[str, Tensor]) -> Match | None:
    """The tensors renamed by timm's rules for the checkpoints that a network's authors published.

    None if timm has no rules for this network, or if the renamed tensors do not fit.
    """
    module = sys.modules.get(type(network).__module__)
    rules: Callable[[Any, nn.Module], Any] | None = getattr(module, "checkpoint_filter_fn", None)
    if rules is None or not type(network).__module__.startswith("timm."):
        return None
    state = network.state_dict()
    for path in ["", *_roots(tensors)]:
        try:
            renamed = rules(dict(below(tensors, path) if path else tensors), network)
        except Exception:  # noqa: S112  (the rules are written for other files and raise many exception types)
            continue
        match = _match("", state, {name: value for name, value in renamed.items() if isinstance(value, Tensor)}, ())
        if is_complete(match, state):
            return Match(path=f"{path}." if path else "", tensors=match.tensors)
    return None
