"""The embedded data: real scans, split once, the same every time."""

import torch

from compress.tasks.data import SOURCES, digits, open_data


def test_no_scan_serves_on_both_sides() -> None:
    training, held_out = (digits.split(held_out=side) for side in (False, True))
    assert len(training[0]) + len(held_out[0]) == 1797
    everything = torch.cat([training[0], held_out[0]]).flatten(1)
    assert len(everything.unique(dim=0)) == len(digits.scans()[0].flatten(1).unique(dim=0))


def test_every_digit_is_held_out_in_proportion() -> None:
    _, labels = digits.split(held_out=True)
    assert labels.bincount().tolist() == [44, 46, 44, 46, 45, 46, 45, 45, 44, 45]


def test_digit_images_are_rgb_bytes() -> None:
    images, labels = digits.digit_images(held_out=True)
    assert images.shape == (450, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert images.amax() > 250
    assert len(labels) == 450


def test_scenes_are_the_same_every_time_and_hold_every_class() -> None:
    images, maps = digits.digit_scenes(held_out=True)
    again, _ = digits.digit_scenes(held_out=True)
    assert torch.equal(images, again)
    assert images.shape == (400, 3, 96, 96)
    share = torch.bincount(maps.flatten().long(), minlength=11) / maps.numel()
    assert (share > 0.01).all()
    assert 0.6 < share[0] < 0.9


def test_strokes_stand_out_from_their_paper() -> None:
    images, maps = digits.digit_scenes(held_out=True)
    brightness = images.float().mean(dim=1)
    contrasts = [(brightness[i][maps[i] > 0].mean() - brightness[i][maps[i] == 0].mean()).abs() for i in range(100)]
    assert torch.stack(contrasts).nanmedian() > 40


def test_the_embedded_sources_need_no_place_and_open_nothing_until_they_are_asked() -> None:
    for listing in (listing for listing in SOURCES.values() if not listing.on_disk):
        source = open_data(listing.name, listing.task)
        assert callable(source.training)
        assert len(source.fingerprint or "") == 64
