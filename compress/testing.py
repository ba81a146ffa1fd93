"""Public test support: a cheap fake task, and a check of the task contract."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from compress import losses
from compress.task import Batch, HeldOut, Task, TaskSpec


class FakeMetric:
    """Share of positions with the correct class."""

    def __init__(self) -> None:
        self._right, self._count = 0, 0

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count logits `[n, k, *s]` against targets `[n, *s]`."""
        self._right += int((logits.argmax(dim=1) == targets).sum())
        self._count += targets.numel()

    def compute(self) -> dict[str, float]:
        """`accuracy`, a fraction."""
        return {"accuracy": self._right / max(self._count, 1)}


class FakeTask:
    """Tiny images and networks; a segmentation with `positions`, a classification without. It is its own `HeldOut`.

    The teacher's batch statistics are those of uniform noise. Its predictions are the labels.
    """

    def __init__(self, *, positions: bool, classes: int = 4, size: int = 16) -> None:
        names = tuple(f"class-{index}" for index in range(classes))
        self.spec = TaskSpec(
            name="fake",
            image_shape=(3, size, size),
            class_names=names,
            metric="accuracy",
            palette=((0, 0, 0),) * classes,
        )
        self._positions = positions

    def teacher(self) -> nn.Module:
        """The same network, with plausible batch statistics, every time."""
        with torch.random.fork_rng():
            torch.manual_seed(7)
            network = self._network(8)
            with torch.no_grad():
                for _ in range(60):
                    network(torch.rand(16, *self.spec.image_shape))
        return network.eval().requires_grad_(requires_grad=False)

    def student(self) -> nn.Module:
        """A new, narrower network."""
        return self._network(4)

    def _network(self, width: int) -> nn.Module:
        layers = [nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        head = [nn.Conv2d(width, self.spec.num_classes, 1)]
        return nn.Sequential(*layers, *head, *([] if self._positions else [nn.AdaptiveAvgPool2d(1), nn.Flatten()]))

    def draw_targets(self, n: int, class_share: Tensor, generator: torch.Generator) -> Tensor:
        """Independent random classes."""
        shape = (n, *self.spec.image_shape[1:]) if self._positions else (n,)
        return torch.randint(self.spec.num_classes, shape, generator=generator)

    def batches(self) -> Iterator[Batch]:
        """Two batches of noise, labelled by the teacher."""
        noise, teacher = torch.Generator().manual_seed(3), self.teacher()
        for _ in range(2):
            images = torch.rand(8, *self.spec.image_shape, generator=noise)
            yield Batch(images, teacher(images).argmax(dim=1))

    def metric(self) -> FakeMetric:
        """A new, empty metric."""
        return FakeMetric()

    def picture(self, batch: Batch, *answers: Tensor, target: str = "aimed at") -> Tensor:
        """The images in a row."""
        return batch.images.mul(255).to(torch.uint8).movedim(0, 2).flatten(2)


def check_task(task: Task, held_out: HeldOut, teacher: nn.Module, student: nn.Module) -> None:
    """Raise `AssertionError` that says what is broken unless these keep the contract of `compress.task`.

    `teacher` is trained, frozen and in evaluation mode; `student` has logits of the same shape.
    """
    assert isinstance(task, Task), "a member of the protocol Task is missing"
    assert isinstance(held_out, HeldOut), "a member of the protocol HeldOut is missing"
    spec, n = task.spec, 6
    assert spec == held_out.spec, "task and held-out data have one spec"
    assert not teacher.training, "the teacher must be in evaluation mode"
    assert not any(parameter.requires_grad for parameter in teacher.parameters()), "the teacher must be frozen"
    even = torch.full((spec.num_classes,), 1 / spec.num_classes)
    targets = task.draw_targets(n, even, torch.Generator().manual_seed(0))
    again = task.draw_targets(n, even, torch.Generator().manual_seed(0))
    assert targets.dtype == torch.long, "targets are long"
    assert torch.equal(targets, again), "targets depend on nothing but the generator"
    valid = (targets == spec.ignore_index) | ((targets >= 0) & (targets < spec.num_classes))
    assert valid.all(), "targets are classes or the ignore index"
    batch = next(iter(held_out.batches()))
    assert batch.images.shape[1] == 3, "held-out images are RGB"
    assert batch.images.amin() >= 0, "images are in [0, 1]"
    assert batch.images.amax() <= 1, "images are in [0, 1]"
    images = batch.images[:n]
    with torch.no_grad():
        teacher_logits, student_logits = teacher(images), student.eval()(images)
    assert teacher_logits.shape == student_logits.shape, "teacher and student logits have one shape"
    expected = (len(images), spec.num_classes, *batch.targets.shape[1:])
    assert teacher_logits.shape == expected, "logits are [n, k, *s], s being that of the targets"
    assert losses.kl(student_logits, teacher_logits).shape == (len(images),), "every loss is [n]"
    metric = held_out.metric()
    metric.update(teacher_logits, batch.targets[:n])
    headline = metric.compute()[spec.metric]
    assert isinstance(headline, float), "the headline number is a float"
    assert 0 <= headline <= 1, "the headline number is a fraction"
    picture = held_out.picture(Batch(images, batch.targets[:n]), teacher_logits, student_logits)
    assert picture.dtype == torch.uint8, "pictures are uint8"
    assert picture.shape[0] == 3, "pictures are RGB"
