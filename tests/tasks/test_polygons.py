"""Label maps as polygons: what is drawn again is the map."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from compress.tasks.polygons import CocoFile, regions

NAMES = ("background", "disc", "ring", "speck")


@pytest.fixture
def classes() -> np.ndarray:
    """A disc inside a ring, a second disc, and a single pixel."""
    y, x = np.mgrid[:120, :160]
    far = np.hypot(y - 60, x - 60)
    plane = np.zeros((120, 160), np.uint8)
    plane[far < 40], plane[far < 20] = 2, 1
    plane[80:100, 120:150] = 1
    plane[5, 150] = 3
    return plane


def drawn(annotations: list[dict], size: tuple[int, int]) -> np.ndarray:
    """The map that a tool draws of the polygons in their order, at four times the size."""
    picture = Image.new("L", (size[0] * 4, size[1] * 4))
    for annotation in annotations:
        points = [4 * value for value in annotation["segmentation"][0]]
        ImageDraw.Draw(picture).polygon(points, fill=annotation["category_id"] - 1)
    return np.asarray(picture)[2::4, 2::4]


def test_polygons_drawn_in_their_order_give_the_map_again(classes: np.ndarray) -> None:
    coco = CocoFile()
    coco.add("day/a.jpg", classes, NAMES)
    content = coco.content()
    again = drawn(content["annotations"], (160, 120))
    for index in (0, 1, 2):
        one, other = classes == index, again == index
        assert (one & other).sum() / (one | other).sum() > 0.97


def test_a_file_says_what_coco_says(classes: np.ndarray) -> None:
    coco = CocoFile()
    for name in ("a.jpg", "b.jpg"):
        coco.add(name, classes, NAMES)
    content = coco.content()
    assert [image["file_name"] for image in content["images"]] == ["a.jpg", "b.jpg"]
    assert (content["images"][0]["width"], content["images"][0]["height"]) == (160, 120)
    assert [category["name"] for category in content["categories"]] == list(NAMES)
    ids = [annotation["id"] for annotation in content["annotations"]]
    assert ids == list(range(1, 7))
    square = next(one for one in content["annotations"] if one["area"] == 600)
    assert square["bbox"] == pytest.approx([120, 80, 30, 20], abs=1)
    assert square["image_id"] == 1


def test_background_and_specks_are_left_out_and_the_largest_comes_first(classes: np.ndarray) -> None:
    assert [NAMES[region.index] for region in regions(classes, NAMES)] == ["ring", "disc", "disc"]


def test_outlines_have_few_points() -> None:
    plane = np.zeros((200, 200), np.uint8)
    plane[50:150, 50:150] = 1
    (square,) = regions(plane, NAMES)
    assert 4 <= len(square.points) <= 9
