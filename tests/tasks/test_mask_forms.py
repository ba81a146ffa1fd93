"""The forms that people have images and masks in: each is read to the same labels. docs/data.md shows them."""

from pathlib import Path

import pytest
import torch
from mask_files import COLOURED, COLOURS, LABELS, Form, Write, class_list, folder, mapped, masks, opened
from PIL import Image

from compress.errors import UsageError
from compress.tasks.data.nyuv2_classes import NAMES_13, NAMES_40


def palette_of_no_meaning(root: Path) -> None:
    masks()(root)
    indexed = Image.fromarray(LABELS)
    indexed.putpalette([value // 3 * 7 % 256 for value in range(768)])
    indexed.save(root / "test/masks/a.png")


def pairs_in_a_list(root: Path) -> None:
    folder(("x/1.jpg", "y/2.png"))(root)
    (root / "val.csv").write_text("x/1.jpg,y/2.png\n")


def unlabelled_test_images(root: Path) -> None:
    folder(("val/images/a.jpg", "val/masks/a.png"), ("test/images/b.jpg", "test/masks/b.png"))(root)
    (root / "test/masks/b.png").unlink()


def one_pair(images: str, labels: str) -> Write:
    return folder((f"{images}/a.jpg", f"{labels}/a.png"))


ULM = "val/ulm/ulm_000000_000019"
VOC, ADE20K = "VOCdevkit/VOC2012", "ADEChallengeData2016"
VOC_LIST = "ImageSets/Segmentation/val.txt"
OBJECTS = ("JPEGImages/a.jpg", "SegmentationClass/a.png"), ("JPEGImages/b.jpg", "SegmentationClass/b.png")
LAYOUTS: dict[str, Form] = {
    "test/images and test/masks": (one_pair("test/images", "test/masks"), {}),
    "valid/images and valid/labels": (one_pair("valid/images", "valid/labels"), {}),
    "images/validation and annotations/validation": (one_pair("images/validation", "annotations/validation"), {}),
    "mmsegmentation": (one_pair("img_dir/val", "ann_dir/val"), {}),
    "COCO-Stuff": (one_pair("images/val2017", "annotations/val2017"), {}),
    "images and masks without splits": (one_pair("images", "masks"), {}),
    "capital letters": (folder(("Images/a.JPG", "Masks/a.PNG")), {}),
    "test beside test_masks": (folder(("test/a.jpg", "test_masks/a_mask.png")), {}),
    "CamVid with class_dict": (folder(("val/a.png", "val_labels/a_L.png")), {}),
    "SegNet's CamVid": (folder(("test/a.png", "testannot/a.png")), {}),
    "Roboflow": (folder(("valid/a.jpg", "valid/a_mask.png")), {}),
    "one folder": (folder(("a.jpg", "a.png")), {}),
    "masks with a suffix": (folder(("images/a.jpg", "masks/a_mask.png"), ("images/b.jpg", "masks/b_mask.png")), {}),
    "two suffixes": (folder(("images/a_sat.jpg", "masks/a_mask.png"), ("images/b_sat.jpg", "masks/b_mask.png")), {}),
    "prefixes": (folder(("images/image1.jpg", "masks/mask1.png"), ("images/image2.jpg", "masks/mask2.png")), {}),
    "ISIC": (folder(("images/ISIC_01.jpg", "masks/ISIC_01_segmentation.png")), {}),
    "nested": (folder(("images/u/1.jpg", "masks/u/1.png"), ("images/v/1.jpg", "masks/v/1.png")), {}),
    "nested images, flat masks": (folder(("images/u/1.jpg", "masks/1.png"), ("images/v/2.jpg", "masks/2.png")), {}),
    "other kinds of masks beside": (folder(("images/a.jpg", "masks/a.png"), ("images/a.jpg", "masks/a_color.png")), {}),
    "VOC's folders": (folder(*OBJECTS, listed=VOC_LIST), {}),
    "a list of names": (folder(*OBJECTS, listed="mine.txt"), {"list_file": "mine.txt"}),
    "the parent of the data set's folder": (one_pair("mine/images", "mine/masks"), {}),
    "a list of pairs": (pairs_in_a_list, {"list_file": "val.csv"}),
    "DRIVE": (
        folder(("test/images/01_test.tif", "test/1st_manual/01_manual1.gif")),
        {"images": "{split}/images/*.tif", "masks": "{split}/1st_manual/*_manual1.gif"},
    ),
    "test without masks beside val": (unlabelled_test_images, {}),
    "TIFF": (folder(("images/a.tif", "masks/a.tif")), {}),
    "GIF and BMP": (folder(("images/a.bmp", "masks/a.gif")), {}),
    "a pattern each": (
        folder((f"leftImg8bit/{ULM}_leftImg8bit.png", f"gtFine/{ULM}_gtFine_labelTrainIds.png")),
        {"images": "leftImg8bit/val/*/*.png", "masks": "gtFine/val/*/*_labelTrainIds.png"},
    ),
    "patterns with splits": (
        folder(*((f"{split}/u/images_png/1.png", f"{split}/u/masks_png/1.png") for split in ("Val", "Train"))),
        {"images": "{split}/*/images_png/*.png", "masks": "{split}/*/masks_png/*.png"},
    ),
    "a split by any name": (
        one_pair("fold1/images", "fold1/masks"),
        {"images": "{split}/images/*.*", "masks": "{split}/masks/*.*", "split": "fold1"},
    ),
}  # fmt: skip
MASKS: dict[str, Form] = {
    "a palette": (palette_of_no_meaning, {}),
    "16 bits": (masks(mapped({0: 0, 1: 1, 255: 65535})), {}),
    "grey and transparency": (masks(mode="LA"), {}),
    "grey as RGB": (masks(mode="RGB"), {}),
    "grey as RGBA": (masks(mode="RGBA"), {}),
    "colours": (masks(mapped(COLOURS), names=COLOURED), {}),
    "colours in a palette": (masks(mapped(COLOURS), names=COLOURED, mode="P"), {}),
    "0 and 255": (masks(mapped({0: 0, 1: 255, 255: 128})), {"mask_values": "0,255", "ignore_index": "128"}),
    "1, 2 and 3": (masks(mapped({0: 1, 1: 2, 255: 3})), {"mask_values": "1,2", "ignore_index": "3"}),
    "0 does not count": (masks(mapped({0: 1, 1: 2, 255: 0})), {"reduce_zero_label": True}),
    "9 does not count": (masks(mapped({0: 0, 1: 1, 255: 9})), {"ignore_index": "9"}),
    "colours for pictures only": (masks(names=COLOURED), {"mask_values": "0,1"}),
}
MMSEG = '{"classes": ["sky", "road", "void"], "palette": [[70, 130, 180], [128, 64, 128], [0, 0, 0]]}'
CVAT = "# label:color_rgb:parts:actions\nsky:70,130,180::\nroad:128,64,128::\nvoid:0,0,0::\n"
TABLE = "name,r,g,b\nsky,70,130,180\nroad,128,64,128\nVoid,0,0,0\n"
ROBOFLOW = "Pixel Value, Class\n1, sky\n7, road\n"
HEXADECIMAL = "# ours\n#4682B4 sky\nroad #804080\nvoid #000000\n"
BRACKETS = "sky (70, 130, 180)\nroad: [128,64,128]\nvoid rgb(0,0,0)\n"
FIRST = "70 130 180 sky\n128,64,128,road\n0 0 0\tvoid\n"
ONE_LETTER = "sky 70 130 180\nroad 128 64 128\n路 9 9 9\nvoid 0 0 0\n"
CLASSES: dict[str, Form] = {
    "JSON": (class_list("classes.json", '["sky", "road"]'), {}),
    "JSON by index": (class_list("n.json", '{"id2label": {"0": "sky", "1": "road"}}'), {"class_names": "n.json"}),
    "JSON of mmsegmentation": (class_list("classes.json", MMSEG, mapped(COLOURS)), {}),
    "CVAT": (class_list("labelmap.txt", CVAT, mapped(COLOURS)), {}),
    "class_dict.csv": (class_list("class_dict.csv", TABLE, mapped(COLOURS)), {}),
    "Roboflow's table": (class_list("test/_classes.csv", ROBOFLOW, mapped({0: 1, 1: 7, 255: 255})), {}),
    "hexadecimal colours": (class_list("classes.txt", HEXADECIMAL, mapped(COLOURS)), {}),
    "colours in brackets": (class_list("classes.txt", BRACKETS, mapped(COLOURS)), {}),
    "colours first": (class_list("classes.txt", FIRST, mapped(COLOURS)), {}),
    "CamVid's list by its name": (masks(mapped({0: 0, 1: 3, 255: 11}), names=None), {"class_names": "camvid"}),
    "a name of one letter": (class_list("classes.txt", ONE_LETTER, mapped(COLOURS)), {}),
}
LABEL_IDS, TRAIN_IDS = mapped({0: 23, 1: 7, 255: 4}), mapped({0: 10, 1: 0, 255: 255})
PRESETS: dict[str, Form] = {
    "Cityscapes": (
        folder(
            (f"leftImg8bit/{ULM}_leftImg8bit.png", f"gtFine/{ULM}_gtFine_labelIds.png"), names=None, labels=LABEL_IDS
        ),
        {"data": "cityscapes"},
    ),
    "Cityscapes with training ids": (
        folder(
            (f"leftImg8bit/{ULM}_leftImg8bit.png", f"gtFine/{ULM}_gtFine_labelIds.png"),
            (f"leftImg8bit/{ULM}_leftImg8bit.png", f"gtFine/{ULM}_gtFine_labelTrainIds.png"),
            names=None, labels=TRAIN_IDS,
        ),
        {"data": "cityscapes"},
    ),
    "ADE20K": (
        folder(
            (f"{ADE20K}/images/validation/a.jpg", f"{ADE20K}/annotations/validation/a.png"),
            names=None, labels=mapped({0: 3, 1: 7, 255: 0}),
        ),
        {"data": "ade20k"},
    ),
}  # fmt: skip
FORMS = LAYOUTS | MASKS | CLASSES | PRESETS


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_to_the_same_labels(form: str, tmp_path: Path) -> None:
    write, settings = FORMS[form]
    write(tmp_path)
    source = opened(tmp_path, **settings)
    classes = torch.tensor([source.class_names.index("sky"), source.class_names.index("road")])
    labels = torch.from_numpy(LABELS).long()
    expected = torch.where(labels == 255, 255, classes[labels % 255])
    targets = source.held_out().targets.long()
    assert len(targets)
    for target in targets:
        torch.testing.assert_close(target, expected)


@pytest.mark.parametrize(("name", "names"), [("nyuv2", NAMES_13), ("nyuv2-40", NAMES_40)])
def test_nyuv2s_classes_are_listed_by_its_names(name: str, names: tuple[str, ...], tmp_path: Path) -> None:
    masks(names=None)(tmp_path)
    assert opened(tmp_path, class_names=name).class_names == names


def test_a_list_of_names_leaves_out_the_others(tmp_path: Path) -> None:
    folder(*OBJECTS, listed=VOC_LIST)(tmp_path)
    assert len(opened(tmp_path).held_out()) == 1


def test_pascal_voc_is_read_by_its_list_and_its_palette(tmp_path: Path) -> None:
    pair = (f"{VOC}/JPEGImages/a.jpg", f"{VOC}/SegmentationClass/a.png")
    for labels in (mapped({0: 2, 1: 6, 255: 255}), mapped({0: (0, 128, 0), 1: (0, 128, 128), 255: (0, 0, 0)})):
        folder(pair, names=None, labels=labels, listed=f"{VOC}/{VOC_LIST}")(tmp_path)
        source = opened(tmp_path, "voc")
        targets = source.held_out().targets[0]
        assert [source.class_names[targets[0, column]] for column in (0, 3)] == ["bicycle", "bus"]


@pytest.mark.parametrize("form", ["mmsegmentation", "patterns with splits", "a pattern each"])
def test_what_is_trained_on_is_another_split_or_refused(form: str, tmp_path: Path) -> None:
    write, settings = FORMS[form]
    write(tmp_path)
    if form == "patterns with splits":
        assert len(opened(tmp_path, **settings).training()) == 1
    else:
        with pytest.raises(UsageError, match="no train/ to train on"):
            opened(tmp_path, **settings).training()
