"""Pictures: colours that everybody tells apart, legends, captions."""

import numpy as np
import pytest
import torch

from compress.tasks.palette import BLACK, GREY, distinct_colours, perceived
from compress.tasks.pictures import captioned, painted, rows_of_maps


@pytest.mark.parametrize(("count", "apart"), [(8, 0.10), (14, 0.08), (41, 0.04)])
def test_no_two_colours_look_alike_to_any_kind_of_eyes(count: int, apart: float) -> None:
    points = perceived(np.array([*distinct_colours(count, None), GREY, BLACK], float))
    distances = np.linalg.norm(points[:, :, None] - points[:, None], axis=3)
    assert (distances + 9 * np.eye(count + 2) > apart).all()


def test_red_and_green_are_alike_to_some() -> None:
    red, green = perceived(np.array([[200.0, 80, 0], [120.0, 130, 0]])).transpose(1, 0, 2)
    distance = np.linalg.norm(red - green, axis=1)
    assert distance[1:3].min() < 0.4 * distance[0]


def test_the_background_is_black_wherever_it_is_among_the_classes() -> None:
    assert distinct_colours(5, 0)[0] == BLACK
    assert distinct_colours(5, 3)[3] == BLACK
    assert len(set(distinct_colours(5, 3))) == 5


def test_ignored_pixels_are_grey() -> None:
    assert painted(torch.tensor([[[255]]]), distinct_colours(21, 0)).flatten().tolist() == [128] * 3


PALETTE = distinct_colours(3, None)
NAMES = ("sky", "sea", "sand")


def grid(images: int = 2, width: int = 100, **label_maps: torch.Tensor) -> torch.Tensor:
    pixels = torch.full((images, 3, 60, width), 200, dtype=torch.uint8)
    blank = torch.zeros(images, 60, width, dtype=torch.long)
    return rows_of_maps(pixels, label_maps or {"aimed at": blank}, NAMES, PALETTE)


def colours_of(picture: torch.Tensor) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in picture.flatten(1).T.tolist()}


def test_each_image_has_its_maps_beside_it() -> None:
    blank = torch.zeros(2, 60, 100, dtype=torch.long)
    one, two = grid(aimed=blank), grid(aimed=blank, teacher=blank)
    assert two.shape[2] - one.shape[2] == 2 * (100 + 2), "a map and a gap in each of two columns"


def test_small_images_are_enlarged() -> None:
    assert grid(images=1, width=24).shape[2] >= 2 * 96


def test_a_heading_stands_above_each_column() -> None:
    picture = grid(images=1)
    above = picture[:, :14]
    for column in (above[:, :, :100], above[:, :, 104:]):
        assert (column < 100).any(), "black letters"
    renamed = grid(images=1, label=torch.zeros(1, 60, 100, dtype=torch.long))
    assert torch.equal(above[:, :, :100], renamed[:, :14, :100])
    assert not torch.equal(above[:, :, 104:], renamed[:, :14, 104:])


def test_a_legend_names_the_classes_that_occur() -> None:
    maps = torch.zeros(1, 60, 100, dtype=torch.long)
    maps[:, :30] = 2
    below = grid(images=1, label=maps)[:, 14 + 60 + 6 :]
    assert {PALETTE[0], PALETTE[2]} <= colours_of(below)
    assert PALETTE[1] not in colours_of(below)
    maps[:, 50:] = 255
    assert (128, 128, 128) in colours_of(grid(images=1, label=maps)[:, 14 + 60 + 6 :])


def test_a_legend_takes_as_many_lines_as_it_needs() -> None:
    maps = torch.arange(3).repeat(1, 60, 34)[:, :, :100]
    names = ("a long name of the sky", "a long name of the sea", "a long name of the sand")
    wide, narrow = (
        rows_of_maps(torch.zeros(1, 3, 60, width, dtype=torch.uint8), {"label": maps[..., :width]}, names, PALETTE)
        for width in (100, 96)
    )
    short = grid(images=1, label=maps)
    assert wide.shape[1] > short.shape[1]
    assert {PALETTE[0], PALETTE[1], PALETTE[2]} <= colours_of(narrow[:, 14 + 60 + 6 :])


def test_captions_stand_under_images_and_a_key_above_says_what_they_are() -> None:
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    two_lines, three_lines = (captioned(images, [("cat",) * lines] * 2, "key") for lines in (2, 3))
    assert three_lines.shape[1] > two_lines.shape[1]
    other = captioned(images, [("cat",) * 2] * 2, "another key")
    assert not torch.equal(two_lines[:, :14], other[:, :14])
    assert torch.equal(two_lines[:, 14:], other[:, 14:])
