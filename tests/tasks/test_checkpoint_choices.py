"""Which of the weights in a checkpoint are taken: moving averages, names, order, classes."""

from pathlib import Path

import pytest
import torch
from checkpoint_files import AVERAGES, OTHER, STATE, TEACHER, Network, State, both, saved, trained, under
from torch import nn

from compress.errors import UsageError
from compress.tasks.models import read_weights
from compress.tasks.models.weights import classes_of, fit_weights
from compress.teacher import WeightChoice

pytestmark = pytest.mark.usefixtures("torch_reads_nothing")


@pytest.mark.parametrize("form", AVERAGES)
def test_the_moving_average_is_taken_and_the_other_offered(form: str, tmp_path: Path) -> None:
    tensors, network = read_weights(saved(AVERAGES[form])(tmp_path)), trained(7)
    (note,) = (note for note in fit_weights(network, tensors, "weights.pth") if "moving average" in note)
    assert torch.equal(network.head.weight, TEACHER.head.weight)
    other = note.rpartition("other: ")[2]
    fit_weights(network, tensors, "weights.pth", WeightChoice(key=other))
    assert torch.equal(network.head.weight, OTHER.head.weight)


def test_two_weights_that_are_the_same_are_one(tmp_path: Path) -> None:
    assert fit_weights(trained(7), read_weights(saved(both(again=OTHER.state_dict()))(tmp_path)), "w") == ()


def test_of_two_weights_that_nothing_tells_apart_one_is_asked_for(tmp_path: Path) -> None:
    tensors, network = read_weights(saved({"first": STATE, "second": OTHER.state_dict()})(tmp_path)), trained(7)
    with pytest.raises(UsageError, match=r"2 sets of weights that fit: choose by `teacher_key`: first, second"):
        fit_weights(network, tensors, "weights.pth")
    fit_weights(network, tensors, "weights.pth", WeightChoice(key="second"))
    assert torch.equal(network.head.weight, OTHER.head.weight)
    with pytest.raises(UsageError, match=r"no tensors under 'third': its names begin with first, second"):
        fit_weights(network, tensors, "weights.pth", WeightChoice(key="third"))


def test_what_lies_beside_is_said_and_a_normalisation_with_its_numbers(tmp_path: Path) -> None:
    content = {**under("net."), "mean": torch.tensor([0.5, 0.25, 0.1]), "projector.weight": torch.ones(2)}
    notes = fit_weights(trained(7), read_weights(saved({"state_dict": content})(tmp_path)), "weights.pth")
    assert "loaded from state_dict.net; left out: mean, projector" in notes[0]
    assert "mean 0.5, 0.25, 0.1" in notes[1]
    assert "`mean`" in notes[1]


def foreign(state: State = STATE) -> State:
    return {f"features.{index}.{name.rpartition('.')[2]}": value for index, (name, value) in enumerate(state.items())}


def test_foreign_names_are_offered_by_order_and_never_taken_by_themselves(tmp_path: Path) -> None:
    tensors, network = read_weights(saved({"state_dict": foreign()})(tmp_path)), trained(7)
    before = network.head.weight.clone()
    with pytest.raises(UsageError, match="`match` order loads them so"):
        fit_weights(network, tensors, "weights.pth")
    assert torch.equal(network.head.weight, before)
    assert "matched by their order" in fit_weights(network, tensors, "weights.pth", WeightChoice(match="order"))[0]
    assert all(torch.equal(value, STATE[name]) for name, value in network.state_dict().items() if "num_b" not in name)


@pytest.mark.parametrize("change", ["swapped", "renamed", "reshaped", "one less"])
def test_tensors_in_another_order_are_not_matched_by_it(change: str) -> None:
    names = list(foreign())
    state = foreign()
    if change == "swapped":
        names[1], names[2] = names[2], names[1]
    state = {name: state[name] for name in names[: -1 if change == "one less" else None]}
    if change == "renamed":
        state = {name.replace("1.weight", "1.bias"): value for name, value in state.items()}
    if change == "reshaped":
        state[names[0]] = torch.ones(4, 3, 5, 5)
    with pytest.raises(UsageError, match="by the order of its tensors"):
        fit_weights(trained(7), state, "weights.pth", WeightChoice(match="order"))
    with pytest.raises(UsageError, match="check the name and the classes"):
        fit_weights(trained(7), state, "weights.pth")


def test_the_number_of_classes_is_told_by_the_last_layer(tmp_path: Path) -> None:
    tensors = read_weights(saved({"state_dict": under("module.", trained(0, 9).state_dict())})(tmp_path))
    with torch.device("meta"):
        sketch = Network(3)
    assert classes_of(sketch, 3, tensors) == 9
    assert classes_of(Network(9), 9, tensors) == 9
    assert classes_of(nn.Linear(5, 2), 2, tensors) is None
