"""Inversion lowers what it minimises, and every term and input takes part."""

import pytest
import torch

from compress.errors import CompressError
from compress.generators import ConditionalGenerator
from compress.objective import TERMS, Objective, View
from compress.schedules import Constant, From, WarmupCosine


@pytest.mark.parametrize("term", TERMS)
def test_every_term_has_a_gradient(term: str) -> None:
    teacher = torch.randn(6, 4, requires_grad=True)
    student = (teacher * 0.8).detach().requires_grad_()
    distance = torch.ones((), requires_grad=True)
    view = View(torch.arange(6) % 4, teacher, student, distance * 2, 255)
    total, means = Objective({term: Constant(1.0)})(view, torch.ones(6), 0)
    total.backward()
    assert list(means) == [term]
    touched = [leaf.grad.abs().sum().item() for leaf in (teacher, student, distance) if leaf.grad is not None]
    assert sum(touched) > 0


def test_sample_weights_scale_per_sample_terms_and_leave_batch_terms_alone() -> None:
    view = View(torch.zeros(4, dtype=torch.long), torch.randn(4, 3), None, torch.tensor(2.0), 255)
    doubled = torch.full((4,), 2.0)
    for term, factor in (("one_hot", 2.0), ("bn", 1.0)):
        objective = Objective({term: Constant(3.0)})
        torch.testing.assert_close(
            objective(view, doubled, 0)[0],
            objective(view, torch.ones(4), 0)[0] * factor,
            msg=f"{term} is scaled wrongly",
        )


def test_the_student_is_needed_only_when_a_term_with_weight_looks_at_it() -> None:
    objective = Objective({"bn": Constant(1.0), "adversarial": From(3, 1.0)})
    assert [objective.needs_student(index) for index in (0, 2, 3)] == [False, False, True]


def test_schedules_are_values() -> None:
    assert [From(2, 5.0)(step) for step in (1, 2)] == [0.0, 5.0]
    cosine = WarmupCosine(1.0, 2, 10)
    assert [cosine(step) for step in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert cosine(10) == pytest.approx(0.01)


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (32, 32), (33, 50), (96, 96)])
def test_the_generator_makes_images_of_any_size(size: tuple[int, int]) -> None:
    generator = ConditionalGenerator(4, (3, *size), latent=16, width=8)
    for targets in (torch.tensor([0, 3]), torch.randint(4, (2, *size))):
        images = generator(torch.randn(2, 16), targets)
        assert images.shape == (2, 3, *size)
        assert ((images > 0) & (images < 1)).all()


def test_the_generator_hears_latents_and_targets() -> None:
    generator = ConditionalGenerator(4, (3, 16, 16), latent=16, width=8)
    latents, targets = torch.randn(4, 16), torch.arange(4)
    images = generator(latents, targets)
    assert not torch.allclose(images, generator(torch.randn(4, 16), targets))
    assert not torch.allclose(images, generator(latents, targets.flip(0)))


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


@pytest.mark.parametrize("positions", [False, True])
def test_rounds_lower_the_one_hot_and_batch_norm_terms(make_distiller, positions: bool) -> None:
    distiller, randomness = make_distiller(positions=positions), torch.Generator().manual_seed(0)
    reports = [distiller.inversion.round(0, randomness)[1] for _ in range(40)]
    first, last = reports[0], reports[-1]
    assert 10 * last["bn"] + last["one_hot"] < 0.9 * (10 * first["bn"] + first["one_hot"])
