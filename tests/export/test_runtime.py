"""`OnnxModel` answers pictures of every kind and size, or says in one line why it does not; without torch."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from compress.errors import UsageError
from compress.export import Form, OnnxModel, Order, export_verified
from compress.task import Deployable, TaskSpec

Shades = Callable[[bool], tuple[Deployable, TaskSpec]]
SOUND = {"schema_version": 1, "task": "", "class_names": ["a", "b"], "image_shape": [3, 8, 8], "image_size": 8}
RED, BLUE = (250, 5, 5), (5, 5, 250)


def halves(width: int, height: int) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(BLUE, (width // 2, 0, width, height))
    return picture


def written(network: tuple[Deployable, TaskSpec], path: Path, form: Form | None = None) -> OnnxModel:
    facts, _ = export_verified(*network, path, Order(form=form or Form()))
    return OnnxModel(facts.path)


@pytest.fixture(scope="module")
def files(shades: Shades, tmp_path_factory: pytest.TempPathFactory) -> dict[str, OnnxModel]:
    folder = tmp_path_factory.mktemp("shades")
    return {
        f"{kind} {input}": written(shades(kind == "maps"), folder / f"{kind}-{input}.onnx", Form(input))
        for kind in ("labels", "maps")
        for input in ("float", "uint8")
    }


@pytest.mark.parametrize("input", ["float", "uint8"])
def test_a_class_map_has_the_size_and_the_colours_of_its_picture(files: dict[str, OnnxModel], input: str) -> None:
    pictures = [halves(64, 40), halves(33, 71), halves(64, 40)]
    for picture, seen in zip(pictures, files[f"maps {input}"](pictures), strict=True):
        assert seen.classes.shape == picture.size[::-1]
        left, right = seen.classes[:, : picture.width // 3], seen.classes[:, -(picture.width // 3) :]
        assert (left == 0).all()
        assert (right == 2).all()
        assert seen.names == ("red", "blue")
        assert seen.picture().getpixel((0, 0)) == (255, 0, 0)
        assert (seen.scores > 1 / 3).all()


@pytest.mark.parametrize("input", ["float", "uint8"])
def test_a_classifier_names_the_best_class_first(files: dict[str, OnnxModel], input: str) -> None:
    (seen,) = files[f"labels {input}"](Image.new("RGB", (50, 20), BLUE))
    assert seen.names[0] == "blue"
    assert (np.diff(seen.scores) <= 0).all()
    with pytest.raises(UsageError, match="only class maps"):
        seen.picture()


def test_a_classifier_sees_the_central_square(files: dict[str, OnnxModel]) -> None:
    picture = Image.new("RGB", (90, 30), BLUE)
    picture.paste(RED, (30, 0, 60, 30))
    for input in ("float", "uint8"):
        assert files[f"labels {input}"](picture)[0].names[0] == "red"


def test_pillow_images_and_arrays_give_the_same(files: dict[str, OnnxModel]) -> None:
    picture = halves(40, 30)
    for name, model in files.items():
        one, other = model([picture, np.asarray(picture)])
        assert np.array_equal(one.classes, other.classes), name


@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_files_with_other_outputs_decide_as_well(output: str, shades: Shades, tmp_path: Path) -> None:
    for positions in (False, True):
        model = written(shades(positions), tmp_path / "model.onnx", Form(output=output))
        (seen,) = model(Image.new("RGB", (32, 32), BLUE))
        assert seen.names[0] == "blue"
        assert np.ravel(seen.scores)[0] > 0.5


SIDES = st.integers(0, 40)
TYPES = st.sampled_from(["uint8", "float32", "float64", "int32", "bool", "float16"])
SHAPES = st.one_of(
    st.tuples(st.integers(0, 3), st.just(3), SIDES, SIDES),
    st.tuples(st.integers(0, 3), SIDES, SIDES, st.just(3)),
    st.lists(SIDES, max_size=5).map(tuple),
)


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_an_array_gets_an_answer_or_one_clear_line(data: st.DataObject, files: dict[str, OnnxModel]) -> None:
    dtype, shape = data.draw(TYPES), data.draw(SHAPES)
    size = int(np.prod(shape))
    array = np.resize(data.draw(arrays.arrays(dtype, min(size, 16))), shape).astype(dtype)
    for name, model in files.items():
        whole = name.endswith("uint8")
        fits = array.ndim == 4 and array.size > 0 and array.shape[3 if whole else 1] == 3
        fits &= array.dtype == (np.uint8 if whole else np.float32)
        if fits and not whole:
            fits &= bool((array >= -0.01).all() and (array <= 1.01).all())
        if not fits:
            with pytest.raises(UsageError, match="images") as caught:
                model.run(array)
            assert "\n" not in str(caught.value)
            continue
        outputs = model.run(array)
        maps, side = name.startswith("maps"), slice(1, 3) if whole else slice(2, 4)
        assert outputs["classes"].shape == (len(array), *(array.shape[side] if maps else (3,)))
        assert np.isfinite(outputs["scores"]).all()


@pytest.mark.parametrize("picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), "photo.jpg", None, 3])
def test_what_is_no_picture_is_refused(files: dict[str, OnnxModel], picture: object) -> None:
    with pytest.raises(UsageError, match="a picture is"):
        files["maps float"]([picture])


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_a_broken_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(content)
    with pytest.raises(UsageError, match="onnxruntime cannot load") as caught:
        OnnxModel(tmp_path / "broken.onnx")
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_one_line(shades: Shades, tmp_path: Path) -> None:
    written(shades(False), tmp_path / "model.onnx")
    whole = (tmp_path / "model.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="onnxruntime cannot load"):
        OnnxModel(tmp_path / "cut.onnx")


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({}, "does not state its task"),
        ({"compress": "{}"}, "its card has no version"),
        ({"compress": "[]"}, "its card has no version"),
        ({"compress": '{"schema_version": 9}'}, "its card is of version 9"),
        ({"compress": '{"schema_version": 1}'}, "incomplete"),
        ({"compress": "no json"}, "cannot use"),
        ({"compress": json.dumps({**SOUND, "class_names": [1]})}, "class names"),
        ({"compress": json.dumps({**SOUND, "image_shape": [3, 0, 8]})}, "image shape"),
        ({"compress": json.dumps({**SOUND, "palette": [[0, 0, 0]]})}, "palette"),
    ],
)
def test_a_file_without_a_sound_card_is_refused_with_the_reason(
    entries: dict[str, str], complaint: str, tmp_path: Path
) -> None:
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.helper.set_model_props(model, entries)
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(UsageError, match=complaint):
        OnnxModel(tmp_path / "foreign.onnx")


def test_a_provider_that_does_not_run_is_an_error_and_not_a_silent_cpu(shades: Shades, tmp_path: Path) -> None:
    import torch

    written(shades(False), tmp_path / "model.onnx")
    if torch.cuda.is_available():
        assert OnnxModel(tmp_path / "model.onnx", provider="cuda").provider == "CUDAExecutionProvider"
        return
    with pytest.raises(UsageError, match="cuda"):
        OnnxModel(tmp_path / "model.onnx", provider="cuda")
    with pytest.raises(UsageError, match="unknown provider 'cdua'"):
        OnnxModel(tmp_path / "model.onnx", provider="cdua")


def test_it_runs_where_there_is_neither_torch_nor_timm(shades: Shades, tmp_path: Path) -> None:
    written(shades(True), tmp_path / "model.onnx")
    halves(20, 20).save(tmp_path / "picture.png")
    script = f"""
import sys
for name in ("torch", "torchvision", "timm", "segmentation_models_pytorch", "onnx", "pydantic", "cyclopts", "rich"):
    sys.modules[name] = None
from PIL import Image
from compress.export import OnnxModel
print(OnnxModel(r"{tmp_path / "model.onnx"}")(Image.open(r"{tmp_path / "picture.png"}"))[0].names)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "('red', 'blue')", done.stderr
