"""The entropy of patch similarities is low where patches are alike, agrees with SciPy, and reaches the pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import gaussian_kde
from small_networks import tiny_vit
from torch import Tensor, nn

from compress.distillation.round import Round
from compress.errors import UsageError
from compress.runs.patch_prior import with_patch_prior
from compress.runs.resolution import measured_before, resolved
from compress.settings import ResolvedSettings
from compress.storage.run_directory import RunDirectory
from compress.synthesis.patch_entropy import (
    BANDWIDTH,
    PAIRS,
    PatchEntropy,
    compared,
    differential_entropy,
    patch_entropy_weight,
    similarities,
)
from compress.synthesis.patches import PatchLayer, patch_layers
from compress.testing import FakeTask
from compress.training.random_numbers import RandomNumbers, StepNumbers

CPU, SHAPE = torch.device("cpu"), (3, 16, 16)
FLOOR = np.log(BANDWIDTH * np.sqrt(2 * np.pi * np.e))
"""The entropy of one kernel: of patches that are all alike."""


def entropies(teacher: nn.Module, images: Tensor) -> Tensor:
    with PatchEntropy(patch_layers(teacher, SHAPE)) as entropy:
        teacher(images)
        return entropy.entropies(RandomNumbers(0, CPU))


def test_the_entropy_is_that_of_an_independent_kernel_density_estimate() -> None:
    values = torch.rand(3, 40) * torch.tensor([[0.1], [1.0], [2.0]]) - torch.tensor([[0.0], [1.0], [1.0]])
    for row, entropy in zip(values.double().numpy(), differential_entropy(values), strict=True):
        density = gaussian_kde(row, BANDWIDTH / row.std(ddof=1))
        points = sorted(row)[:: len(row) // 8]
        expected, _ = quad(lambda x, f=density: -f.logpdf(x)[0] * f(x)[0], -1.6, 1.6, points=points, limit=50)
        assert entropy.item() == pytest.approx(expected, abs=2e-3)


def test_similarities_are_the_cosines_of_all_pairs_of_different_patches() -> None:
    patches = torch.randn(2, 5, 7)
    cosines = nn.functional.cosine_similarity(patches.unsqueeze(1), patches.unsqueeze(2), dim=3)
    expected = [sorted(float(each[i, j]) for i in range(5) for j in range(i)) for each in cosines]
    torch.testing.assert_close(similarities(patches, 1).sort(dim=1).values, torch.tensor(expected))


def test_windows_are_compared_within_themselves_and_counted_for_their_image() -> None:
    patches = torch.randn(2 * 3, 4, 7)
    windows = torch.stack([similarities(patches[[index, 3 + index]], 1) for index in range(3)], dim=1)
    torch.testing.assert_close(similarities(patches, 3), windows.flatten(1))


def test_patches_that_are_alike_have_the_lowest_entropy_and_varied_ones_a_higher() -> None:
    alike, varied = torch.ones(1, 9, 16), torch.randn(1, 9, 16)
    opposite = varied * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0]).view(1, 9, 1)
    lowest, higher, also = (differential_entropy(similarities(each, 1)) for each in (alike, varied, opposite))
    assert lowest.item() == pytest.approx(FLOOR, abs=1e-3)
    assert higher > lowest + 0.3
    assert also > lowest + 0.3


def test_the_order_of_patches_and_their_length_do_not_matter() -> None:
    patches = torch.randn(4, 9, 16)
    shuffled = patches[:, torch.randperm(9)] * torch.rand(4, 9, 1).add(0.5)
    torch.testing.assert_close(
        differential_entropy(similarities(shuffled, 1)), differential_entropy(similarities(patches, 1))
    )


def test_the_entropies_are_the_mean_over_layers_of_patches_without_class_and_distillation_tokens() -> None:
    teacher, images, outputs = tiny_vit(distilled=True), torch.rand(4, *SHAPE), list[Tensor]()
    handles = [block.attn.register_forward_hook(lambda *all: outputs.append(all[-1])) for block in teacher.blocks]
    teacher(images)
    for handle in handles:
        handle.remove()
    expected = torch.stack([differential_entropy(similarities(tokens[:, 2:], 1)) for tokens in outputs]).mean(dim=0)
    torch.testing.assert_close(entropies(teacher, images), expected)


@pytest.mark.parametrize("images", [torch.rand(2, *SHAPE), torch.zeros(2, *SHAPE)], ids=["noise", "black"])
def test_the_gradient_reaches_the_pixels_and_is_finite(images: Tensor) -> None:
    images = images.clone().requires_grad_()
    entropies(tiny_vit(), images).sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum() > 0


def test_of_many_patches_a_share_is_compared_that_the_random_numbers_choose() -> None:
    layer, images = nn.Identity(), torch.randn(3, 196, 24) + torch.randn(3, 1, 24)
    described = PatchLayer(layer, windows=1, before=0, patches=196, width=24)
    assert compared(described) * (compared(described) - 1) / 2 <= PAIRS
    every = differential_entropy(similarities(images, 1))
    with PatchEntropy([described]) as entropy:
        layer(images)
        drawn = torch.rand(entropy.numbers, dtype=torch.float64)
        one, again = (entropy.entropies(StepNumbers(drawn)) for _ in range(2))
        other = entropy.entropies(StepNumbers(drawn.flip(0)))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, every, atol=0.15, rtol=0)


def test_the_weight_is_a_tenth_of_the_statistics_for_a_vit_and_nothing_for_others() -> None:
    vit, convolutional = tiny_vit(), FakeTask(positions=False).teacher()
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(1, 4), nn.Flatten(), nn.LazyLinear(4)).eval()
    plain(torch.rand(1, *SHAPE))
    weights = [patch_entropy_weight(each, SHAPE, weight=None, bn=10.0) for each in (vit, convolutional, plain)]
    assert weights == [1.0, 0.0, 0.0]
    assert patch_entropy_weight(vit, SHAPE, weight=0.0, bn=10.0) == 0
    assert patch_entropy_weight(vit, SHAPE, weight=3.0, bn=10.0) == 3
    assert patch_entropy_weight(plain, SHAPE, weight=0.0, bn=10.0) == 0
    for other in (convolutional, plain):
        with pytest.raises(UsageError, match=r"`inversion.patch_entropy` is 3, and no attention layer .*leave it out"):
            patch_entropy_weight(other, SHAPE, weight=3.0, bn=10.0)


def test_a_run_says_the_weight_that_follows_from_the_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ResolvedSettings(teacher="vit", student="small")
    assert with_patch_prior(settings, tiny_vit(), SHAPE).inversion.patch_entropy == 1
    assert "inversion.patch_entropy 1" in capsys.readouterr().err
    assert with_patch_prior(settings, FakeTask(positions=False).teacher(), SHAPE).inversion.patch_entropy == 0
    adversary = settings.model_copy(update={"method": "zskt"})
    assert with_patch_prior(adversary, tiny_vit(), SHAPE) == adversary, "it has no priors"
    assert capsys.readouterr().err == ""


def test_inversion_raises_the_entropy(make_distiller) -> None:
    last = []
    for weight in (0.0, 30.0):
        rounds: list[Round] = []
        inversion = {"patch_entropy": weight, "steps": 12, "bn": 1.0}
        make_distiller("deep-inversion", teacher=tiny_vit(), rounds=1, inversion=inversion).run(rounds.append)
        last.append(entropies(tiny_vit(), rounds[-1].samples.images.float() / 255).mean())
    assert last[1] > last[0] + 0.02


@pytest.mark.parametrize("method", ["ssd-kd", "fast-dfkd", "deep-inversion", "dfq"])
def test_every_method_with_a_prior_uses_the_default_for_a_vit_and_for_no_other(make_distiller, method: str) -> None:
    for teacher, used in ((tiny_vit(), True), (FakeTask(positions=False).teacher(), False)):
        rounds: list[Round] = []
        one_step = {} if method == "dfq" else {"steps": 1}
        make_distiller(method, teacher=teacher, rounds=1, inversion=one_step).run(rounds.append)
        assert ("patch_entropy" in rounds[0].numbers) is used


def test_a_resumed_run_keeps_the_weight_that_it_began_with(tmp_path: Path) -> None:
    settings = with_patch_prior(ResolvedSettings(teacher="vit", student="small"), tiny_vit(), SHAPE)
    RunDirectory.create(tmp_path / "run").write_config(resolved(settings))
    kept, chosen = (
        measured_before(tmp_path / "run", "-", each) for each in ({}, {"inversion": {"patch_entropy": 0.5}})
    )
    assert kept["inversion"]["patch_entropy"] == 1
    assert "patch_entropy" not in chosen["inversion"], "what a user chose comes first"
