"""What goes wrong in the middle of a run is noticed, and mended where it can be."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compress.distillation.distiller import Distiller
from compress.distillation.round import Round
from compress.errors import CompressError, Diverged
from compress.runs import rounds as recorded
from compress.runs.rounds import lead
from compress.storage.run_directory import RunDirectory
from compress.task import Samples, Statistics
from compress.testing import FakeTask
from compress.training.guards import CollapseGuard, require_finite


class Faulty(nn.Module):
    """A teacher that answers with NaN whenever `fails` says so of how often it was asked."""

    def __init__(self, fails: Callable[[int], bool]) -> None:
        super().__init__()
        self._network, self._fails, self._asked = FakeTask(positions=False).teacher(), fails, 0

    def forward(self, images: Tensor) -> Tensor:
        self._asked += 1
        logits: Tensor = self._network(images)
        return logits * float("nan") if self._fails(self._asked) else logits


def run(distiller: Distiller) -> list[Round]:
    rounds: list[Round] = []
    distiller.run(rounds.append)
    return rounds


@pytest.fixture
def recorded_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A folder for a run that writes a checkpoint every round."""
    monkeypatch.setattr(recorded, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    return RunDirectory.create(tmp_path)


# a round calls the teacher twice for the inversion, once to measure samples and, from the second on, for the student
@pytest.mark.parametrize(("asked", "where"), [(1, "inversion"), (7, "distillation")])
def test_a_step_whose_loss_is_no_number_is_skipped_and_counted(make_distiller, asked: int, where: str) -> None:
    distiller = make_distiller(teacher=Faulty(lambda count: count == asked))
    rounds = run(distiller)
    skipped = [done.numbers["skipped"] for done in rounds]
    assert skipped == ([1, 0, 0, 0] if where == "inversion" else [0, 1, 0, 0])
    require_finite(distiller.state_dict())
    numbers = torch.tensor([value for done in rounds for value in done.numbers.values()])
    assert numbers.isfinite().all(), "what was skipped is in no mean"


def test_weights_that_are_no_numbers_are_found_wherever_they_are() -> None:
    require_finite({"a": [torch.zeros(2), {"b": (torch.ones(1), 3)}]}, torch.zeros(2, dtype=torch.long))
    with pytest.raises(Diverged):
        require_finite({"a": [torch.zeros(2), {"b": (torch.tensor([float("nan")]), 3)}]})


def test_a_run_that_diverges_goes_back_and_goes_on_with_half_the_learning_rates(
    make_distiller, recorded_run: RunDirectory
) -> None:
    # a round calls it twice for the inversion, once to measure and, from the second on, four times for the student
    distiller = make_distiller(teacher=Faulty(lambda count: count in {20, 21}), rounds=6, steps=4)
    lead(distiller, recorded_run, {"history": []}, picture=distiller.task.picture)
    assert distiller.learning_rate_scale == distiller.inversion.learning_rate_scale == 0.5
    require_finite(distiller.state_dict())
    lines = (recorded_run.path / "metrics.jsonl").read_text().splitlines()
    assert [f'"round": {index}' in line for index, line in enumerate(lines)] == [True] * 6
    assert (recorded_run.path / "train.log").read_text().count("half the learning rates") == 1


def test_a_run_that_keeps_diverging_fails_in_one_line(make_distiller, recorded_run: RunDirectory) -> None:
    distiller = make_distiller(teacher=Faulty(lambda count: count > 7), rounds=6)
    with pytest.raises(CompressError, match="an eighth of the learning rates") as failed:
        lead(distiller, recorded_run, {"history": []}, picture=distiller.task.picture)
    assert failed.value.exit_code == 1
    assert (recorded_run.path / "train.log").read_text().count("half the learning rates") == 3
    require_finite(recorded_run.read_checkpoint())


def test_weights_that_are_no_numbers_never_reach_a_checkpoint(make_distiller, recorded_run: RunDirectory) -> None:
    distiller = make_distiller()
    step, steps_taken = distiller.optimizer.step, []

    def spoil(*_: object) -> None:
        steps_taken.append(step())
        if len(steps_taken) == 3:  # the last one of a round: no loss tells
            next(distiller.student.parameters()).data.fill_(float("nan"))

    distiller.optimizer.step = spoil
    lead(distiller, recorded_run, {"history": []}, picture=distiller.task.picture)
    assert distiller.learning_rate_scale == 0.5
    require_finite(distiller.state_dict(), recorded_run.read_checkpoint())


def test_a_generator_that_makes_one_picture_only_begins_anew(make_distiller, recorded_run: RunDirectory) -> None:
    distiller = make_distiller(rounds=6)
    paint = distiller.inversion._generator.paint
    nn.init.zeros_(paint.weight)
    nn.init.constant_(paint.bias, 100.0)  # white, and so far out that no gradient leads back
    lead(distiller, recorded_run, {"history": []}, picture=distiller.task.picture)
    log = (recorded_run.path / "train.log").read_text()
    assert log.count("one picture: the generator begins anew") == 1
    rows = [json.loads(line) for line in (recorded_run.path / "metrics.jsonl").read_text().splitlines()]
    assert [row["collapsed"] for row in rows] == [0, 0, 0, 1, 0, 0]
    samples, _ = distiller.inversion.round(0, torch.Generator().manual_seed(0))
    assert samples.images.float().std(dim=0).mean() > 1


def test_a_generator_that_loses_all_classes_but_one_is_noticed_and_one_that_never_had_them_is_not() -> None:
    def samples(*classes: int) -> Samples:
        images = torch.randint(256, (len(classes), 3, 8, 8), dtype=torch.uint8)
        statistics = Statistics(torch.ones(len(classes)), nn.functional.one_hot(torch.tensor(classes), 4).float())
        return Samples(images, torch.tensor(classes), statistics)

    never, lost = CollapseGuard(), CollapseGuard()
    assert [never.complaint(samples(2, 2, 2), 0.2) for _ in range(9)] == [None] * 9
    assert lost.complaint(samples(0, 1, 2), 0.2) is None
    said = [lost.complaint(samples(2, 2, 2), 0.2) for _ in range(3)]
    assert said[:2] == [None, None]
    assert said[2] is not None
    assert said[2].endswith("all of one class")


class Narrow(nn.Module):
    """A student with memory for `most` images at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._network, self._most = FakeTask(positions=False).student(), most

    def forward(self, images: Tensor) -> Tensor:
        if self.training and len(images) > self._most:
            raise torch.OutOfMemoryError
        logits: Tensor = self._network(images)
        return logits


def test_a_batch_that_does_not_fit_into_memory_is_taken_in_parts(make_distiller, recorded_run: RunDirectory) -> None:
    distiller = make_distiller(student=Narrow(2), batch=8)
    lead(distiller, recorded_run, {"history": []}, picture=distiller.task.picture)
    assert distiller.student_step.micro_batches == 4
    assert distiller.step == 9
    assert (recorded_run.path / "train.log").read_text().count("taken in 4 parts from now on") == 1
    with pytest.raises(torch.OutOfMemoryError):
        run(make_distiller(student=Narrow(1), batch=8))


def test_the_parts_of_a_batch_have_the_gradient_of_the_whole(make_distiller) -> None:
    distiller = make_distiller()
    distiller.student.eval()  # batch normalisation sees a part only
    images, weights = torch.rand(8, 3, 16, 16), torch.rand(8)
    gradients = []
    for distiller.student_step.micro_batches in (1, 4):
        distiller.student_step._gradients(images, weights)
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in distiller.student.parameters()]))
    torch.testing.assert_close(*gradients)
