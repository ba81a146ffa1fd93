"""Images, masks and class lists that cannot be meant: refused in one line that says why and what to do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mask_files import COLOURS, LABELS, Write, class_list, folder, mapped, masks, opened, save

from compress.errors import UsageError

TWO_PAIRS = ("images/a.jpg", "masks/a.png"), ("images/b.jpg", "masks/b.png")
KINDS = ("images/a.jpg", "masks/a_color.png"), ("images/a.jpg", "masks/a_labelIds.png")


def polygons(root: Path) -> None:
    folder(("images/a.jpg", "elsewhere/a.png"))(root)
    (root / "masks").mkdir()
    (root / "masks" / "a.json").write_text("{}")


def without(*missing: str) -> Write:
    def write(root: Path) -> None:
        folder(*TWO_PAIRS)(root)
        for name in missing:
            (root / name).unlink()

    return write


REFUSED: dict[str, tuple[Write, dict[str, Any], str]] = {
    "0 and 255": (
        masks(mapped({0: 0, 1: 255, 255: 0})),
        {},
        r"nothing but 0 and 255.*`mask_values`, such as 0,255; if not pass `ignore_index` 255",
    ),
    "a value of no class": (masks(mapped({0: 0, 1: 1, 255: 7})), {}, r"value 7, which is no class.*`ignore_index` 7"),
    "16 bits of instances": (masks(mapped({0: 0, 1: 26001, 255: 255})), {}, "the value 26001, which is no class"),
    "JPEG masks": (masks(name="a.jpg"), {}, "JPEG file, whose compression moves pixels into other classes"),
    "colours without a list": (masks(mapped(COLOURS)), {}, "give every class its colour in classes.txt"),
    "several kinds of masks": (folder(*KINDS), {}, r"several masks in .*masks, \*_color, \*_labelIds: choose one kind"),
    "names that do not fit": (folder(("images/x1.jpg", "masks/9.png")), {}, "images are called x1.jpg, masks 9.png"),
    "two images of a name": (folder(*TWO_PAIRS, ("images/a.png", "masks/a.png")), {}, "a.jpg and .* have one name"),
    "an image alone": (without("masks/b.png"), {}, r"images.b\.jpg has no partner in .*masks"),
    "a mask alone": (without("images/b.jpg"), {}, r"masks.b\.png has no partner in .*images"),
    "no masks": (folder(("images/a.jpg", "elsewhere/a.png")), {}, "say where they are with `images` and `masks`"),
    "splits deeper in": (folder(("images/x/train/a.jpg", "masks/x/train/a.png")), {}, "has a folder train deeper"),
    "masks of another kind of file": (polygons, {}, r"masks holds no image file but \.json: masks are images"),
    "half a pair of patterns": (masks(), {"images": "test/images/*.jpg"}, "`images` is a pattern and `masks` is not"),
    "a pattern that fits nothing": (masks(), {"images": "*.bmp", "masks": "*.png"}, r"'\*.bmp' fits no image"),
    "a pattern that leads out": (masks(), {"images": "../*.jpg", "masks": "*.png"}, "leads out of `data_root`"),
    "a split that is not there": (masks(), {"split": "tset"}, "did you mean 'test'"),
    "a list with other names": (folder(*TWO_PAIRS[1:], listed="l.txt"), {"list_file": "l.txt"}, "line 1, a, is"),
    "a list that is not there": (folder(*TWO_PAIRS), {"list_file": "l.txt"}, "'l.txt' leads to no file"),
    "values for other classes": (masks(), {"mask_values": "0,1,2"}, "3 values for 2 classes"),
    "values said twice": (masks(), {"mask_values": "0,1", "reduce_zero_label": True}, "leave out `reduce_zero_label`"),
    "an ignored class": (masks(), {"ignore_index": "1"}, "`ignore_index` 1 is the value of a class, too"),
    "a list by another name": (masks(), {"class_names": "cityscape"}, "did you mean 'cityscapes'"),
    "half a colour": (class_list("classes.txt", "sky 1 2\nroad 3 4\n"), {}, "line 1, sky 1 2, holds 2 numbers"),
    "transparent colours": (class_list("classes.txt", "sky 1 2 3 255\nroad 4 5 6 255\n"), {}, "ends in four numbers"),
    "colours below 0": (class_list("classes.txt", "sky -1 2 3\nroad 4 5 6\n"), {}, "a number below 0"),
    "colours of fractions": (class_list("classes.txt", "sky 0.5 0.2 0.1\nroad 1 1 1\n"), {}, "0.5 where whole numbers"),
    "short hexadecimal colours": (class_list("classes.txt", "#abc sky\n#def road\n"), {}, "colour of six digits"),
    "colours without names": (class_list("classes.txt", "1 2 3\n4 5 6\n"), {}, "line 1, 1 2 3, has no name"),
    "a value twice": (class_list("classes.txt", "1 sky\n1 road\n"), {}, "the same value, 1"),
    "JSON of something else": (class_list("classes.json", '{"sky": 1.5}'), {}, "neither a name nor a number"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_in_a_line_that_says_what_to_do(case: str, tmp_path: Path) -> None:
    write, settings, reason = REFUSED[case]
    write(tmp_path)
    with pytest.raises(UsageError, match=reason) as refused:
        opened(tmp_path, **settings).held_out()
    assert str(refused.value).isprintable()


def test_data_with_labels_of_its_own_takes_no_settings_for_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'camvid' says itself .* leave out `mask_values`"):
        opened(tmp_path, "camvid", mask_values="0,1")


def test_one_bit_masks_are_0_and_1_or_0_and_255(tmp_path: Path) -> None:
    masks(mapped({0: 0, 1: 255, 255: 0}), mode="1")(tmp_path)
    for settings in ({}, {"mask_values": "0,255"}):
        assert opened(tmp_path, **settings).held_out().targets.unique().tolist() == [0, 1]


def test_a_class_that_never_occurs_and_much_void_are_said(tmp_path: Path) -> None:
    labels = np.full_like(LABELS, 255)
    labels[0, 0], labels[0, 1] = 0, 1
    masks(labels, names="sky\nroad\ncar\nbus\n")(tmp_path)
    notes = opened(tmp_path).held_out().notes
    assert notes == ("no pixel of the labels is car, bus", "83% of the labelled pixels do not count")


def test_a_lossy_webp_mask_is_refused_and_a_lossless_one_read(tmp_path: Path) -> None:
    masks()(tmp_path)
    (tmp_path / "test/masks/a.png").unlink()
    save(tmp_path / "test/masks/a.webp", LABELS, "RGB", lossless=True)
    assert opened(tmp_path).held_out().targets.unique().tolist() == [0, 1, 255]
    save(tmp_path / "test/masks/a.webp", LABELS, "RGB", lossless=False)
    with pytest.raises(UsageError, match="WEBP file, whose compression"):
        opened(tmp_path)
