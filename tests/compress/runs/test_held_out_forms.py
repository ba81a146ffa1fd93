"""Labelled images in other forms than two tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from compress.errors import UsageError
from compress.runs.held_out_forms import as_tensors

SHAPE = (3, 16, 16)
IMAGES = torch.randint(256, (6, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 4


class Pictures(Dataset[tuple[Image.Image, int]]):
    """As torchvision's data sets are: no tensor, and no end but an index."""

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(IMAGES[index].movedim(0, -1).numpy()), int(LABELS[index])


@pytest.mark.parametrize(
    "held_out",
    [
        (IMAGES, LABELS),
        (IMAGES.numpy(), LABELS.numpy()),
        (IMAGES.movedim(1, -1).numpy(), LABELS.numpy()),
        TensorDataset(IMAGES / 255, LABELS),
        Pictures(),
        DataLoader(TensorDataset(IMAGES / 255, LABELS), batch_size=4),
        [(image, int(label)) for image, label in zip(IMAGES, LABELS, strict=True)],
        (IMAGES.flip(0).numpy()[::-1], LABELS.flip(0).numpy()[::-1]),
        (IMAGES.numpy(), LABELS.numpy().astype(">i4")),
        (IMAGES.numpy(), LABELS.numpy().astype(np.uint32)),
        (IMAGES, LABELS.tolist()),
    ],
    ids=[
        *("tensors", "arrays", "arrays, channels last", "Dataset", "Dataset of pictures", "DataLoader", "list"),
        *("reversed arrays", "big-endian labels", "unsigned labels", "a list of labels"),
    ],
)
def test_held_out_data_may_have_any_form_that_training_scripts_have_it_in(held_out: object) -> None:
    images, labels = as_tensors(held_out)
    assert torch.equal(images, IMAGES)
    assert torch.equal(labels.long(), LABELS)


@pytest.mark.parametrize(
    ("held_out", "complaint"),
    [
        (TensorDataset(IMAGES / 255 - 0.5, LABELS), "without Normalize"),
        (DataLoader(TensorDataset(IMAGES)), "pairs of image and label"),
        (TensorDataset(IMAGES[:0], LABELS[:0]), "holds no image"),
        ([(IMAGES[0], 0), (IMAGES[1, :, :8], 0), (IMAGES[2], 0)], "differ in size"),
        (7, "is a int"),
        ((np.array(["a"]), LABELS), "numbers"),
        ({"images": IMAGES, "labels": LABELS}, "is a dict"),
        ([(IMAGES[0], "cat")], "numbers"),
        ([(IMAGES[0] * torch.nan, 0)], "from nan to nan"),
        ([(IMAGES[0], [[0], [0, 1]])], "several shapes"),
    ],
    ids=[
        *("normalised", "no labels", "empty", "sizes", "a number", "text"),
        *("a table", "named labels", "NaN", "ragged"),
    ],
)
def test_held_out_data_that_cannot_be_used_is_refused(held_out: object, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        as_tensors(held_out)


def test_two_pairs_are_two_images_and_no_pair_of_images_and_labels() -> None:
    images, labels = as_tensors([(IMAGES[0], 3), (IMAGES[1], 1)])
    assert torch.equal(images, IMAGES[:2])
    assert labels.tolist() == [3, 1]
