"""Shifts and mirror images move images and label maps alike."""

import torch

from compress.augment import RandomView


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
