"""The engine on an accelerator gives what it gives on the processor."""

from pathlib import Path
from typing import Any

import pretend_accelerator
import pytest
import torch
from small_distillers import EXACT, SMALL, close, make, run
from torch import Tensor

from compress.distillation.distiller import Distiller
from compress.distillation.round import Round
from compress.methods import METHODS
from compress.storage.run_directory import write_state
from compress.storage.settings_files import merged
from compress.synthesis.inversion import GeneratorInversion
from compress.synthesis.pixels import PixelInversion
from compress.training import compute as compute_module
from compress.training.capture import WARM, Captured

CPU = torch.device("cpu")
BOTH_TASKS = [pytest.param(False, id="classification"), pytest.param(True, id="segmentation")]
CASES = [
    pytest.param(name, positions, id=f"{name}-{'segmentation' if positions else 'classification'}")
    for name, method in METHODS.items()
    for positions in (False, True)
    if not (positions and method.shares_classifier)
]


@pytest.mark.parametrize(("method", "positions"), CASES)
def test_a_run_there_gives_what_the_processor_gives_and_can_be_resumed(
    device, method: str, positions: bool, tmp_path: Path
) -> None:
    here, there, resumed = (make(place, method, positions=positions) for place in (CPU, device, device))
    numbers = [done.numbers for done in run(here)]
    rounds: list[Round] = []

    def record(done: Round) -> None:
        rounds.append(done)
        write_state(tmp_path / f"{done.index}.pt", there.state_dict())

    there.run(record)
    assert {value.device.type for value in there.student.state_dict().values()} == {device.type}
    assert close(here.student.state_dict(), there.student.state_dict())
    assert numbers == [pytest.approx(done.numbers, rel=1e-6 if EXACT else 0.1) for done in rounds]
    resumed.load_state_dict(torch.load(tmp_path / "1.pt", weights_only=True, map_location=CPU))
    assert [done.index for done in run(resumed)] == [2]
    assert close(there.student.state_dict(), resumed.student.state_dict())


@pytest.mark.parametrize("positions", BOTH_TASKS)
def test_hints_and_teachers_without_batch_normalisation_work_there(device, positions: bool) -> None:
    sections = {"distillation": {"hints": 0.5, "shuffle_channels": True, "zoom": 1.3, "optimizer": "adamw"}}
    here, there = (
        make(place, positions=positions, normalised=False, **merged(SMALL, sections)) for place in (CPU, device)
    )
    for distiller in (here, there):
        assert len(run(distiller)) == 3
    assert close(here.student.state_dict(), there.student.state_dict())


@pytest.mark.skipif(not EXACT, reason="a real device counts nothing")
@pytest.mark.parametrize("method", ["ssd-kd", "deep-inversion"])
def test_the_prior_of_patches_neither_waits_nor_copies_in_a_step(method: str) -> None:
    totals = []
    for steps in (1, 3):
        with pretend_accelerator.accelerator() as counts:
            distiller = make(pretend_accelerator.DEVICE, method, transformer=True, inversion={"steps": steps})
            before = counts.waits, counts.copies
            distiller.inversion.round(0, torch.Generator().manual_seed(0))
            totals.append((counts.waits - before[0], counts.copies - before[1]))
    assert totals[0] == totals[1]


@pytest.mark.skipif(not EXACT, reason="a real device counts nothing")
@pytest.mark.parametrize(("method", "positions"), [("ssd-kd", True), *((method, False) for method in METHODS)])
def test_a_students_step_neither_waits_nor_copies_and_a_round_does_a_handful_of_times(
    method: str, positions: bool
) -> None:
    """However many steps a round has."""
    totals = []
    for steps in (1, 3):
        with pretend_accelerator.accelerator() as counts:
            many = {"steps": steps, "hints": 0.5 if method == "ssd-kd" else 0.0, "zoom": 1.3, "shuffle_channels": True}
            sections = {"inversion": {"steps": steps}} if method not in ("kd", "hidfd") else {}
            distiller = make(
                pretend_accelerator.DEVICE, method, positions=positions, photographs=positions, distillation=many,
                **sections,
            )  # fmt: skip
            in_steps, step, ends = [], distiller._distil_step, []

            def counted(numbers, in_steps=in_steps, step=step, counts=counts):
                before = counts.waits, counts.copies
                means = step(numbers)
                in_steps.append((counts.waits - before[0], counts.copies - before[1]))
                return means

            distiller._distil_step = counted
            distiller.run(lambda _, ends=ends, counts=counts: ends.append((counts.waits, counts.copies)))
        assert in_steps == [(0, 0)] * 2 * steps
        totals.append(tuple(after - before for before, after in zip(ends[-2], ends[-1], strict=True)))
    assert totals[0] == totals[1], "the steps of either half cost none"
    assert all(total <= 12 for total in totals[0])


def nearly(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two networks have the same weights but for rounding."""
    return all((one[name] - other[name]).float().norm() <= 1e-3 + 1e-3 * one[name].float().norm() for name in one)


def captured(distiller: Distiller) -> list[Captured]:
    """The steps of either half that may run as graphs."""
    inversion, steps = distiller.inversion, [distiller.student_step._captured]
    if isinstance(inversion, GeneratorInversion) and inversion._adaptation:
        steps.append(inversion._adaptation.steps.captured)
    if isinstance(inversion, PixelInversion) and inversion._pixels:
        steps.append(inversion._pixels.steps.captured)
    return steps


@pytest.mark.parametrize(("method", "positions", "halves"), [
    ("ssd-kd", True, 2), ("cmi", False, 2), ("deep-inversion", False, 2), ("dafl", False, 2), ("hidfd", False, 1),
])  # fmt: skip
def test_steps_as_graphs_give_the_same_student(device, graphs, method: str, positions: bool, halves: int) -> None:
    sections: dict[str, Any] = {"distillation": {"steps": WARM + 2, "hints": 0.5 if method == "ssd-kd" else 0.0}}
    if method in ("ssd-kd", "cmi", "deep-inversion"):
        sections["inversion"] = {"steps": WARM + 2}
    elif method == "dafl":  # a step a round, of which the first four are plain
        sections["distillation"] = {"rounds": WARM + 4, "steps": 2}
    plain, graph = (make(device, method, positions=positions, capture=mode, **sections) for mode in ("off", "auto"))
    numbers = [[done.numbers for done in run(distiller)] for distiller in (plain, graph)]
    assert [steps.active for steps in captured(graph)] == [True] * halves
    assert [steps.active for steps in captured(plain)] == [False] * halves
    # learning rates have float32's bits on the device
    assert numbers[1] == [pytest.approx(row, rel=1e-3 if EXACT else 0.1, abs=1e-6) for row in numbers[0]]
    assert nearly(plain.student.state_dict(), graph.student.state_dict())
    graph.load_state_dict(graph.state_dict())
    assert not any(steps.active for steps in captured(graph)), "what was recorded is about other memory"


def test_a_term_that_waits_for_the_device_runs_plainly_and_a_round_says_so(device, graphs) -> None:
    distiller = make(device, capture="auto", inversion={"steps": WARM + 1})
    judge = distiller.inversion._inversion_loss.judge

    def waiting(images, *others):
        assert images.detach().isfinite().all()
        return judge(images, *others)

    distiller.inversion._inversion_loss.judge = waiting
    notices = [done.notice for done in run(distiller)]
    assert [notice is not None for notice in notices] == [False, True, False]
    assert "the inversion's step does not run as a CUDA graph" in notices[1]


def test_an_inversion_that_runs_out_of_memory_makes_its_samples_in_halves(device) -> None:
    for method, made in (("ssd-kd", 8), ("deep-inversion", 8), ("dafl", 12)):
        distiller = make(device, method)
        judge, sizes = distiller.inversion._inversion_loss.judge, []

        def narrow(images, *others, judge=judge, sizes=sizes):
            if len(images) > 4:
                raise torch.OutOfMemoryError
            sizes.append(len(images))
            return judge(images, *others)

        distiller.inversion._inversion_loss.judge = narrow
        rounds = run(distiller)
        assert max(sizes) == 4
        assert [len(done.samples.images) for done in rounds] == [made] * 3
        assert distiller.inversion.micro_batches == 2
        assert ["in 2 parts" in (done.notice or "") for done in rounds] == [True, False, False]
        assert distiller.state_dict()["inversion"]["micro_batches"] == 2


def test_an_inversion_without_memory_for_two_images_ends_the_run(device) -> None:
    distiller = make(device)

    def never(*_):
        raise torch.OutOfMemoryError

    distiller.inversion._inversion_loss.judge = never
    with pytest.raises(torch.OutOfMemoryError):
        run(distiller)


def test_images_that_would_fill_the_device_stay_in_the_processors_memory(device, monkeypatch) -> None:
    roomy = make(device)
    run(roomy)
    monkeypatch.setattr(compute_module, "device_memory", lambda _: 1000)
    tight = make(device)
    run(tight)
    assert roomy.buffer.state_dict()["images"].device.type == device.type
    assert tight.buffer.state_dict()["images"].device.type == "cpu"
    assert close(roomy.student.state_dict(), tight.student.state_dict())
