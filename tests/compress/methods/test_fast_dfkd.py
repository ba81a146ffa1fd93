"""The default method keeps the newest samples, as many as it has room for, and draws them evenly."""

import torch

from compress.settings import DistillSettings


def test_it_is_the_default() -> None:
    assert DistillSettings().method == "fast-dfkd"


def test_the_buffer_holds_the_newest_samples(make_distiller) -> None:
    distiller, made = make_distiller("fast-dfkd", rounds=5), []
    distiller.run(lambda done: made.append(done.samples.images))
    held = distiller.buffer.state_dict()["images"]
    assert len(torch.cat(made)) == 40
    assert {tuple(image.flatten().tolist()) for image in held} == {
        tuple(image.flatten().tolist()) for image in torch.cat(made)[-24:]
    }


def test_every_sample_is_as_likely_and_counts_as_much(make_distiller) -> None:
    distiller = make_distiller("fast-dfkd")
    drawn = []
    draw = distiller.buffer.draw
    distiller.buffer.draw = lambda n, numbers: drawn.append(draw(n, numbers)) or drawn[-1]
    distiller.run(lambda done: None)
    assert torch.cat([batch.weights for batch in drawn]).unique().tolist() == [1.0]
    probabilities = distiller.buffer._draw_policy.probabilities(torch.tensor([0.0, 3.0, 9.0]))
    assert probabilities.tolist() == [probabilities[0].item()] * 3
