"""The embedded data: real scans, split once, the same every time."""

import pytest
import torch

from compress.tasks.data import SOURCES, digits, open_data

EMBEDDED = {"classification": "digits", "segmentation": "digit-scenes"}
SIDES: tuple[digits.Side, ...] = ("training", "tuning", "held-out")


def test_no_scan_serves_on_two_sides() -> None:
    parts = [digits.split(side)[0] for side in SIDES]
    assert [len(part) for part in parts] == [1078, 269, 450]
    everything = torch.cat(parts).flatten(1)
    assert len(everything.unique(dim=0)) == len(digits.scans()[0].flatten(1).unique(dim=0))


def test_every_digit_is_on_every_side_in_proportion() -> None:
    for side, share in zip(SIDES, (0.6, 0.15, 0.25), strict=True):
        counts = digits.split(side)[1].bincount()
        assert (counts / digits.scans()[1].bincount() - share).abs().max() < 0.01


def test_settings_are_chosen_on_scans_that_no_result_is_reported_on() -> None:
    for name, task in EMBEDDED.items():
        reported, chosen = open_data(task, name), open_data(f"{task}-tuning", name)
        assert chosen.fingerprint == reported.fingerprint, "one teacher serves both"
        assert not torch.equal(chosen.held_out().images[:100], reported.held_out().images[:100])


@pytest.mark.parametrize(
    ("read", "brightness", "spread"), [(digits.digit_images, 80.266, 91.137), (digits.digit_scenes, 125.887, 59.749)]
)
def test_a_change_of_the_embedded_data_needs_a_new_version_number(read, brightness: float, spread: float) -> None:
    assert digits.VERSION == 2, "these are the numbers of version 2"
    images = read("tuning")[0].double()
    assert images.mean().item() == pytest.approx(brightness, abs=0.01)
    assert images.std().item() == pytest.approx(spread, abs=0.01)


def test_digit_images_are_rgb_bytes() -> None:
    images, labels = digits.digit_images("held-out")
    assert images.shape == (450, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert images.amax() > 250
    assert len(labels) == 450


def test_scenes_are_the_same_every_time_and_hold_every_class() -> None:
    images, maps = digits.digit_scenes("held-out")
    again, _ = digits.digit_scenes("held-out")
    assert torch.equal(images, again)
    assert images.shape == (400, 3, 64, 64)
    share = torch.bincount(maps.flatten().long(), minlength=11) / maps.numel()
    assert (share > 0.01).all()
    assert 0.6 < share[0] < 0.9


def test_strokes_stand_out_from_their_paper() -> None:
    images, maps = digits.digit_scenes("held-out")
    brightness = images.float().mean(dim=1)
    contrasts = [(brightness[i][maps[i] > 0].mean() - brightness[i][maps[i] == 0].mean()).abs() for i in range(100)]
    assert torch.stack(contrasts).nanmedian() > 40


def test_the_embedded_sources_need_no_place_and_open_nothing_until_they_are_asked() -> None:
    for listing in (listing for listing in SOURCES.values() if not listing.on_disk):
        source = open_data(listing.name, listing.task)
        assert callable(source.training)
        assert len(source.fingerprint or "") == 64
