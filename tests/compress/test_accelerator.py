"""The engine on an accelerator: CUDA where there is a card, elsewhere a pretend device that is as strict."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pretend_accelerator
import pytest
import torch
from small_networks import Halves, without_normalisation
from torch import Tensor
from torch.utils._pytree import tree_leaves

from compress.distillation.distiller import Distiller
from compress.distillation.round import Round
from compress.gan.collected import Collected
from compress.methods import METHODS, MethodContext
from compress.runs.evaluation import evaluate
from compress.settings import DistillSettings
from compress.storage.run_directory import write_state
from compress.storage.settings_files import merged
from compress.testing import FakeTask
from compress.training import capture
from compress.training import compute as compute_module
from compress.training.capture import WARM
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers

CPU = torch.device("cpu")
EXACT = not torch.cuda.is_available()
"""The pretend device computes on the processor: it rounds as that does."""
SMALL = {
    "inversion": {"samples": 8, "steps": 2, "latent": 16, "width": 8},
    "replay": {"capacity": 24},
    "gan": {"iterations": 2, "batch": 8, "latent": 8, "width": 8, "samples": 12, "capacity": 24, "inflation": 3},
    "distillation": {"rounds": 3, "warmup": 1, "steps": 2, "batch": 6, "lr": 0.05},
}
BOTH_TASKS = [pytest.param(False, id="classification"), pytest.param(True, id="segmentation")]
CASES = [
    pytest.param(name, positions, id=f"{name}-{'segmentation' if positions else 'classification'}")
    for name, method in METHODS.items()
    for positions in (False, True)
    if not (positions and method.shares_classifier)
]


@pytest.fixture
def device() -> Iterator[torch.device]:
    """CUDA, or the pretend device while the test runs."""
    if torch.cuda.is_available():
        yield torch.device("cuda")
        return
    with pretend_accelerator.accelerator():
        yield pretend_accelerator.DEVICE


def make(
    device: torch.device, method: str = "ssd-kd", *, positions: bool = False, normalised: bool = True, **sections: Any
) -> Distiller:
    """A small distiller there."""
    torch.manual_seed(0)
    task, entry = FakeTask(positions=positions), METHODS[method]
    teacher, student = task.teacher(), task.student()
    if entry.shares_classifier:
        teacher, student = Halves(8).eval().requires_grad_(requires_grad=False), Halves(4)
    if not normalised:
        without_normalisation(teacher)
    compute = Compute(device, torch.float32, sections.pop("capture", "off"))
    for network in (teacher, student):
        compute.place(network)
    settings = {name: part for name, part in SMALL.items() if name != "gan" or method == "hidfd"}
    settings = DistillSettings.model_validate(merged(entry.defaults, settings, {"method": method, **sections}))
    noise = torch.randint(256, (30, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    collected = Collected(noise, torch.arange(30) % 4) if entry.needs_collected else None
    randomness = torch.Generator().manual_seed(0)
    return entry.build(
        MethodContext(
            task=task,
            teacher=teacher,
            student=student,
            settings=settings,
            mirror=True,
            execution=Execution(compute=compute, workers=Workers(), randomness=randomness),
            collected=collected,
        )
    )


def run(distiller: Distiller) -> list[Round]:
    rounds: list[Round] = []
    distiller.run(rounds.append)
    return rounds


def close(one: object, other: object) -> bool:
    """Whether two states hold the same numbers: to the last bit on the pretend device, nearly on a real one."""
    pairs = zip(tree_leaves(one), tree_leaves(other), strict=True)
    return all(_close(a, b) for a, b in pairs)


def _close(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor):
        return bool(one == other)
    one, other = one.cpu(), other.cpu()
    return torch.equal(one, other) if EXACT else torch.allclose(one.float(), other.float(), rtol=0.05, atol=0.05)


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


@pytest.mark.parametrize("positions", BOTH_TASKS)
def test_scores_and_pictures_there_are_those_of_the_processor(device, positions: bool) -> None:
    task = FakeTask(positions=positions)
    here, there = task.teacher(), task.teacher()
    Compute(device, torch.float32).place(there)
    scores = [
        evaluate(network, task, Compute(place, torch.float32).exact)
        for network, place in ((here, CPU), (there, device))
    ]
    assert scores[0].headline == scores[1].headline


BAD: list[Callable[[Tensor], object]] = [
    lambda there: there + torch.ones(3),
    lambda there: torch.stack([there.sum(), torch.tensor(1.0)]),
    lambda there: torch.cat([there, torch.ones(1)]),
    lambda there: torch.ones(3)[there.long()],
    lambda there: torch.nn.functional.linear(there, torch.ones(2, 3)),
    lambda there: torch.rand(3, device=there.device, generator=torch.Generator()),
]


@pytest.mark.parametrize("operation", BAD)
def test_the_device_refuses_what_lies_elsewhere(device, operation: Callable[[Tensor], object]) -> None:
    with pytest.raises(RuntimeError, match=r"same device|device type for generator|should be either on"):
        operation(torch.ones(3, device=device))


def test_the_device_takes_what_cuda_takes(device) -> None:
    there = torch.arange(3.0, device=device)
    assert (there + torch.tensor(2.0)).tolist() == [2, 3, 4]
    assert there[torch.tensor([2, 0])].tolist() == [2, 0]


@pytest.mark.skipif(not EXACT, reason="a real device counts nothing")
def test_the_pretend_device_counts_waits_and_copies(device) -> None:
    counts = pretend_accelerator.counts
    there = torch.ones(3).to(device)
    assert (counts.waits, counts.copies) == (0, 1)
    for wait in (there.sum().item, lambda: bool(there.any()), there.nonzero, lambda: there[there > 0]):
        counts.clear()
        wait()
        assert counts.waits == 1
    counts.clear()
    assert there.tolist() == there.cpu().tolist() == [1, 1, 1]
    assert counts.copies == 2


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
            distiller = make(pretend_accelerator.DEVICE, method, positions=positions, distillation=many, **sections)
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


@pytest.mark.parametrize(("method", "positions"), [("ssd-kd", True), ("zskt", False), ("hidfd", False)])
def test_a_students_steps_as_a_graph_give_the_same_student(device, monkeypatch, method: str, positions: bool) -> None:
    if EXACT:
        monkeypatch.setattr(capture, "GRAPHS", {device.type: pretend_accelerator.PretendGraph})
    many = {"steps": WARM + 4, "hints": 0.5 if method == "ssd-kd" else 0.0}
    plain, graph = (
        make(device, method, positions=positions, capture=mode, distillation=many) for mode in ("off", "auto")
    )
    for distiller in (plain, graph):
        assert all(done.notice is None for done in run(distiller))
    assert graph.student_step._captured.active
    assert not plain.student_step._captured.active
    assert close(plain.student.state_dict(), graph.student.state_dict())
    graph.load_state_dict(graph.state_dict())
    assert not graph.student_step._captured.active, "what was recorded is about other memory"


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
