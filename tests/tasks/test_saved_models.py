"""Models on disk: this package, timm and SMP load the same network."""

from pathlib import Path

import pytest
import torch
from torch import nn

from compress.tasks.models import (
    NormalisedModel,
    create_model,
    read_weights,
    require_image_size,
)
from compress.tasks.models.model_folder import Card, load_model, save_model


@pytest.mark.parametrize(
    ("task", "name"), [("classification", "cifar_wrn_16_1"), ("segmentation", "unet:mobilenet_v2")]
)
def test_a_saved_model_answers_the_same(task: str, name: str, tmp_path: Path) -> None:
    model = create_model(task, name, 4).eval()
    card = Card(
        task=task,
        network=name,
        data="digits",
        class_names=("a", "b", "c", "d"),
        image_shape=(3, 32, 32),
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.5, 0.5),
    )
    model = NormalisedModel(model.network, card.mean, card.std)
    save_model(tmp_path, model, card, "# a model\n")
    loaded, loaded_card = load_model(tmp_path)
    assert loaded_card == card
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(model.eval()(images), loaded(images))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_timm_loads_a_saved_classifier_without_this_package(tmp_path: Path) -> None:
    import timm

    model = create_model("classification", "mobilenetv3_small_050", 4).eval()
    card = Card(
        task="classification",
        network="mobilenetv3_small_050",
        data="digits",
        class_names=tuple("abcd"),
        image_shape=(3, 32, 32),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    )
    save_model(tmp_path, model, card, "#")
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(model.network(images), loaded(images))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "test_vit", "test_convnext"])
def test_transformers_and_convnexts_are_made_for_the_size_of_the_data(name: str, tmp_path: Path) -> None:
    import timm

    model = create_model("classification", name, 4, (32, 32)).eval()
    assert tuple(require_image_size(model, name, (3, 32, 32))) == (1, 4)
    mean, std = ((tuple(t.flatten().tolist())) for t in (model.mean, model.std))
    save_model(
        tmp_path,
        model,
        Card(
            task="classification",
            network=name,
            data="digits",
            class_names=tuple("abcd"),
            image_shape=(3, 32, 32),
            mean=mean,
            std=std,
        ),
        "#",
    )
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(model(images), load_model(tmp_path)[0](images))
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert torch.equal(model.network(images), loaded(images))


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    network[1].weight = network[0].weight
    save_model(tmp_path, network, None, "#")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "model.safetensors"]
    assert torch.equal(read_weights(tmp_path / "model.safetensors")["1.weight"], network[0].weight)


def test_smp_loads_a_saved_segmenter_without_this_package(tmp_path: Path) -> None:
    import segmentation_models_pytorch as smp

    model = create_model("segmentation", "fpn:tu-test_resnet", 4).eval()
    card = Card(
        task="segmentation",
        network="fpn:tu-test_resnet",
        data="x",
        class_names=tuple("abcd"),
        image_shape=(3, 64, 64),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    )
    save_model(tmp_path, model, card, "#")
    loaded = smp.from_pretrained(str(tmp_path)).eval()
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.network(images), loaded(images))
