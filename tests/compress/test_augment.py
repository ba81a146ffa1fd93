"""Shifts and mirror images move images and label maps alike."""

import torch

from compress.augment import RandomCrop, RandomView


def test_nothing_moves_without_shift_and_flip(randomness: torch.Generator) -> None:
    images, targets = torch.rand(3, 3, 8, 8), torch.randint(4, (3, 8, 8))
    moved, moved_targets = RandomView(0, flip=False)(images, targets, randomness, 255)
    assert torch.equal(moved, images)
    assert torch.equal(moved_targets, targets)


def test_targets_move_with_their_images(randomness: torch.Generator) -> None:
    targets = torch.randint(1, 200, (16, 9, 8))
    images = targets[:, None].float().expand(-1, 3, -1, -1)
    moved, moved_targets = RandomView(3, flip=True)(images, targets, randomness, 255)
    inside = moved_targets != 255
    assert torch.equal(moved[:, 0][inside], moved_targets[inside].float())
    assert (~inside).any()
    assert not torch.equal(moved, images)


def test_samples_move_independently(randomness: torch.Generator) -> None:
    images = torch.rand(1, 3, 8, 8).expand(32, -1, -1, -1)
    moved, _ = RandomView(2, flip=True)(images, torch.arange(32), randomness, 255)
    assert len({tuple(image.flatten().tolist()) for image in moved}) > 10


def test_gradients_reach_the_pixels(randomness: torch.Generator) -> None:
    images = torch.rand(4, 3, 8, 8, requires_grad=True)
    moved, _ = RandomView(2, flip=True)(images, torch.arange(4), randomness, 255)
    moved.sum().backward()
    assert images.grad is not None
    assert images.grad.sum() == moved.numel()


def test_shuffled_channels_are_the_same_channels_in_another_order(randomness: torch.Generator) -> None:
    images = torch.rand(32, 3, 8, 8)
    shown, _ = RandomView(0, flip=False, shuffle_channels=True)(images, torch.arange(32), randomness, 255)
    assert torch.equal(shown.sort(dim=1).values, images.sort(dim=1).values)
    assert not torch.equal(shown, images)
    for before, after in zip(images, shown, strict=True):
        assert all(any(torch.equal(a, b) for b in before) for a in after)


def test_wrapped_images_keep_every_pixel(randomness: torch.Generator) -> None:
    images = torch.rand(8, 3, 8, 8)
    moved, _ = RandomView(4, flip=True, wrap=True)(images, torch.arange(8), randomness, 255)
    assert torch.equal(moved.flatten(2).sort().values, images.flatten(2).sort().values)
    assert not torch.equal(moved, images)


def test_wrapped_targets_move_with_their_images(randomness: torch.Generator) -> None:
    targets = torch.randint(1, 200, (16, 9, 8))
    images = targets[:, None].float().expand(-1, 3, -1, -1)
    moved, moved_targets = RandomView(3, flip=True, wrap=True)(images, targets, randomness, 255)
    assert torch.equal(moved[:, 0], moved_targets.float())


def test_a_crop_is_a_part_of_its_image_at_the_whole_size(randomness: torch.Generator) -> None:
    ramp = torch.linspace(0, 1, 32).expand(64, 3, 32, 32)
    crops = RandomCrop(0.25, flip=False)(ramp, randomness)
    assert crops.shape == ramp.shape
    spans = crops[:, 0, 0, -1] - crops[:, 0, 0, 0]
    assert spans.min() > 0.45
    assert spans.max() < 1.01
    assert spans.std() > 0.05
    torch.testing.assert_close(crops[:, :, 0], crops[:, :, -1])
