"""A student with its teacher's classifier: the classifier is the teacher's and stays so, on disk too."""

from pathlib import Path

import pytest
import torch

from compress.errors import UsageError
from compress.runs.models import card_of
from compress.tasks.data import open_data
from compress.tasks.models import create_model
from compress.tasks.models.classifier_sharing import share_classifier
from compress.tasks.models.model_folder import load_model, save_model
from compress.tasks.models.normalised import NormalisedModel

SHAPE = (3, 32, 32)


def shared(student: str, teacher: str) -> tuple[NormalisedModel, NormalisedModel]:
    networks = (create_model("classification", name, 10).eval() for name in (student, teacher))
    student_model, teacher_model = networks
    return share_classifier(student_model, teacher_model, SHAPE).eval(), teacher_model


@pytest.mark.parametrize(
    ("student", "teacher"),
    [("cifar_resnet20", "cifar_wrn_16_2"), ("cifar_wrn_16_1", "cifar_vgg11"), ("mobilenetv3_small_050", "resnet10t")],
)
def test_the_shared_student_answers_with_the_teachers_classifier(student: str, teacher: str) -> None:
    model, master = shared(student, teacher)
    images = torch.rand(3, *SHAPE)
    features, master_features = model.features(images), master.features(images)
    assert features.shape[1] == master_features.shape[1]
    torch.testing.assert_close(model.classify(master_features), master(images), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.classify(features), model(images))
    assert not model.network.linear.weight.requires_grad
    assert not any("classifier" in name or "backbone.linear" in name for name, _ in model.named_parameters())


def test_the_projector_is_of_the_papers_shape() -> None:
    model, _ = shared("cifar_resnet20", "cifar_wrn_16_2")
    kernels = [tuple(p.shape) for p in model.network.projector.parameters() if p.ndim == 4]
    assert kernels == [(64, 64, 1, 1), (64, 64, 3, 3), (128, 64, 1, 1)]


def test_it_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    model, _ = shared("cifar_resnet20", "cifar_wrn_16_2")
    save_model(tmp_path, model, card_of("cifar_resnet20", open_data("digits", "classification"), model), "# student\n")
    loaded, card = load_model(tmp_path)
    images = torch.rand(2, *SHAPE)
    torch.testing.assert_close(loaded(images), model(images))
    assert card.shared_channels == 128
    assert not loaded.training


@pytest.mark.parametrize(
    ("student", "teacher", "words"),
    [
        ("cifar_resnet20", "mobilenetv3_small_050", "classifier cannot be shared"),
        ("mixer_s32_224", "cifar_resnet20", "no feature map"),
    ],
)
def test_networks_that_cannot_share_are_refused_in_one_line(student: str, teacher: str, words: str) -> None:
    shape = (3, 224, 224) if "224" in student else SHAPE
    student_model, teacher_model = (create_model("classification", name, 10) for name in (student, teacher))
    with pytest.raises(UsageError, match=words) as caught:
        share_classifier(student_model, teacher_model, shape)
    assert "\n" not in str(caught.value)
