"""Targets that the teacher itself gives."""

import math

import torch

from compress.synthesis.generators import LatentGenerator


def test_layouts_are_what_the_teacher_sees_in_earlier_samples(make_distiller) -> None:
    distiller = make_distiller(positions=True, inversion={"targets": "layouts"})
    samples, _ = distiller.inversion.round(0, torch.Generator().manual_seed(0))
    distiller.buffer.add(samples)
    layouts, _ = distiller.inversion._draw([8], torch.Generator().manual_seed(0))
    predicted = distiller.teacher(samples.images.float() / 255).argmax(dim=1)
    assert all(any(torch.equal(layout, own) for own in predicted) for layout in layouts)


def test_without_drawn_targets_the_teachers_answer_is_the_target(make_distiller) -> None:
    distiller = make_distiller(positions=True, inversion={"targets": "answers"})
    assert isinstance(distiller.inversion._generator, LatentGenerator)
    samples, report = distiller.inversion.round(0, torch.Generator().manual_seed(0))
    assert report["one_hot"] < math.log(4)  # the largest of four probabilities is over a quarter
    assert torch.equal(samples.targets, distiller.teacher(samples.images / 255).argmax(dim=1))
