"""The patches of a teacher are recognised by what its attention layers take and return."""

import pytest
import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.pvt_v2 import PyramidVisionTransformerV2
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn
from torchvision.models.vision_transformer import VisionTransformer as TorchvisionTransformer

from compress.synthesis.patches import PatchLayer, patch_layers
from compress.tasks.models import create_model

SMALL = {"img_size": 32, "embed_dim": 8, "num_classes": 4}
SHAPE = (3, 32, 32)


def described(network: nn.Module) -> list[tuple[int, int, int]]:
    """Windows, tokens in front of the patches, and patches of each layer."""
    return [(each.windows, each.before, each.patches) for each in patch_layers(network.eval(), SHAPE)]


class FromPatches(nn.Module):
    """A transformer of PyTorch's own layers on patches of 8 pixels, with other tokens around them."""

    def __init__(self, *, batch_first: bool, before: int = 0, after: int = 0, queries: int = 0) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 8, stride=8)
        self.before, self.after = (nn.Parameter(torch.randn(count, 8)) for count in (before, after))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
        self.queries = nn.Parameter(torch.randn(queries, 8))
        self.reader = nn.MultiheadAttention(8, 2, batch_first=batch_first)
        self.head = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.embed(images).flatten(2).mT
        extra = [tokens.expand(len(images), -1, -1) for tokens in (self.before, self.after, self.queries)]
        tokens, queries = torch.cat([extra[0], patches, extra[1]], dim=1), extra[2]
        if not self.attention.batch_first:
            tokens, queries = tokens.transpose(0, 1), queries.transpose(0, 1)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        if len(self.queries):
            tokens = self.reader(queries, tokens, tokens)[0]
        return self.head(tokens.mean(dim=1 if self.attention.batch_first else 0))


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        pytest.param(lambda: create_model("classification", "test_vit", 4, (32, 32)), [(1, 1, 4)] * 6, id="timm"),
        pytest.param(
            lambda: VisionTransformerDistilled(patch_size=8, depth=2, num_heads=2, **SMALL),
            [(1, 2, 16)] * 2,
            id="class and distillation tokens",
        ),
        pytest.param(
            lambda: TorchvisionTransformer(32, 8, 2, 2, hidden_dim=8, mlp_dim=8, num_classes=4),
            [(1, 1, 16)] * 2,
            id="torchvision",
        ),
        pytest.param(
            lambda: SwinTransformer(patch_size=2, window_size=4, depths=(1, 1), num_heads=(1, 2), **SMALL),
            [(16, 0, 16), (4, 0, 16)],
            id="attention in windows",
        ),
        pytest.param(
            lambda: PyramidVisionTransformerV2(
                num_classes=4,
                depths=(1, 1),
                embed_dims=(8, 16),
                num_heads=(1, 2),
                sr_ratios=(2, 1),
                mlp_ratios=(1, 1),
            ),
            [(1, 0, 64), (1, 0, 16)],
            id="a pyramid",
        ),
        pytest.param(lambda: FromPatches(batch_first=True, before=1, after=4), [(1, 1, 16)], id="registers at the end"),
        pytest.param(lambda: FromPatches(batch_first=False, before=2), [(1, 2, 16)], id="tokens first"),
        pytest.param(lambda: FromPatches(batch_first=True, queries=5), [(1, 0, 16)], id="queries that are no grid"),
    ],
)
def test_layers_with_a_token_for_each_patch_are_recognised_without_other_tokens(network, expected) -> None:
    assert described(network()) == expected


@pytest.mark.parametrize("name", ["test_convnext", "test_resnet", "mixer_s32_224"])
def test_networks_without_attention_have_no_patches(name: str) -> None:
    network = create_model("classification", name, 4).eval()
    assert patch_layers(network, (3, 224, 224) if "mixer" in name else SHAPE) == []


def test_one_patch_or_two_have_no_similarities_to_compare() -> None:
    for size, patches in (((16, 16), 1), ((16, 32), 2)):
        network = create_model("classification", "test_vit", 4, size).eval()
        assert patch_layers(network, (3, *size)) == [], f"{patches} patches"


def test_the_trial_changes_nothing_and_is_the_same_every_time() -> None:
    network = create_model("classification", "test_vit", 4, (32, 32)).eval()
    state, before = torch.get_rng_state(), {name: value.clone() for name, value in network.state_dict().items()}
    layers = patch_layers(network, SHAPE)
    assert layers == patch_layers(network, SHAPE)
    assert isinstance(layers[0], PatchLayer)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
