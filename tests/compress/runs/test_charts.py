"""Charts of what was measured."""

from pathlib import Path

from PIL import Image

from compress.runs.charts import class_bars


def test_a_class_that_a_model_has_no_number_for_has_no_bar(tmp_path: Path) -> None:
    whole = {"sky": 0.5, "road": 0.5}
    class_bars(tmp_path / "both.png", "iou", {"teacher": whole, "student": whole})
    class_bars(tmp_path / "one.png", "iou", {"teacher": whole, "student": {"road": 0.5}})
    pictures = [Image.open(tmp_path / name).convert("RGB") for name in ("both.png", "one.png")]
    assert pictures[0].size == pictures[1].size
    orange = [sum(pixel == (230, 159, 0) for pixel in picture.getdata()) for picture in pictures]
    assert orange[0] > orange[1] > 0


def test_of_very_many_classes_the_lowest_are_shown(tmp_path: Path) -> None:
    many = {f"class-{index}": index / 1000 for index in range(1000)}
    class_bars(tmp_path / "many.png", "accuracy", {"teacher": dict.fromkeys(many, 1.0), "student": many})
    with Image.open(tmp_path / "many.png") as picture:
        assert picture.height < 3000
