"""A student learns with its dropout switched off, unless it is asked for."""

import pytest
from torch import nn

from compress.distillation.learning_mode import set_learning_mode
from compress.testing import FakeTask


@pytest.mark.parametrize("layer", [nn.Dropout, nn.Dropout2d, nn.AlphaDropout])
@pytest.mark.parametrize("dropout", [False, True])
def test_all_of_a_student_learns_but_its_dropout(layer: type[nn.Module], dropout: bool) -> None:
    student = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(layer())).eval()
    set_learning_mode(student, dropout=dropout)
    assert student.training
    assert student[1].training
    assert student[2][0].training == dropout


@pytest.mark.parametrize("dropout", [False, True])
def test_the_setting_reaches_the_steps_of_a_run(make_distiller, dropout: bool) -> None:
    layer, modes = nn.Dropout(), []
    layer.register_forward_hook(lambda module, inputs, output: modes.append(module.training))
    student = nn.Sequential(layer, FakeTask(positions=False).student())
    make_distiller(student=student, rounds=2, warmup=1, steps=1, dropout=dropout).run(lambda done: None)
    assert any(modes) == dropout
