"""Photographs under the colours of their classes: what a practitioner shows others."""

import numpy as np
import pytest
from PIL import Image

from compress.tasks.data.camvid import CLASS_NAMES
from compress.tasks.data.nyuv2_classes import NAMES_13, NAMES_40
from compress.tasks.data.public_classes import KNOWN_LISTS
from compress.tasks.natural_colours import class_colours
from compress.tasks.overlay import overlay, shares, smooth
from compress.tasks.palette import BLACK, GREY, perceived

NAMES, PALETTE = ("sky", "sea", "sand"), ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def shown(photograph: Image.Image, classes: np.ndarray, palette: tuple = PALETTE, **options: bool) -> np.ndarray:
    return np.array(overlay(photograph, classes, NAMES, palette, **options))


def halves(height: int, width: int) -> np.ndarray:
    classes = np.zeros((height, width), np.uint8)
    classes[: height // 4] = 2
    return classes


def test_the_legend_names_what_is_there_and_how_much_of_it() -> None:
    assert shares(halves(80, 60), NAMES) == {0: ("sky", 0.75), 2: ("sand", 0.25)}
    legend = {tuple(colour) for colour in shown(Image.new("RGB", (60, 80)), halves(80, 60))[:, 61:].reshape(-1, 3)}
    assert {PALETTE[0], PALETTE[2]} <= legend
    assert PALETTE[1] not in legend


@pytest.mark.parametrize("scale", [1, 3])
def test_legend_and_letters_grow_with_the_photograph(scale: int) -> None:
    size = (480 * scale, 360 * scale)
    picture = shown(Image.new("RGB", size), halves(size[1], size[0]))
    assert 0.1 < picture.shape[1] / size[0] - 1 < 0.35
    legend = picture[:, size[0] :]
    assert 0.06 < (legend != 255).any(axis=(1, 2)).sum() / size[1] < 0.3


def test_a_class_keeps_the_light_of_the_photograph() -> None:
    dark = ((0, 0, 60), (60, 0, 0), (0, 60, 0))
    for light in (60, 128, 250):
        photograph = Image.new("RGB", (60, 80), (light, light, light))
        blended = np.asarray(Image.blend(photograph, Image.new("RGB", (60, 80), dark[0]), 0.5))
        picture = shown(photograph, np.zeros((80, 60), np.uint8), dark, legend=False)
        assert light - picture.mean() < 0.45 * max(light - blended.mean(), 1)


def test_a_bright_photograph_does_not_change_the_hue_of_a_class() -> None:
    picture = shown(Image.new("RGB", (60, 80), "white"), np.zeros((80, 60), np.uint8), legend=False)
    red, green, blue = picture[40, 30].tolist()
    assert green == blue < red


def test_a_black_class_and_values_of_no_class_leave_the_photograph_as_it_is() -> None:
    classes = halves(80, 60)
    classes[60:] = 255
    picture = shown(Image.new("RGB", (60, 80), (90, 100, 110)), classes, (BLACK, *PALETTE[1:]), legend=False)
    assert picture[40, 30].tolist() == picture[70, 30].tolist() == [90, 100, 110]
    assert picture[10, 30].tolist() != [90, 100, 110]


def test_classes_are_outlined_in_lines_that_grow_with_the_photograph() -> None:
    for side, widest in ((100, 2), (1200, 6)):
        picture = shown(Image.new("RGB", (side, side), "white"), halves(side, side), legend=False)
        column = picture[:, side // 2].tolist()
        full = sum(tuple(colour) in PALETTE for colour in column)
        assert 1 <= full <= widest


def test_an_enlarged_boundary_is_a_line_and_no_stair() -> None:
    scores = np.zeros((2, 8, 8), np.float32)
    scores[0] = np.add.outer(np.arange(8), np.arange(8)) - 7
    classes, best = smooth(scores, (80, 80))
    nearest = (scores[0] <= 0).repeat(10, 0).repeat(10, 1)
    steps, blocks = (np.abs(np.diff((plane == 1).sum(axis=1).astype(int))) for plane in (classes, nearest))
    assert steps[10:70].max() <= 2 < blocks.max()
    assert best.shape == (80, 80)


@pytest.mark.parametrize(
    ("names", "apart"),
    [(CLASS_NAMES, 0.077), (NAMES_13, 0.079), (KNOWN_LISTS["cityscapes"].names, 0.055), (NAMES_40, 0.04)],
)
def test_natural_colours_are_told_apart_by_all_kinds_of_eyes(names: tuple[str, ...], apart: float) -> None:
    points = perceived(np.array([*class_colours(names), GREY, BLACK], float))
    distances = np.linalg.norm(points[:, :, None] - points[:, None], axis=3)
    assert (distances + 9 * np.eye(len(names) + 2) > apart).all()


def test_well_known_classes_look_as_one_expects() -> None:
    colours = dict(zip(CLASS_NAMES, class_colours(CLASS_NAMES), strict=True))
    assert colours["sky"][2] == max(colours["sky"])
    assert colours["tree"][1] == max(colours["tree"])
    assert colours["car"][2] == max(colours["car"])
    assert class_colours(("tree-other", "Skies"))[0][1] == max(class_colours(("tree-other", "Skies"))[0])


def test_the_background_is_black_and_names_that_nobody_knows_get_distinct_colours() -> None:
    assert class_colours(("a", "road", "b"), 0)[0] == BLACK
    assert len(set(class_colours(tuple("abcdefgh")))) == 8
