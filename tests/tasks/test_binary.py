"""Binary segmenters: one logit is two classes, in losses, files and decisions."""

from pathlib import Path

import onnxruntime
import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from mask_files import folder, opened
from torch import Tensor, nn

from compress.data_settings import HeldOutSettings
from compress.errors import UsageError
from compress.export.writer import exported
from compress.runs.evaluate import evaluate_model
from compress.runs.models import as_answered, card_of, fit_teacher, new_model
from compress.runs.reading import teacher_of
from compress.task import TaskSpec
from compress.tasks.data import DataSource, open_settings
from compress.tasks.models.binary import OneLogit, threshold_of
from compress.tasks.models.model_folder import load_model, save_model
from compress.tasks.models.normalised import NormalisedModel
from compress.tasks.models.teachers import read_teacher
from compress.training.compute import Compute

NETWORK = "fpn:tu-test_resnet"


@pytest.fixture
def logit(randomness: torch.Generator) -> Tensor:
    return torch.randn(2, 1, 4, 5, generator=randomness) * 3


@pytest.fixture
def source(tmp_path: Path) -> DataSource:
    folder(("test/images/a.png", "test/masks/a.png"), ("train/images/b.png", "train/masks/b.png"))(tmp_path)
    return opened(tmp_path)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """What people have: the state dictionary of an SMP network with `classes=1`."""
    torch.manual_seed(0)
    network = smp.create_model("fpn", encoder_name="tu-test_resnet", encoder_weights=None, classes=1)
    torch.save(network.state_dict(), tmp_path / "binary.pt")
    return tmp_path / "binary.pt"


@pytest.mark.parametrize("threshold", [0.5, 0.2, 0.9])
def test_a_pixel_is_the_second_class_from_the_threshold_of_its_probability_on(logit: Tensor, threshold: float) -> None:
    two = OneLogit(nn.Identity(), threshold)(logit)
    assert torch.equal(two.argmax(dim=1), (logit.sigmoid() > threshold)[:, 0].long())


def test_probabilities_and_losses_are_those_of_a_sigmoid(logit: Tensor, randomness: torch.Generator) -> None:
    two, targets = OneLogit(nn.Identity())(logit), torch.randint(2, (2, 4, 5), generator=randomness)
    torch.testing.assert_close(two.softmax(dim=1)[:, 1:], logit.sigmoid())
    expected = F.binary_cross_entropy_with_logits(logit[:, 0], targets.float())
    torch.testing.assert_close(F.cross_entropy(two, targets), expected)


def test_a_teacher_of_one_logit_is_told_by_its_weights(source: DataSource, weights: Path) -> None:
    read = read_teacher("segmentation", NETWORK, weights)
    answered = as_answered(source, read)
    assert answered.threshold == 0.5
    teacher = fit_teacher(read, answered, seed=0)
    network = smp.create_model("fpn", encoder_name="tu-test_resnet", encoder_weights=None, classes=1).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(teacher(images)[:, 1:], network(teacher.normalised(images)))


def test_weights_of_two_logits_stay_as_they_are(source: DataSource, tmp_path: Path) -> None:
    torch.save(new_model(NETWORK, source, 0).network.state_dict(), tmp_path / "two.pt")
    assert as_answered(source, read_teacher("segmentation", NETWORK, tmp_path / "two.pt")).threshold is None


def test_one_logit_does_not_tell_three_classes_apart(weights: Path, tmp_path: Path) -> None:
    folder(("test/images/a.png", "test/masks/a.png"), names="sky\nroad\ncar\n")(tmp_path / "three")
    with pytest.raises(UsageError, match=r"one logit, which tells two classes apart, and mask-folder has 3"):
        as_answered(opened(tmp_path / "three"), read_teacher("segmentation", NETWORK, weights))


def test_a_student_of_one_logit_loads_in_smp_and_decides_by_its_threshold(
    source: DataSource, weights: Path, tmp_path: Path
) -> None:
    held_out = HeldOutSettings(data="mask-folder", data_root=tmp_path, threshold=0.3)
    chosen = open_settings(held_out, "segmentation")
    model = fit_teacher(read_teacher("segmentation", NETWORK, weights), chosen, seed=0)
    card = card_of(NETWORK, chosen, model)
    save_model(tmp_path / "saved", model, card, "# binary\n")
    loaded, read = load_model(tmp_path / "saved")
    assert (read.threshold, threshold_of(loaded)) == (0.3, 0.3)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded(images), model(images))
    again = teacher_of("segmentation", NETWORK, tmp_path / "saved" / "model.safetensors", held_out)
    assert as_answered(source, again).threshold == 0.3
    by_smp = smp.from_pretrained(tmp_path / "saved").eval()
    assert torch.equal(loaded(images).argmax(1), (by_smp(loaded.normalised(images)).sigmoid() > 0.3)[:, 0].long())


def test_the_decision_is_in_the_graph() -> None:
    torch.manual_seed(0)
    model = NormalisedModel(OneLogit(nn.Conv2d(3, 1, 3, padding=1), 0.3)).eval()
    spec = TaskSpec(name="segmentation", image_shape=(3, 8, 8), class_names=("sky", "road"), metric="miou")
    session = onnxruntime.InferenceSession(exported(model, spec, dynamic_size=False).SerializeToString())
    images = torch.rand(2, 3, 8, 8)
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), model(images), atol=1e-5, rtol=1e-5)


def test_scores_move_with_the_threshold(source: DataSource, weights: Path, tmp_path: Path) -> None:
    compute, shares = Compute.choose("cpu", "fp32"), []
    for threshold in (1e-9, 1 - 1e-9):
        held_out = HeldOutSettings(data="mask-folder", data_root=tmp_path, threshold=threshold)
        score = evaluate_model(weights, compute, teacher=NETWORK, held_out=held_out).score
        shares.append(score.numbers["iou"])
    assert shares[0]["road"] > 0 == shares[0]["sky"]
    assert shares[1]["sky"] > 0 == shares[1]["road"]


def test_a_threshold_is_for_two_classes_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="digit-scenes has 11 for segmentation"):
        open_settings(HeldOutSettings(threshold=0.4), "segmentation")
