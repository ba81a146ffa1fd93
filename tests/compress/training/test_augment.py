"""Shifts and mirror images move images and label maps alike."""

import pytest
import torch

from compress.training.augment import RandomCrop, RandomView, RandomWindow
from compress.training.random_numbers import RandomNumbers


def test_nothing_moves_without_shift_and_flip(numbers: RandomNumbers) -> None:
    images, targets = torch.rand(3, 3, 8, 8), torch.randint(4, (3, 8, 8))
    moved, moved_targets = RandomView(shift=0, flip=False)(images, targets, numbers, 255)
    assert torch.equal(moved, images)
    assert torch.equal(moved_targets, targets)


def test_targets_move_with_their_images(numbers: RandomNumbers) -> None:
    targets = torch.randint(1, 200, (16, 9, 8))
    images = targets[:, None].float().expand(-1, 3, -1, -1)
    moved, moved_targets = RandomView(shift=3, flip=True)(images, targets, numbers, 255)
    inside = moved_targets != 255
    assert torch.equal(moved[:, 0][inside], moved_targets[inside].float())
    assert (~inside).any()
    assert not torch.equal(moved, images)


def test_targets_that_are_no_maps_stay(numbers: RandomNumbers) -> None:
    digits = torch.arange(64).view(16, 4)
    moved, targets = RandomView(shift=3, flip=False)(torch.rand(16, 3, 9, 8), digits, numbers, 255)
    assert torch.equal(targets, digits)
    assert moved.shape == (16, 3, 9, 8)


def test_samples_move_independently(numbers: RandomNumbers) -> None:
    images = torch.rand(1, 3, 8, 8).expand(32, -1, -1, -1)
    moved, _ = RandomView(shift=2, flip=True)(images, torch.arange(32), numbers, 255)
    assert len({tuple(image.flatten().tolist()) for image in moved}) > 10


def test_gradients_reach_the_pixels(numbers: RandomNumbers) -> None:
    images = torch.rand(4, 3, 8, 8, requires_grad=True)
    moved, _ = RandomView(shift=2, flip=True)(images, torch.arange(4), numbers, 255)
    moved.sum().backward()
    assert images.grad is not None
    assert images.grad.sum() == moved.numel()


def test_shuffled_channels_are_the_same_channels_in_another_order(numbers: RandomNumbers) -> None:
    images = torch.rand(32, 3, 8, 8)
    shown, _ = RandomView(shift=0, flip=False, shuffle_channels=True)(images, torch.arange(32), numbers, 255)
    assert torch.equal(shown.sort(dim=1).values, images.sort(dim=1).values)
    assert not torch.equal(shown, images)
    for before, after in zip(images, shown, strict=True):
        assert all(any(torch.equal(a, b) for b in before) for a in after)


def test_wrapped_images_keep_every_pixel(numbers: RandomNumbers) -> None:
    images = torch.rand(8, 3, 8, 8)
    moved, _ = RandomView(shift=4, flip=True, wrap=True)(images, torch.arange(8), numbers, 255)
    assert torch.equal(moved.flatten(2).sort().values, images.flatten(2).sort().values)
    assert not torch.equal(moved, images)


def test_wrapped_targets_move_with_their_images(numbers: RandomNumbers) -> None:
    targets = torch.randint(1, 200, (16, 9, 8))
    images = targets[:, None].float().expand(-1, 3, -1, -1)
    moved, moved_targets = RandomView(shift=3, flip=True, wrap=True)(images, targets, numbers, 255)
    assert torch.equal(moved[:, 0], moved_targets.float())


def test_zoomed_targets_move_with_their_images(numbers: RandomNumbers) -> None:
    targets = torch.arange(40)[:, None].expand(64, 40, 30)
    images = targets[:, None].float().expand(-1, 3, -1, -1)
    shown, aims = RandomView(shift=3, flip=True, zoom=2.0)(images, targets, numbers, 255)
    assert ((shown[:, 0] - aims).abs()[aims != 255] < 0.6).all()


def test_zoomed_images_show_a_part_or_more_than_the_whole(numbers: RandomNumbers) -> None:
    ramp = torch.linspace(0, 1, 33).expand(64, 3, 33, 33)
    shown, _ = RandomView(shift=0, flip=False, zoom=2.0)(ramp, torch.arange(64), numbers, 255)
    assert shown.shape == ramp.shape
    slopes = (shown[..., 1:] - shown[..., :-1]).abs().amax(dim=(1, 2, 3)) * 32
    assert 0.5 <= slopes.min() < 0.6
    assert 1.7 < slopes.max() <= 2.001
    widest = shown[slopes > 1.5]
    assert (widest[..., -1] < 0.99).any(), "what lies beyond the border is a mirror image"


def test_a_crop_is_a_part_of_its_image_at_the_whole_size(numbers: RandomNumbers) -> None:
    ramp = torch.linspace(0, 1, 32).expand(64, 3, 32, 32)
    crops = RandomCrop(0.25, flip=False)(ramp, numbers)
    assert crops.shape == ramp.shape
    spans = crops[:, 0, 0, -1] - crops[:, 0, 0, 0]
    assert spans.min() > 0.45
    assert spans.max() < 1.01
    assert spans.std() > 0.05
    torch.testing.assert_close(crops[:, :, 0], crops[:, :, -1])


@pytest.mark.parametrize(("size", "zoom"), [((12, 10), 1.0), ((12, 10), 2.0), ((40, 50), 1.5)])
def test_windows_show_images_and_label_maps_of_the_same_place(
    size: tuple[int, int], zoom: float, numbers: RandomNumbers
) -> None:
    rows = torch.arange(30)[:, None].expand(30, 32)
    columns = torch.arange(32).expand(30, 32)
    images = torch.stack([rows, columns, rows]).float().expand(64, -1, -1, -1)
    sizes = torch.tensor([[30, 32], [20, 24]]).repeat(32, 1)
    for channel, targets in enumerate((rows, columns)):
        windows, labels = RandomWindow(size, zoom, flip=True)(images, targets.expand(64, -1, -1), sizes, numbers, 255)
        inside = labels != 255
        assert windows.shape == (64, 3, *size)
        assert ((windows[:, channel] - labels).abs()[inside] <= 0.501).all()
        assert len({tuple(image.flatten().tolist()) for image in windows}) > 60
        if zoom == 1 and size < (20, 24):
            assert inside.all()
            assert windows[1::2, 0].max() <= 19  # the second image is smaller than the tensor that holds it


def test_windows_larger_than_the_image_are_filled(numbers: RandomNumbers) -> None:
    images, targets = torch.ones(8, 3, 4, 4), torch.zeros(8, 4, 4, dtype=torch.long)
    sizes = torch.tensor([4, 4]).expand(8, 2)
    _, labels = RandomWindow((8, 8), 1.0, flip=False)(images, targets, sizes, numbers, 255)
    assert ((labels == 0).flatten(1).sum(dim=1) == 16).all()
    assert ((labels == 255).flatten(1).sum(dim=1) == 48).all()
