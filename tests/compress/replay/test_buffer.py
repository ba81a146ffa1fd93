"""The buffer is bounded, its policies do what their formulas say, and its state survives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.replay import buffer as replay
from compress.replay.balance import balance, evenness, rescaled, variety
from compress.replay.buffer import ReplayBuffer
from compress.replay.policies import Balanced, Prioritised, Uniform, newest
from compress.task import Samples, Statistics
from compress.training.compute import CPU_FLOAT32
from compress.training.random_numbers import RandomNumbers

ON_CPU = CPU_FLOAT32
TAKEN = torch.tensor(True)


def samples(n: int, value: int = 0, confidence: float = 0.5, label: int | None = None, classes: int = 4) -> Samples:
    predicted = torch.arange(n) % classes if label is None else torch.full((n,), label)
    statistics = Statistics(torch.full((n,), confidence), torch.nn.functional.one_hot(predicted, classes).float())
    return Samples(torch.full((n, 3, 2, 2), value, dtype=torch.uint8), predicted, statistics)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
@settings(deadline=None)
def test_the_buffer_never_holds_more_than_its_capacity(rounds: list[int]) -> None:
    buffer = ReplayBuffer(10, newest, Uniform(), ON_CPU)
    for count in rounds:
        buffer.add(samples(count))
    assert len(buffer) == min(10, sum(rounds))


def test_first_in_is_first_out(numbers: RandomNumbers) -> None:
    buffer = ReplayBuffer(6, newest, Uniform(), ON_CPU)
    for value in range(4):
        buffer.add(samples(3, value))
    assert sorted(set(buffer.draw(200, numbers).images.flatten().tolist())) == [2, 3]


def test_images_stay_uint8_and_take_no_more_memory_than_their_bytes(numbers: RandomNumbers) -> None:
    buffer = ReplayBuffer(64, newest, Uniform(), ON_CPU)
    buffer.add(samples(64))
    assert buffer.draw(4, numbers).images.dtype == torch.uint8
    assert buffer.state_dict()["images"].nbytes == 64 * 3 * 2 * 2


def test_a_hundred_classes_add_less_than_five_percent_to_the_memory_of_small_images() -> None:
    buffer = ReplayBuffer(50, newest, Uniform(), ON_CPU)
    statistics = Statistics(torch.rand(50), torch.rand(50, 100).softmax(dim=1))
    buffer.add(Samples(torch.zeros(50, 3, 32, 32, dtype=torch.uint8), torch.zeros(50, dtype=torch.long), statistics))
    state = buffer.state_dict()
    columns = sum(value.nbytes for name, value in state.items() if isinstance(value, torch.Tensor) and name != "images")
    assert columns < 0.05 * state["images"].nbytes


def test_phi_falls_with_the_crowd_and_with_confidence() -> None:
    share = torch.tensor([0.7, 0.1, 0.1, 0.1])
    one_hot = torch.eye(4)[:2]
    crowded, rare = balance(Statistics(torch.tensor([0.5, 0.5]), one_hot), share, 2.0).tolist()
    assert crowded == pytest.approx((1 - 0.7) * 0.5**2)
    assert rare == pytest.approx((1 - 0.1) * 0.5**2)
    sure, unsure = balance(Statistics(torch.tensor([0.9, 0.4]), one_hot[:1].expand(2, -1)), share, 2.0)
    assert sure < unsure


def test_rescaled_weights_have_mean_one() -> None:
    assert rescaled(torch.rand(10) * 100).mean() == pytest.approx(1.0)
    assert torch.equal(rescaled(torch.zeros(4)), torch.ones(4))


def test_a_balanced_buffer_evicts_the_crowded_class_first() -> None:
    buffer = ReplayBuffer(8, Balanced(2.0), Uniform(), ON_CPU)
    buffer.add(samples(8, label=0))
    buffer.add(samples(4, label=1))
    assert buffer.class_share.tolist() == [0.5, 0.5, 0.0, 0.0]


def mixed(n: int, generator: torch.Generator) -> Samples:
    """Label maps' histograms: no class has a position to itself."""
    histogram = torch.randn(n, 4, generator=generator).mul(3).softmax(dim=1)
    statistics = Statistics(torch.rand(n, generator=generator), histogram)
    return Samples(torch.randint(256, (n, 3, 2, 2), dtype=torch.uint8, generator=generator), torch.zeros(n), statistics)


def test_class_shares_follow_what_comes_and_goes(randomness: torch.Generator) -> None:
    buffer = ReplayBuffer(20, newest, Uniform(), ON_CPU)
    added = [mixed(7, randomness) for _ in range(6)]
    for batch in added:
        buffer.add(batch)
    held = torch.cat([batch.statistics.histogram for batch in added])[-20:]
    torch.testing.assert_close(buffer.class_share, held.mean(dim=0), atol=2 / 255, rtol=0)
    assert buffer.class_share.sum() == pytest.approx(1.0)


def test_what_is_admitted_does_not_depend_on_how_many_are_scored_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = []
    for block in (3, 1000):
        monkeypatch.setattr(replay, "BLOCK", block)
        generator, buffer = torch.Generator().manual_seed(0), ReplayBuffer(16, Balanced(2.0), Uniform(), ON_CPU)
        for _ in range(5):
            buffer.add(mixed(9, generator))
        states.append(buffer.state_dict())
    assert torch.equal(states[0]["images"], states[1]["images"])


def test_a_confident_newcomer_of_a_crowded_class_is_not_admitted() -> None:
    buffer = ReplayBuffer(5, Balanced(2.0), Uniform(), ON_CPU)
    buffer.add(samples(4, label=0, confidence=0.5))
    buffer.add(samples(1, label=1, confidence=0.5))
    assert buffer.add(samples(2, label=0, confidence=0.99)) == 0


def test_draws_follow_the_priorities(numbers: RandomNumbers) -> None:
    buffer = ReplayBuffer(4, newest, Prioritised(beta=0.5, epsilon=0.0), ON_CPU)
    buffer.add(samples(4))
    everything = buffer.draw(64, numbers)
    priorities = torch.tensor([1.0, 2.0, 3.0, 4.0])
    buffer.refresh(everything, priorities[everything.index], TAKEN)
    counts = torch.bincount(buffer.draw(40_000, numbers).index, minlength=4) / 40_000
    torch.testing.assert_close(counts, priorities / 10, atol=0.01, rtol=0)


def test_full_importance_weights_undo_the_bias_of_the_draw(numbers: RandomNumbers) -> None:
    buffer = ReplayBuffer(4, newest, Prioritised(beta=1.0, epsilon=0.0), ON_CPU)
    buffer.add(samples(4))
    first = buffer.draw(64, numbers)
    buffer.refresh(first, torch.tensor([1.0, 2.0, 3.0, 4.0])[first.index], TAKEN)
    drawn = buffer.draw(100_000, numbers)
    values = torch.tensor([10.0, 20.0, 30.0, 40.0])
    assert (values[drawn.index] * drawn.weights).mean().item() == pytest.approx(25.0, rel=0.01)


def test_the_priority_is_the_divergence_times_the_weight_of_the_draw_before(numbers: RandomNumbers) -> None:
    buffer = ReplayBuffer(2, newest, Prioritised(beta=1.0, epsilon=0.0), ON_CPU)
    buffer.add(samples(2))
    first = buffer.draw(32, numbers)
    buffer.refresh(first, torch.tensor([1.0, 3.0])[first.index], TAKEN)
    torch.testing.assert_close(buffer.state_dict()["priority"], torch.tensor([1.0, 3.0]))
    second = buffer.draw(32, numbers)
    buffer.refresh(second, torch.ones(32), TAKEN)
    third = buffer.draw(32, numbers)
    buffer.refresh(third, torch.ones(32), TAKEN)
    torch.testing.assert_close(buffer.state_dict()["priority"], 1 / (2 * torch.tensor([0.25, 0.75])))


def test_newcomers_enter_at_the_highest_priority(numbers: RandomNumbers) -> None:
    buffer = ReplayBuffer(4, newest, Prioritised(beta=0.5), ON_CPU)
    buffer.add(samples(2))
    drawn = buffer.draw(16, numbers)
    buffer.refresh(drawn, torch.full((16,), 7.0), TAKEN)
    buffer.add(samples(2))
    assert buffer.state_dict()["priority"].tolist() == [7.0] * 4


def test_every_draw_is_counted_until_the_sample_leaves(numbers: RandomNumbers) -> None:
    buffer = ReplayBuffer(6, newest, Uniform(), ON_CPU)
    buffer.add(samples(6))
    drawn = torch.cat([buffer.draw(50, numbers).index for _ in range(3)])
    assert torch.equal(buffer.state_dict()["draws"], torch.bincount(drawn, minlength=6).int())
    buffer.add(samples(2, value=9))
    state = buffer.state_dict()
    new = state["images"][:, 0, 0, 0] == 9
    assert state["draws"][new].sum() == 0
    assert (state["draws"][~new] > 0).all()


def test_the_numbers_of_a_buffer_say_how_even_how_old_and_how_hard_it_is(numbers: RandomNumbers) -> None:
    buffer = ReplayBuffer(12, newest, Prioritised(beta=0.5), ON_CPU)
    assert buffer.numbers() == {}
    buffer.add(samples(4, label=0))
    assert buffer.numbers() == {"buffer_evenness": 0.0, "buffer_age": 0.0}
    drawn = buffer.draw(64, numbers)
    buffer.refresh(drawn, torch.tensor([1.0, 2.0, 3.0, 6.0])[drawn.index], TAKEN)
    for _ in range(2):
        buffer.add(samples(4, label=1))
    numbers = buffer.numbers()
    assert numbers["buffer_age"] == 1.0, "of rounds 2, 1 and 0 ago"
    assert numbers["buffer_priority"] == 3.0, "of the four that were drawn"
    assert numbers["buffer_evenness"] == pytest.approx(0.459, abs=0.001), "a third and two thirds, of four classes"


def test_evenness_is_one_for_even_classes_and_zero_for_one() -> None:
    assert evenness(torch.full((7,), 1 / 7)) == pytest.approx(1.0)
    assert evenness(torch.tensor([0.0, 1.0, 0.0])) == 0.0


def test_variety_is_zero_for_copies_of_one_image_and_grows_with_the_differences() -> None:
    noise = torch.randint(256, (200, 3, 80, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert variety(noise[:1].expand(200, -1, -1, -1)) == 0.0
    assert variety(noise // 4) == pytest.approx(variety(noise) / 4, rel=0.05)
    assert variety(noise) == pytest.approx(12**-0.5, rel=0.05)


def test_a_restored_buffer_draws_and_evicts_the_same(randomness: torch.Generator, numbers: RandomNumbers) -> None:
    first = ReplayBuffer(6, Balanced(2.0), Prioritised(beta=0.5), ON_CPU)
    first.add(samples(5, value=1))
    drawn = first.draw(8, numbers)
    first.refresh(drawn, torch.rand(8, generator=randomness), TAKEN)
    second = ReplayBuffer(6, Balanced(2.0), Prioritised(beta=0.5), ON_CPU)
    second.load_state_dict(first.state_dict())
    for buffer in (first, second):
        buffer.add(samples(4, value=2, label=3))
    draws = [buffer.draw(32, RandomNumbers(5, ON_CPU.device)) for buffer in (first, second)]
    assert torch.equal(draws[0].images, draws[1].images)
    assert torch.equal(draws[0].weights, draws[1].weights)
    assert first.numbers() == second.numbers()
