"""Load weights into a network: select its tensors among those of a file, and check that they fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from compress.errors import UsageError
from compress.storage.files import digest
from compress.teacher import WeightChoice

from .weight_files import read_weights
from .weight_matching import (
    AVERAGED,
    COUNTER,
    Match,
    below,
    equal,
    fits,
    in_order,
    is_complete,
    matches,
    renamed_by_timm,
    unwrapped,
)
from .weight_validation import require_values

__all__ = ["classes_of", "fingerprint", "fit_weights", "fitting", "read_weights"]


def fit_weights(
    network: nn.Module, tensors: Mapping[str, Tensor], origin: str, choice: WeightChoice | None = None
) -> tuple[str, ...]:
    """Load the network's tensors from `tensors`, and return a line on each decision about them.

    Names may have any prefix, and other tensors may be present. Weights under the prefixes in the network's
    `training_only` are left out. Raises `UsageError` that lists what does not fit, or the prefixes of several
    complete sets of weights.
    """
    match, notes = fitting(network, tensors, origin, choice)
    network.load_state_dict(match.tensors, strict=False)
    return notes


def fitting(
    network: nn.Module, tensors: Mapping[str, Tensor], origin: str, choice: WeightChoice | None = None
) -> tuple[Match, tuple[str, ...]]:
    """The match and the lines of `fit_weights` without loading; the network may be on the meta device.

    Raises the errors of `fit_weights`.
    """
    choice, state = choice or WeightChoice(), network.state_dict()
    tensors = _chosen(unwrapped(tensors), choice, origin)
    if choice.match == "order":
        match = in_order(state, tensors)
        if match is None:
            raise UsageError(f"{origin} does not fit the network by the order of its tensors: the shapes differ")
        return _sound(match, state, origin), (
            f"{origin}: {len(match.tensors)} tensors are matched by their order and shapes",
        )
    candidates = matches(state, tensors, getattr(network, "training_only", ()))
    complete = [match for match in candidates if is_complete(match, state)]
    if complete:
        match, notes = _preferred(complete, origin)
        others = {other.path.partition(".")[0] for other in complete if other is not match}
        return _sound(match, state, origin), (*notes, *_left_beside(match, tensors, others, origin))
    renamed = renamed_by_timm(network, tensors)
    if renamed is not None:
        return _sound(renamed, state, origin), (f"{origin}: its tensors are renamed by timm's rules for this network",)
    nearest = candidates[0] if candidates else Match(path="", tensors=dict(tensors), extra=tuple(tensors))
    raise _misfit(state, nearest, tensors, origin)


def _chosen(tensors: Mapping[str, Tensor], choice: WeightChoice, origin: str) -> Mapping[str, Tensor]:
    if choice.key is None:
        return tensors
    chosen = below(tensors, choice.key)
    if not chosen:
        heads = ", ".join(list(dict.fromkeys(name.partition(".")[0] for name in tensors))[:6])
        raise UsageError(f"{origin} has no tensors under {choice.key!r}: its names begin with {heads}")
    return chosen


def _preferred(complete: list[Match], origin: str) -> tuple[Match, tuple[str, ...]]:
    """The moving average among matches that differ, as timm chooses it; `UsageError` unless there is exactly one."""
    first = complete[0]
    different = [match for match in complete if match is first or not equal(match, first)]
    if len(different) == 1:
        return first, ()
    averaged = [match for match in different if AVERAGED.search(match.path)]
    labels = ", ".join(match.label for match in different)
    if len(averaged) != 1:
        raise UsageError(f"{origin} has {len(different)} sets of weights that fit: choose by `teacher_key`: {labels}")
    others = ", ".join(match.label for match in different if match is not averaged[0])
    note = f"{origin}: the moving average {averaged[0].label} is loaded; `teacher_key` loads another: {others}"
    return averaged[0], (note,)


def _left_beside(match: Match, tensors: Mapping[str, Tensor], others: set[str], origin: str) -> Iterator[str]:
    """A line on unused tensors in the weights' container, and one on tensors that look like a normalisation."""
    container = match.path.rstrip(".").rpartition(".")[0]
    own = below(tensors, container) if container else tensors
    inside = match.path.removeprefix(f"{container}.") if container else match.path
    beside = [name for name in own if not inside or not name.startswith(inside)] if inside else []
    heads = [head for head in dict.fromkeys(name.partition(".")[0] for name in beside) if head not in others]
    if heads:
        more = f" and {len(heads) - 4} more" if len(heads) > 4 else ""
        yield f"{origin}: loaded from {match.label}; left out: {', '.join(heads[:4])}{more}"
    around = own if inside else tensors
    for name in ("mean", "std", "pixel_mean", "pixel_std"):
        if name in around and around[name].numel() == 3:
            values = ", ".join(f"{value:.4g}" for value in around[name].flatten().tolist())
            yield f"{origin}: it has a normalisation of its own, {name} {values}: give it as `mean` and `std`"


def _sound(match: Match, state: Mapping[str, Tensor], origin: str) -> Match:
    """The match itself; raises `UsageError` for values that the network cannot hold."""
    require_values(state, match.tensors, origin)
    return match


def classes_of(
    network: nn.Module, classes: int, tensors: Mapping[str, Tensor], choice: WeightChoice | None = None
) -> int | None:
    """The number of classes of the weights, from where they differ from a network of `classes` classes.

    None if it cannot be determined. The network may be on the meta device.
    """
    state, choice = network.state_dict(), choice or WeightChoice()
    tensors = unwrapped(tensors)
    tensors = below(tensors, choice.key) if choice.key else tensors
    if choice.match == "order":
        return classes if in_order(state, tensors) else None
    for match in matches(state, tensors, getattr(network, "training_only", ()))[:1]:
        pairs = [(match.tensors[name], ours) for name, ours in state.items() if name in match.tensors]
        others = [(theirs, ours) for theirs, ours in pairs if theirs.shape != ours.shape]
        last = all(t.ndim and t.shape[1:] == o.shape[1:] and len(o) == classes for t, o in others)
        if last and len({len(theirs) for theirs, _ in others}) <= 1:
            return len(others[0][0]) if others else classes
    return classes if renamed_by_timm(network, tensors) else None


def _misfit(state: Mapping[str, Tensor], match: Match, tensors: Mapping[str, Tensor], origin: str) -> UsageError:
    """The error that lists missing, unknown and differing tensors."""
    own = match.tensors
    shapes = [
        f"{name} ({_shape(own[name])} in the file, {_shape(state[name])} in the network)"
        for name in state
        if name in own and not fits(own[name], state[name])
    ]
    broken = [
        n for n, v in own.items() if fits(v, state.get(n, v)) and v.is_floating_point() and not v.isfinite().all()
    ]
    complaints = [
        f"{label} {_few(names)}"
        for label, names in (
            ("lacks", [name for name in state if name not in own and not name.endswith(COUNTER)]),
            ("has unknown", list(match.extra)),
            ("differs in shape for", shapes),
            ("has NaN or infinity in", [name for name in broken if name in state]),
        )
        if names
    ]
    advice = "check the name and the classes"
    if in_order(state, tensors) is not None:
        advice = "its tensors do fit by order and shape: `match` order loads them so"
    return UsageError(f"{origin} does not fit the network: it {'; it '.join(complaints)}; {advice}")


def _few(names: list[str]) -> str:
    rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"{', '.join(names[:2])}{rest}"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def fingerprint(network: nn.Module) -> str:
    """SHA-256 of the names and values of all weights and statistics, which identifies a trained network."""
    parts: list[str | bytes] = []
    for name, tensor in network.state_dict().items():
        parts += [name, tensor.detach().cpu().contiguous().numpy().tobytes()]
    return digest(*parts)
