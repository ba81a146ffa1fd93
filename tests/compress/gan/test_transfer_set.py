"""Photographs beside synthetic samples: their share of a batch, their classes, and what the buffer hears of them."""

from pathlib import Path

import pytest
import torch
from small_distillers import close, make, run
from torch import Tensor
from torchvision.io import encode_png

from compress.errors import UsageError
from compress.gan.collected import Collected
from compress.gan.transfer_set import BufferBesideTransferSet, TransferSet
from compress.methods import METHODS
from compress.replay.buffer import ReplayBuffer
from compress.replay.policies import Prioritised, newest
from compress.runs.collected_images import read_collected_images
from compress.runs.resolution import resolve
from compress.settings import DistillSettings
from compress.task import Samples, Statistics
from compress.tasks.data import open_data
from compress.training.compute import CPU_FLOAT32
from compress.training.random_numbers import RandomNumbers

CPU = torch.device("cpu")
TAKE_PHOTOGRAPHS = [name for name, entry in METHODS.items() if not {"collected", "inversion"} & entry.unused]
BLACK, GREY, WHITE = 0, 128, 255


def brightness(images: Tensor) -> Tensor:
    """Logits `[n, 3]` of a teacher for which images are dark, bright, or of a class that none of them is of."""
    mean = images.mean(dim=(1, 2, 3))
    return torch.stack([0.2 - mean, mean - 0.2, torch.full_like(mean, -9.0)], dim=1)


def plain(value: int, count: int) -> Tensor:
    return torch.full((count, 3, 4, 4), value, dtype=torch.uint8)


def transfer_set(dark: int, bright: int) -> TransferSet:
    return TransferSet(Collected(torch.cat([plain(BLACK, dark), plain(WHITE, bright)]), None), brightness, CPU_FLOAT32)


def beside(share: float, batch: int) -> tuple[BufferBesideTransferSet, ReplayBuffer]:
    """A buffer of eight grey samples beside 20 black photographs."""
    buffer = ReplayBuffer(8, newest, Prioritised(0.5), CPU_FLOAT32)
    buffer.add(Samples(plain(GREY, 8), torch.zeros(8).long(), Statistics(torch.ones(8), torch.ones(8, 3) / 3)))
    return BufferBesideTransferSet(buffer, transfer_set(20, 0), share, batch, CPU_FLOAT32), buffer


@pytest.mark.parametrize(("dark", "bright"), [(95, 5), (5, 95), (50, 50)])
def test_a_rare_class_of_the_photographs_is_drawn_as_often_as_a_frequent_one(dark, bright, numbers) -> None:
    drawn = transfer_set(dark, bright).draw(2000, numbers).flatten(1)[:, 0]
    assert drawn.float().mean().item() / WHITE == pytest.approx(0.5, abs=0.05)


def test_photographs_of_one_class_are_all_drawn(numbers) -> None:
    every = torch.arange(30, dtype=torch.uint8).view(-1, 1, 1, 1).expand(30, 3, 4, 4)
    photographs = TransferSet(Collected(every, None), brightness, CPU_FLOAT32)
    assert photographs.draw(2000, numbers)[:, 0, 0, 0].unique().tolist() == list(range(30))
    assert photographs.evenness == 0


@pytest.mark.parametrize(("share", "batch", "collected"), [(0.25, 8, 2), (0.5, 7, 4), (0.1, 6, 1), (1.0, 5, 5)])
def test_a_batch_holds_the_share_and_so_does_either_half_of_it(share, batch, collected, numbers) -> None:
    drawn = beside(share, batch)[0].draw(batch, numbers)
    is_collected = drawn.images.flatten(1)[:, 0] == BLACK
    assert len(drawn.images) == len(drawn.index) == len(drawn.weights) == batch
    assert int(is_collected.sum()) == collected
    first, second = (int(half.sum()) for half in is_collected.split(-(-batch // 2)))
    assert abs(first - second) <= 1
    assert (drawn.weights[is_collected] == 1).all()


def test_the_buffer_hears_the_losses_of_its_own_samples_alone(numbers) -> None:
    both, buffer = beside(0.5, 16)
    drawn = both.draw(16, numbers)
    is_collected = drawn.images.flatten(1)[:, 0] == BLACK
    both.refresh(drawn, torch.where(is_collected, 1000.0, 0.25), torch.tensor(True))
    state = buffer.state_dict()
    own = drawn.index[~is_collected].unique()
    assert state["priority"][own].tolist() == [0.25] * len(own)
    assert state["priority"].max() <= 1.0, "what was not drawn keeps the priority of new samples"


@pytest.mark.parametrize("method", TAKE_PHOTOGRAPHS)
def test_photographs_change_the_student_and_a_resumed_run_equals_an_uninterrupted_one(
    method: str, tmp_path: Path
) -> None:
    without, whole, part, resumed = (make(CPU, method, photographs=beside) for beside in (False, True, True, True))
    for distiller in (without, whole):
        rounds = run(distiller)
    assert 0 <= rounds[-1].numbers["collected_evenness"] <= 1
    assert not close(without.student.state_dict(), whole.student.state_dict())

    def stop(done) -> None:
        if done.index == 1:
            torch.save(part.state_dict(), tmp_path / "state.pt")

    part.run(stop)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    run(resumed)
    assert close(whole.student.state_dict(), resumed.student.state_dict())


def test_without_a_share_the_photographs_are_left_alone() -> None:
    without, none = make(CPU), make(CPU, photographs=True, distillation={"collected_share": 0.0})
    for distiller in (without, none):
        run(distiller)
    assert close(without.student.state_dict(), none.student.state_dict())


def test_two_photographs_are_enough_beside_samples_for_any_batch(tmp_path: Path) -> None:
    for name, value in (("a", BLACK), ("b", WHITE)):
        (tmp_path / f"{name}.png").write_bytes(bytes(encode_png(plain(value, 1)[0]).numpy()))
    source = open_data("digits", "classification")
    settings = DistillSettings(method="ssd-kd", data="digits", collected=tmp_path)
    photographs = read_collected_images(settings, source)
    assert photographs is not None
    assert photographs.images.shape == (2, *source.image_shape)
    assert read_collected_images(DistillSettings(method="ssd-kd", data="digits"), source) is None


def test_methods_that_keep_samples_take_photographs_and_no_others() -> None:
    assert set(TAKE_PHOTOGRAPHS) == {"ssd-kd", "fast-dfkd", "cmi", "deep-inversion"}


@pytest.mark.parametrize("method", ["kd", "hidfd", "dafl"])
def test_a_method_whose_batches_have_no_shares_refuses_one(method: str) -> None:
    chosen = {"data": "digits", "method": method, "distillation": {"collected_share": 0.5}}
    with pytest.raises(UsageError, match=r"distillation\.collected_share"):
        resolve(chosen, None)


def test_a_seed_draws_the_same_photographs() -> None:
    first, again, other = (transfer_set(30, 30).draw(64, RandomNumbers(seed, CPU)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
