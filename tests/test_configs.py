"""Every shipped recipe trains: two rounds of two steps, with its own numbers otherwise."""

import pytest
import torch

from compress.gan.collected import Collected
from compress.methods import METHODS, MethodContext, find_method
from compress.runs.models import student_of
from compress.runs.resolution import resolve
from compress.settings import DistillSettings
from compress.storage.settings_files import load_config, merged, names_setting, recipe_names, validated
from compress.tasks import TASKS, make_task
from compress.tasks.data import DataSource, LabelledImages, open_data
from compress.tasks.models import create_model
from compress.training.compute import CPU_FLOAT32
from compress.training.execution import Execution
from compress.training.parallel import Workers

SHORT = {
    "inversion": {"samples": 4, "steps": 2},
    "gan": {"iterations": 1, "batch": 4, "width": 8, "samples": 4, "capacity": 8},
    "distillation": {"rounds": 2, "warmup": 1, "steps": 2, "batch": 4},
}
ON_DISK = {
    "cifar10": ("classification", 10, 32),
    "cifar100": ("classification", 100, 32),
    "camvid": ("segmentation", 11, 64),
}
"""Task, classes and size of images."""
PUBLISHED = [name for name, method in METHODS.items() if method.defaults]
EMBEDDED = {task.data: name for name, task in TASKS.items()}


def nothing() -> LabelledImages:
    raise AssertionError("a recipe is tried without data")


def source_for(data: str) -> DataSource:
    """The embedded data, or classes and image size of a set that lies on a user's disk."""
    if data in EMBEDDED:
        return open_data(data, EMBEDDED[data])
    task, classes, size = ON_DISK[data]
    return DataSource(
        name=data,
        task=task,
        class_names=tuple(map(str, range(classes))),
        image_shape=(3, size, size),
        fingerprint="",
        training=nothing,
        held_out=nothing,
    )


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_trains_for_two_steps(name: str) -> None:
    data, method = name.partition("/")[0], load_config(name)["method"]
    source = source_for(data)
    settings = validated(DistillSettings, merged(find_method(method).defaults, load_config(name), SHORT))
    classes = len(source.class_names)
    student_name = "cifar_wrn_16_1" if source.task == "classification" else "fpn:tu-test_resnet"
    teacher_name = "cifar_resnet20" if source.task == "classification" else "deeplabv3plus:tu-test_resnet"
    torch.manual_seed(0)
    teacher, student = (create_model(source.task, network, classes) for network in (teacher_name, student_name))
    student = student_of(method, student, teacher, source, seed=0)
    task = make_task(source, settings.inversion.targets)
    compute = CPU_FLOAT32
    randomness = torch.Generator().manual_seed(0)
    images = torch.randint(256, (8, *source.image_shape), generator=randomness, dtype=torch.uint8)
    labels = torch.arange(8) % classes if source.task == "classification" else None
    collected = Collected(images, labels) if find_method(method).needs_collected else None
    context = MethodContext(
        task=task,
        teacher=teacher.eval().requires_grad_(requires_grad=False),
        student=student,
        settings=settings,
        mirror=False,
        execution=Execution(compute=compute, workers=Workers(), randomness=randomness),
        collected=collected,
    )
    distiller = find_method(method).build(context)
    before = [parameter.clone() for parameter in student.parameters()]
    distiller.run(lambda done: None)
    assert distiller.step == 2
    assert any(not torch.equal(a, b) for a, b in zip(before, student.parameters(), strict=True))


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.partition("/")[0] in EMBEDDED])
def test_the_recipe_for_data_and_method_is_found_without_being_asked_for(name: str) -> None:
    data, _, method = name.partition("/")
    resolved = resolve({"task": EMBEDDED[data], "data": data, "method": method}, None).model_dump()
    assert merged(resolved, load_config(name)) == resolved


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_carries_out_the_method_that_it_is_called_after(name: str) -> None:
    data, method = name.split("/")
    assert method.startswith(resolve({"task": source_for(data).task}, name).method)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_names_nothing_that_its_method_does_not_take(name: str) -> None:
    recipe = load_config(name)
    assert not [path for path in find_method(recipe["method"]).unused if names_setting(recipe, path)]


@pytest.mark.parametrize("method", PUBLISHED)
def test_the_settings_of_a_paper_are_valid_and_taken(method: str) -> None:
    validated(DistillSettings, METHODS[method].defaults)
    assert not [path for path in METHODS[method].unused if names_setting(METHODS[method].defaults, path)]


@pytest.mark.parametrize("data", ["digits", "digit-scenes", "cifar10", "cifar100"])
def test_every_baseline_has_a_recipe(data: str) -> None:
    assert {f"{data}/{method}" for method in PUBLISHED} <= set(recipe_names())
