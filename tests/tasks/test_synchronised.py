"""Batch normalisation over all processes keeps the network as it is."""

import pytest
import torch
from torch import nn

from compress.errors import UsageError
from compress.tasks.models import create_model
from compress.tasks.models.synchronised import synchronise
from compress.training.parallel import Workers

CUDA = torch.device("cuda")  # nothing is computed on it here


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "cifar_resnet20"])
def test_the_network_has_the_same_weights_names_and_answers(name: str) -> None:
    network = create_model("classification", name, 3).eval()
    images, weights = torch.rand(2, 3, 32, 32), dict(network.named_parameters())
    with torch.no_grad():
        before, keys = network(images), list(network.state_dict())
        synchronise(network, Workers(0, 2), CUDA)
        assert torch.equal(network(images), before), "timm's layers keep their activations"
    assert list(network.state_dict()) == keys
    assert all(parameter is weights[key] for key, parameter in network.named_parameters())
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert {isinstance(layer, nn.SyncBatchNorm) for layer in layers} == {True}


def test_one_process_has_no_others_and_a_processor_cannot() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3))
    synchronise(network, Workers(), torch.device("cpu"))
    assert type(network[0]) is nn.BatchNorm2d
    with pytest.raises(UsageError, match=r"`distillation\.sync_batch_norm` needs CUDA"):
        synchronise(network, Workers(0, 2), torch.device("cpu"))
