"""Every shipped recipe trains: two rounds of two steps, with its own numbers otherwise."""

import pytest
import torch

from compress.cli.resolution import resolve
from compress.compute import Compute
from compress.configuration import load_config, merged, recipe_names, validated
from compress.methods import Ingredients, find_method
from compress.settings import DistillSettings
from compress.tasks import make_task
from compress.tasks.data import SOURCES, open_data
from compress.tasks.models import create_model

SHORT = {"inversion": {"samples": 4, "steps": 2}, "distillation": {"rounds": 2, "warmup": 1, "steps": 2, "batch": 4}}


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_trains_for_two_steps(name: str) -> None:
    data, _, method = name.partition("/")
    source = open_data(data, SOURCES[data].task)
    settings = validated(DistillSettings, merged(load_config(name), SHORT))
    classes = len(source.class_names)
    student_name = "cifar_wrn_16_1" if source.task == "classification" else "fpn:tu-test_resnet"
    teacher_name = "cifar_resnet20" if source.task == "classification" else "deeplabv3plus:tu-test_resnet"
    torch.manual_seed(0)
    teacher, student = (create_model(source.task, network, classes) for network in (teacher_name, student_name))
    task = make_task(source, lambda: teacher, lambda: student)
    compute = Compute(torch.device("cpu"), torch.float32)
    randomness = torch.Generator().manual_seed(0)
    distiller = find_method(method)(Ingredients(task, task.teacher(), student, settings, False, compute, randomness))
    before = [parameter.clone() for parameter in student.parameters()]
    distiller.run(lambda done: None)
    assert distiller.step == 2
    assert any(not torch.equal(a, b) for a, b in zip(before, student.parameters(), strict=True))


@pytest.mark.parametrize("name", recipe_names())
def test_the_recipe_for_data_and_method_is_found_without_being_asked_for(name: str) -> None:
    data, _, method = name.partition("/")
    resolved = resolve({"task": SOURCES[data].task, "data": data, "method": method}, None).model_dump()
    for section, values in load_config(name).items():
        assert values.items() <= resolved[section].items()
