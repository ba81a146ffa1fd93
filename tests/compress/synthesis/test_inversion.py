"""Inversion lowers what it minimises, and every term and input takes part."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from compress.errors import CompressError, UsageError
from compress.synthesis.feature_hooks import penultimate_features
from compress.synthesis.generators import ConditionalGenerator, LatentGenerator
from compress.synthesis.instances import InstanceDiscrimination
from compress.synthesis.objective import TERMS, Objective, Term, View
from compress.testing import FakeTask
from compress.training.compute import CPU_FLOAT32
from compress.training.random_numbers import RandomNumbers
from compress.training.schedules import Constant, Cosine, From, Polynomial, Warmup


def a_view(positions: tuple[int, ...] = ()) -> View:
    """Six samples; everything that has a gradient is a leaf."""
    teacher = torch.randn(6, 4, *positions)
    return View(
        images=torch.rand(6, 3, 8, 8).requires_grad_(),
        targets=torch.randint(4, (6, *positions)),
        teacher_logits=teacher.clone().requires_grad_(),
        ignore_index=255,
        student_logits=(teacher + 0.1 * torch.randn_like(teacher)).requires_grad_(),
        bn_distance=torch.ones((), requires_grad=True),
        teacher_features=torch.randn(6, 5, *positions).requires_grad_(),
        instance_distance=torch.rand(6).requires_grad_(),
        patch_entropy=torch.rand(6).requires_grad_(),
    )


def tensors(view: View) -> dict[str, torch.Tensor]:
    values = ((field.name, getattr(view, field.name)) for field in dataclasses.fields(view))
    return {name: value for name, value in values if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize("positions", [(), (8, 8)], ids=["classification", "segmentation"])
@pytest.mark.parametrize("term", TERMS)
def test_every_term_has_a_gradient(term: str, positions: tuple[int, ...]) -> None:
    view = a_view(positions)
    total, means = Objective({term: Constant(1.0)})(view, torch.ones(6), 0)
    total.backward()
    assert list(means) == [term]
    assert sum(leaf.grad.abs().sum().item() for leaf in tensors(view).values() if leaf.grad is not None) > 0


def test_a_method_brings_a_term_of_its_own() -> None:
    brightness = Term(value=lambda view: view.images.mean(dim=(1, 2, 3)), meaning="mean pixel value")
    objective = Objective({"brightness": Constant(2.0)}, {"brightness": brightness})
    total, means = objective(view := a_view(), torch.ones(6), 0)
    assert total.item() == pytest.approx(2 * view.images.mean().item(), rel=1e-5)
    assert means["brightness"].item() == pytest.approx(view.images.mean().item(), rel=1e-5)
    assert objective.meanings == {"brightness": "mean pixel value"}
    assert not objective.needs("student_logits")


@pytest.mark.parametrize("term", TERMS)
def test_a_term_needs_the_fields_of_a_view_that_it_says_and_no_others(term: str) -> None:
    optional = {"student_logits", "bn_distance", "teacher_features", "instance_distance", "patch_entropy"}
    bare = dataclasses.replace(a_view(), **dict.fromkeys(optional - TERMS[term].needs))
    TERMS[term].value(bare)
    for missing in TERMS[term].needs:
        with pytest.raises(AssertionError):
            TERMS[term].value(dataclasses.replace(bare, **{missing: None}))
    assert TERMS[term].meaning


@pytest.mark.parametrize("positions", [(), (8, 8)], ids=["classification", "segmentation"])
@pytest.mark.parametrize("term", TERMS)
def test_permuting_samples_permutes_the_terms_of_samples_and_leaves_those_of_the_batch(
    term: str, positions: tuple[int, ...]
) -> None:
    view, order = a_view(positions), torch.tensor([3, 0, 4, 1, 5, 2])
    permuted = {name: value[order] for name, value in tensors(view).items() if value.ndim}
    value, again = TERMS[term].value(view), TERMS[term].value(dataclasses.replace(view, **permuted))
    torch.testing.assert_close(again, value[order] if value.ndim else value)


def test_the_balance_term_is_least_when_all_classes_are_equally_likely() -> None:
    even, skewed = torch.eye(4).repeat(3, 1) * 9, torch.eye(4)[:1].repeat(12, 1) * 9
    values = [TERMS["balance"].value(dataclasses.replace(a_view(), teacher_logits=logits)) for logits in (even, skewed)]
    assert values[0].item() == pytest.approx(-math.log(4), abs=1e-3)
    assert values[1] > -0.1


def test_the_last_layer_is_the_one_that_runs_last_whatever_the_order_of_declaration() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(5, 2), nn.Linear(3, 5)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(inputs).relu())

    network, inputs = Backwards(), torch.rand(4, 3)
    with penultimate_features(network) as heard:
        network(inputs)
        torch.testing.assert_close(heard.latest(), network.first(inputs).relu())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_instances_are_easy_to_tell_apart_when_they_differ_and_hard_when_they_are_alike(
    numbers: RandomNumbers,
) -> None:
    torch.manual_seed(0)
    teacher = FakeTask(positions=False).teacher()
    judge = InstanceDiscrimination(teacher, CPU_FLOAT32, flip=False)
    colours = torch.rand(8, 3, 1, 1).expand(-1, -1, 16, 16)
    losses = []
    with judge:
        for images in (colours, colours[:1].expand(8, -1, -1, -1)):
            judge.record_crops(images, numbers)
            teacher(images)
            losses.append(judge.distance(numbers))
        judge.end_round(judge.latest())
    assert losses[0].shape == (8,)
    assert losses[0].mean() < losses[1].mean()
    assert losses[1].mean().item() == pytest.approx(math.log(8), abs=1e-3)
    assert len(judge.state_dict()["remembered"]) == 8


def test_instances_cannot_be_told_apart_without_batch_normalisation() -> None:
    with pytest.raises(UsageError, match="it has none"):
        InstanceDiscrimination(nn.Conv2d(3, 4, 1), CPU_FLOAT32, flip=False)


def test_sample_weights_scale_per_sample_terms_and_leave_batch_terms_alone() -> None:
    view, alike, doubled = a_view(), torch.ones(6), torch.full((6,), 2.0)
    for term, factor in (("one_hot", 2.0), ("bn", 1.0)):
        objective = Objective({term: Constant(3.0)})
        torch.testing.assert_close(
            objective(view, doubled, 0)[0],
            objective(view, alike, 0)[0] * factor,
            msg=f"{term} is scaled wrongly",
        )


def test_the_student_is_needed_only_when_a_term_with_weight_looks_at_it() -> None:
    objective = Objective({"bn": Constant(1.0), "adversarial": From(3, 1.0)})
    assert [objective.needs("student_logits", index) for index in (0, 2, 3)] == [False, False, True]


def test_schedules_are_values() -> None:
    assert [From(2, 5.0)(step) for step in (1, 2)] == [0.0, 5.0]
    cosine, polynomial = Warmup(2, Cosine(1.0, 8)), Warmup(2, Polynomial(1.0, 8))
    assert [cosine(step) for step in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert cosine(10) == pytest.approx(0.01)
    assert [polynomial(step) for step in (0, 2, 6, 10)] == pytest.approx([0.5, 1.0, 0.5**0.9, 0.0])


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (32, 32), (33, 50), (96, 96)])
def test_the_generator_makes_images_of_any_size(size: tuple[int, int]) -> None:
    told = ConditionalGenerator(4, (3, *size), code=16, width=8)
    untold = LatentGenerator((3, *size), latent=16, width=8)
    for generator, targets in ((told, torch.tensor([0, 3])), (told, torch.randint(4, (2, *size))), (untold, None)):
        images = generator(torch.randn(2, generator.latent), targets)
        assert images.shape == (2, 3, *size)
        assert ((images > 0) & (images < 1)).all()


def test_the_generator_hears_latents_and_targets() -> None:
    generator = ConditionalGenerator(4, (3, 16, 16), code=16, width=8)
    latents, targets = torch.randn(4, generator.latent), torch.arange(4)
    images = generator(latents, targets)
    other_code, other_grain = latents.clone(), latents.clone()
    other_code[:, :16].normal_()
    other_grain[:, -16 * 16 :].normal_()
    for changed in (other_code, other_grain):
        assert not torch.allclose(images, generator(changed, targets))
    assert not torch.allclose(images, generator(latents, targets.flip(0)))


def test_the_smallest_generator_makes_images() -> None:
    generator = ConditionalGenerator(2, (3, 24, 24), code=1, width=1)
    assert generator(torch.randn(2, generator.latent), torch.arange(2)).shape == (2, 3, 24, 24)


def test_the_latent_generator_hears_latents_alone() -> None:
    generator = LatentGenerator((3, 16, 16), latent=16, width=8)
    latents, targets = torch.randn(4, 16), torch.arange(4)
    assert torch.equal(generator(latents, targets), generator(latents, None))
    assert not torch.allclose(generator(latents, None), generator(torch.randn(4, 16), None))


@pytest.mark.parametrize(("asked", "told"), [(None, False), (False, False), (True, True)])
def test_the_generator_is_told_a_class_only_if_that_is_asked_for(make_distiller, asked, told: bool) -> None:
    generator = make_distiller(inversion={"conditional": asked}).inversion._generator
    assert isinstance(generator, ConditionalGenerator if told else LatentGenerator)


@pytest.mark.parametrize(("asked", "told"), [(None, True), (False, False), (True, True)])
def test_the_generator_is_told_a_label_map_unless_that_is_switched_off(make_distiller, asked, told: bool) -> None:
    generator = make_distiller(positions=True, inversion={"conditional": asked}).inversion._generator
    assert isinstance(generator, ConditionalGenerator if told else LatentGenerator)


def test_the_student_learns_again_after_the_inversion_and_what_was_frozen_stays_frozen(make_distiller) -> None:
    distiller = make_distiller(warmup=0)
    frozen, *learning = distiller.student.parameters()
    frozen.requires_grad = False
    distiller.inversion.round(0, torch.Generator().manual_seed(0))
    assert not frozen.requires_grad
    assert all(parameter.requires_grad and parameter.grad is None for parameter in learning)


def test_a_diverged_inversion_says_so_in_one_line(make_distiller) -> None:
    distiller = make_distiller()
    for parameter in distiller.inversion._generator.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(CompressError, match="the inversion diverged"):
        distiller.inversion.round(0, torch.Generator().manual_seed(0))


def test_a_round_moves_the_kept_generator(make_distiller) -> None:
    distiller = make_distiller()
    before = [value.clone() for value in distiller.inversion.state_dict()["generator"].values()]
    distiller.inversion.round(0, torch.Generator().manual_seed(0))
    after = distiller.inversion.state_dict()["generator"].values()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def _total(report: dict[str, float]) -> float:
    return 10 * report["bn"] + report["one_hot"]


def test_rounds_lower_the_one_hot_and_batch_norm_terms(make_distiller) -> None:
    distiller, randomness = make_distiller(positions=True), torch.Generator().manual_seed(0)
    reports = [distiller.inversion.round(0, randomness)[1] for _ in range(40)]
    assert _total(reports[-1]) < 0.9 * _total(reports[0])


def test_steps_bend_latents_to_their_targets(make_distiller) -> None:
    few, many = (
        make_distiller(inversion={"conditional": False, "steps": steps, "lr_latent": 0.05}).inversion.round(
            0, torch.Generator().manual_seed(0)
        )[1]
        for steps in (1, 40)
    )
    assert _total(many) < 0.9 * _total(few)
