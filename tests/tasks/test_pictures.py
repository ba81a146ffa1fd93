"""Pictures: colours that everybody tells apart, legends, captions."""

import numpy as np
import pytest
import torch
from PIL import Image

from compress.tasks.palette import BLACK, GREY, distinct_colours, seen
from compress.tasks.pictures import captioned, overlay, painted, rows_of_maps


@pytest.mark.parametrize(("count", "apart"), [(8, 0.10), (14, 0.08), (41, 0.04)])
def test_no_two_colours_look_alike_to_any_kind_of_eyes(count: int, apart: float) -> None:
    points = seen(np.array([*distinct_colours(count, None), GREY, BLACK], float))
    distances = np.linalg.norm(points[:, :, None] - points[:, None], axis=3)
    assert (distances + 9 * np.eye(count + 2) > apart).all()


def test_red_and_green_are_alike_to_some() -> None:
    red, green = seen(np.array([[200.0, 80, 0], [120.0, 130, 0]])).transpose(1, 0, 2)
    distance = np.linalg.norm(red - green, axis=1)
    assert distance[1:3].min() < 0.4 * distance[0]


def test_the_background_is_black_wherever_it_is_among_the_classes() -> None:
    assert distinct_colours(5, 0)[0] == BLACK
    assert distinct_colours(5, 3)[3] == BLACK
    assert len(set(distinct_colours(5, 3))) == 5


def test_ignored_pixels_are_grey() -> None:
    assert painted(torch.tensor([[[255]]]), distinct_colours(21, 0)).flatten().tolist() == [128] * 3


def test_an_overlay_names_what_is_seen_and_leaves_out_what_is_not() -> None:
    classes = torch.zeros(80, 60, dtype=torch.uint8)
    classes[:20] = 2
    palette = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    picture = np.array(overlay(Image.new("RGB", (60, 80), "white"), classes, ["sky", "sea", "sand"], palette))
    assert picture.shape[0] >= 80
    assert tuple(picture[70, 5]) == (255, 114, 114)
    legend = {tuple(colour) for colour in picture[:, 61:].reshape(-1, 3)}
    assert (255, 0, 0) in legend
    assert (0, 0, 255) in legend
    assert (0, 255, 0) not in legend


def test_each_image_has_its_maps_beside_it_and_its_captions_under_it() -> None:
    images, maps = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2, 8, 8, dtype=torch.long)
    three = rows_of_maps(images, [maps, maps], distinct_colours(3, None))
    four = rows_of_maps(images, [maps, maps, maps], distinct_colours(3, None))
    assert 2 * 8 <= four.shape[2] - three.shape[2] <= 2 * 12
    two_lines, three_lines = (captioned(images, [("cat",) * lines] * 2) for lines in (2, 3))
    assert three_lines.shape[1] > two_lines.shape[1]
