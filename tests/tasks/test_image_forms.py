"""Photographs and folders as people have them: formats, orientations, nested folders, links, what lies beside."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from compress.errors import UsageError
from compress.framing import CENTRAL_SQUARE, upright, upright_size
from compress.tasks.data import DataSource, open_data
from compress.tasks.data.image_folder import read_image
from compress.tasks.data.source import Place

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What a camera that is held so stores of an upright picture, by EXIF orientation."""


def photograph(height: int = 12, width: int = 20) -> Image.Image:
    ramps = np.indices((height, width)).transpose(1, 2, 0) * 10
    return Image.fromarray(np.dstack([ramps, np.full((height, width), 99)]).astype(np.uint8))


def as_stored(picture: Image.Image, orientation: int, file: Path, **options: object) -> Path:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    turned = picture.transpose(TURNS[orientation]) if orientation in TURNS else picture
    turned.save(file, exif=exif, **options)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        photograph().save(tmp_path / "data" / name / "a.png")
    return tmp_path / "data"


def open_folder(root: Path, **place: object) -> DataSource:
    return open_data("image-folder", "classification", usual=Place(image_size=8, **place), root=root)


@pytest.mark.parametrize(
    ("ending", "form"),
    [
        ("png", "PNG"), ("PNG", "PNG"), ("jpg", "JPEG"), ("jpeg", "JPEG"), ("jpe", "JPEG"), ("jfif", "JPEG"),
        ("webp", "WEBP"), ("bmp", "BMP"), ("tif", "TIFF"), ("tiff", "TIFF"), ("gif", "GIF"),
        ("jpg", "PNG"),  # by its content, whatever its name says
    ],
)  # fmt: skip
def test_every_usual_format_is_read(folder: Path, ending: str, form: str) -> None:
    file = folder / "dog" / f"b.{ending}"
    photograph().save(file, form)
    held_out = open_folder(folder).held_out()
    assert held_out.targets.tolist() == [0, 1, 1]
    assert (held_out.images[2].int() - held_out.images[1].int()).abs().max() <= (30 if form in {"JPEG", "WEBP"} else 1)


def test_of_several_pictures_in_a_file_the_first_is_read(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 8), (250, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 250))
    for name in ("x.gif", "x.tiff", "x.webp"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        assert read_image(tmp_path / name, 8, CENTRAL_SQUARE)[0].float().mean() > 200


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_the_same_however_the_camera_was_held(tmp_path: Path, orientation: int, ending: str) -> None:
    options = {"quality": 100, "subsampling": 0} if ending == "jpg" else {"lossless": True} if ending == "webp" else {}
    file = as_stored(photograph(), orientation, tmp_path / f"turned.{ending}", **options)
    expected = np.asarray(photograph()).astype(int)
    with Image.open(file) as stored:
        assert upright_size(stored) == (12, 20)
        assert np.abs(np.asarray(upright(stored).convert("RGB")) - expected).max() <= 4
    with Image.open(file) as stored:
        assert np.array_equal(np.asarray(upright(stored)), np.asarray(ImageOps.exif_transpose(stored)))


@pytest.mark.parametrize("value", [0, 9, 77, "nonsense"])
def test_an_orientation_that_makes_no_sense_is_none(tmp_path: Path, value: object) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation if isinstance(value, int) else ExifTags.Base.Make] = value
    photograph().save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as stored:
        assert upright(stored).size == (20, 12)


def test_broken_exif_data_do_not_hide_a_photograph(tmp_path: Path) -> None:
    photograph().save(tmp_path / "x.jpg", exif=b"Exif\0\0garbage that is no TIFF")
    assert read_image(tmp_path / "x.jpg", 8, CENTRAL_SQUARE).shape == (3, 8, 8)


def test_nested_folders_belong_to_the_class_on_top(folder: Path) -> None:
    deep = folder / "cat" / "siamese" / "2024"
    deep.mkdir(parents=True)
    photograph().save(deep / "b.png")
    assert open_folder(folder).held_out().targets.tolist() == [0, 0, 1]


def test_what_is_no_image_is_counted_in_one_line(folder: Path) -> None:
    for name in ("notes.txt", "labels.txt", "phone.heic", ".hidden", "Thumbs.db"):
        (folder / "dog" / name).write_text("no image")
    (folder / "__MACOSX").mkdir()
    source = open_folder(folder)
    assert source.class_names == ("cat", "dog")
    assert source.held_out().notes == ("3 files are no images and passed over: 2 .txt, 1 .heic",)
    (folder / "dog" / "a.png").unlink()
    with pytest.raises(UsageError, match=r"holds no png.*3 files are no images"):
        open_folder(folder).held_out()


@pytest.mark.parametrize("split", ["test", "val", "valid", "validation"])
@pytest.mark.parametrize("training", ["train", "training"])
def test_splits_go_by_their_usual_names(tmp_path: Path, split: str, training: str) -> None:
    for name in (f"{split}/cat", f"{split}/dog", f"{training}/cat", f"{training}/dog"):
        (tmp_path / name).mkdir(parents=True)
        photograph().save(tmp_path / name / "a.png")
    source = open_folder(tmp_path)
    assert len(source.held_out()) == len(source.training()) == 2


def test_links_inside_the_folder_are_followed_and_others_only_if_they_may(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    photograph().save(outside / "secret.png")
    (folder / "dog" / "same.png").symlink_to(folder / "cat" / "a.png")
    (folder / "emu").symlink_to(folder / "cat")
    assert open_folder(folder).held_out().targets.tolist() == [0, 1, 1, 2]
    for link, target in ((folder / "dog" / "b.png", outside / "secret.png"), (folder / "cow", outside)):
        link.symlink_to(target)
        with pytest.raises(UsageError, match=r"leads out of .*`follow_links`"):
            open_folder(folder).held_out()
        assert len(open_folder(folder, follow_links=True).held_out()) > 4
        link.unlink()


def test_a_folder_that_is_linked_into_itself_is_read_once(folder: Path) -> None:
    (folder / "cat" / "again").symlink_to(folder / "cat")
    assert open_folder(folder).held_out().targets.tolist() == [0, 1]


NUMBERS = [str(number) for number in range(1, 13)]


@pytest.mark.parametrize("names", [NUMBERS, ["b", "C", "a"], ["img10", "img9"]], ids=["numbers", "case", "numbered"])
def test_the_two_orders_of_class_folders_are_those_of_torchvision_and_timm(tmp_path: Path, names: list[str]) -> None:
    from timm.data.readers.reader_image_folder import find_images_and_targets
    from torchvision.datasets.folder import find_classes

    for name in names:
        (tmp_path / name).mkdir()
        photograph().save(tmp_path / name / "a.png")
    text = open_folder(tmp_path)
    assert text.class_names == tuple(find_classes(tmp_path)[0])
    assert open_folder(tmp_path, class_order="natural").class_names == tuple(find_images_and_targets(tmp_path)[1])
    assert "`class_order` natural" in text.notes[0]
    assert open_folder(tmp_path, class_order="text").notes == ()


def test_folders_that_both_order_alike_are_not_spoken_of(folder: Path) -> None:
    assert open_folder(folder).notes == ()


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    (tmp_path / "classes.txt").write_text("left\nright\n")
    return tmp_path


def pair(root: Path, picture: Image.Image, orientation: int, mask: Image.Image) -> torch.Tensor:
    """The image's red channel `[h, w]` as it is read beside its mask, both enlarged to no other size."""
    as_stored(picture, orientation, root / "images" / "a.png")
    mask.save(root / "masks" / "a.png")
    source = open_data("mask-folder", "segmentation", root)
    return source.held_out().images[0, 0]


def test_beside_a_mask_the_orientation_is_applied_if_the_turned_image_has_its_size(masks: Path) -> None:
    read = pair(masks, photograph(), 6, Image.new("L", (20, 12)))
    assert torch.equal(read, torch.from_numpy(np.asarray(photograph())[..., 0].copy()))


def test_beside_a_mask_the_orientation_is_left_if_the_stored_image_has_its_size(masks: Path) -> None:
    read = pair(masks, photograph(), 6, Image.new("L", (12, 20)))
    stored = np.asarray(photograph().transpose(TURNS[6]))[..., 0].copy()
    assert torch.equal(read, torch.from_numpy(stored))


@pytest.mark.parametrize(("size", "orientation", "said"), [((12, 12), 6, 1), ((20, 12), 3, 1), ((12, 12), 1, 0)])
def test_where_a_mask_fits_both_ways_it_is_said(
    masks: Path, size: tuple[int, int], orientation: int, said: int
) -> None:
    pair(masks, photograph(size[1], size[0]), orientation, Image.new("L", size))
    notes = open_data("mask-folder", "segmentation", masks).held_out().notes
    assert sum("EXIF" in note for note in notes) == said


def test_a_mask_of_neither_size_is_refused(masks: Path) -> None:
    with pytest.raises(UsageError, match="must have the same size"):
        pair(masks, photograph(), 6, Image.new("L", (13, 20)))
