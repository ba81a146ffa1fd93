"""Made-up labels and label maps: balanced or not, in regions or not, as common as they are asked to be."""

import pytest
import torch

from compress.synthesis.targets import even_share
from compress.tasks.targets import LABEL_MAPS, LABELS, balanced_labels, blob_maps


def test_labels_are_balanced_to_within_one(randomness: torch.Generator) -> None:
    counts = balanced_labels(128, 10, randomness).bincount(minlength=10)
    assert counts.max() - counts.min() <= 1


def test_blob_maps_hold_every_class_and_leave_background(randomness: torch.Generator) -> None:
    maps = blob_maps(64, (96, 96), even_share(11), randomness, background=0)
    share = torch.bincount(maps.flatten(), minlength=11) / maps.numel()
    assert (share > 0.003).all()
    assert 0.5 < share[0] < 0.95
    without = blob_maps(64, (48, 64), even_share(5), randomness, background=None)
    assert (torch.bincount(without.flatten(), minlength=5) > 0).all()


def test_independent_labels_are_drawn_one_by_one_and_balanced_ones_evenly() -> None:
    spread = {}
    for kind, draw in LABELS.items():
        counts = torch.bincount(draw(400, 4, torch.Generator().manual_seed(0)))
        spread[kind] = int(counts.max() - counts.min())
    assert spread["balanced"] <= 1 < spread["independent"]


@pytest.mark.parametrize("kind", ["blobs", "voronoi", "noise"])
def test_label_maps_follow_the_class_prior(kind: str) -> None:
    prior = torch.tensor([0.0, 0.2, 0.8])
    maps = LABEL_MAPS[kind](200, (24, 32), prior, torch.Generator().manual_seed(0), None)
    assert maps.shape == (200, 24, 32)
    shares = torch.bincount(maps.flatten(), minlength=3) / maps.numel()
    torch.testing.assert_close(shares, prior, atol=0.06, rtol=0)


def test_regions_of_one_class_are_large_in_all_but_noise() -> None:
    alike = {}
    for kind, draw in LABEL_MAPS.items():
        maps = draw(50, (32, 32), even_share(4), torch.Generator().manual_seed(0), None)
        alike[kind] = (maps[:, 1:] == maps[:, :-1]).float().mean().item()
    assert alike["noise"] < 0.3
    assert min(alike["blobs"], alike["voronoi"]) > 0.8
