"""A bundle is what its card says: labels, a sample that is checked, a client, a server's configuration."""

import ast
import json
import re
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundles import NAMES, Bundled
from PIL import Image

from compress.export import OnnxModel
from compress.export.labels import in_words
from compress.framing import CROP_MODES, Framing


def run(script: Path, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a script as `python SCRIPT ARGUMENTS...` in its own folder, and return its exit code."""
    monkeypatch.chdir(script.parent)
    monkeypatch.setattr(sys, "argv", [script.name, *arguments])
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def imports(script: Path) -> set[str]:
    """Packages that a script imports, without the standard library's."""
    tree = ast.walk(ast.parse(script.read_text()))
    names = {alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names}
    tree = ast.walk(ast.parse(script.read_text()))
    names |= {str(node.module) for node in tree if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)


def test_the_smoke_test_needs_numpy_and_the_runtime_alone(bundles: Bundled) -> None:
    folder = bundles("maps float decision")
    assert imports(folder / "smoke_test.py") == {"numpy", "onnxruntime"}
    assert imports(folder / "client.py") == {"numpy", "onnxruntime", "PIL"}


FORMS = [
    f"{kind} {input} {output}"
    for kind in ("labels", "maps")
    for input, output in (("float", "decision"), ("uint8", "decision"), ("float", "probabilities"), ("float", "logits"))
]


@pytest.mark.parametrize("form", FORMS)
def test_the_smoke_test_of_an_unchanged_bundle_passes(
    form: str, bundles: Bundled, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bundles(form) / "smoke_test.py", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == "CPUExecutionProvider: ok, the output is the expected one\n"


def spoiled_decisions(folder: Path) -> None:
    classes = np.fromfile(folder / "sample" / "classes.bin", np.uint8)
    ((classes + 1) % 3).tofile(folder / "sample" / "classes.bin")


def spoiled_scores(folder: Path) -> None:
    scores = np.fromfile(folder / "sample" / "scores.bin", np.float32)
    (scores - 0.1).tofile(folder / "sample" / "scores.bin")


def spoiled_file(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    model.doc_string = "another"
    onnx.save(model, folder / "model.onnx")


def spoiled_size(folder: Path) -> None:
    values = np.fromfile(folder / "sample" / "images.bin", np.float32).reshape(1, 3, 32, 32)
    values[..., :16].copy().tofile(folder / "sample" / "images.bin")
    sample = json.loads((folder / "sample" / "sample.json").read_text())
    sample["input"]["shape"] = [1, 3, 32, 16]
    (folder / "sample" / "sample.json").write_text(json.dumps(sample))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (spoiled_decisions, "only 0.00% of the decisions are the same"),
        (spoiled_scores, "scores differ by 0.1"),
        (spoiled_file, "model.onnx is not the file that was exported"),
        (spoiled_size, r"classes is uint8 \[1, 32, 16\]"),
    ],
)
def test_the_smoke_test_fails_where_anything_differs(
    spoil, complaint: str, bundles: Bundled, tmp_path: Path, monkeypatch, capsys
) -> None:
    folder = shutil.copytree(bundles("maps float decision"), tmp_path / "copy")
    spoil(folder)
    assert run(folder / "smoke_test.py", monkeypatch=monkeypatch) == 1
    assert re.search(complaint, capsys.readouterr().out)


FRAMINGS = {
    **{mode: Framing(crop_mode=mode, crop_pct=1.0, interpolation="bilinear", fill=(9, 99, 199)) for mode in CROP_MODES},
    **{
        f"{mode} of more": Framing(crop_mode=mode, crop_pct=0.875, interpolation="bicubic", fill=(9, 99, 199))
        for mode in CROP_MODES
    },
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", [(40, 90), (90, 40), (20, 24)])
def test_the_python_client_shows_the_network_what_our_own_class_does(
    framing: str, size: tuple[int, int], bundles: Bundled, tmp_path: Path, monkeypatch, capsys
) -> None:
    folder = bundles("labels float decision", framing=FRAMINGS[framing])
    picture = Image.effect_noise(size, 90).convert("RGB")
    picture.paste((200, 60, 30), (0, 0, size[0] // 2, size[1] // 3))
    picture.save(tmp_path / "picture.png")
    assert run(folder / "client.py", str(tmp_path / "picture.png"), monkeypatch=monkeypatch) == 0
    (decision,) = OnnxModel(folder / "model.onnx")([picture])
    expected = [f"{score:.3f} {name}" for score, name in zip(decision.scores, decision.names, strict=True)]
    assert capsys.readouterr().out.splitlines() == expected


@pytest.mark.parametrize("form", ["maps float decision", "maps uint8 decision", "maps float logits"])
def test_the_python_client_counts_the_classes_of_a_map(form: str, bundles: Bundled, monkeypatch, capsys) -> None:
    folder = bundles(form)
    assert run(folder / "client.py", "sample/picture.png", monkeypatch=monkeypatch) == 0
    (decision,) = OnnxModel(folder / "model.onnx")([Image.open(folder / "sample" / "picture.png")])
    shares = {name: (decision.classes == index).mean() for index, name in enumerate(NAMES)}
    expected = [f"{share:.3f} {name}" for name, share in shares.items() if share]
    assert capsys.readouterr().out.splitlines() == expected


def test_labels_say_what_the_file_takes_and_answers(bundles: Bundled) -> None:
    for form in FORMS:
        folder = bundles(form)
        labels, session = json.loads((folder / "labels.json").read_text()), OnnxModel(folder / "model.onnx")._session
        assert [entry["name"] for entry in labels["classes"]] == list(NAMES)
        colours = [entry["colour"] for entry in labels["classes"]]
        assert colours == ([[255, 0, 0], [0, 255, 0], [0, 0, 255]] if form.startswith("maps") else [None] * 3)
        for port, actual in zip(
            [labels["input"], *labels["outputs"]], [*session.get_inputs(), *session.get_outputs()], strict=True
        ):
            assert (port["name"], port["shape"]) == (actual.name, actual.shape)
            assert port["type"] in actual.type.replace("float)", "float32)")


def test_preparations_are_told_in_words(bundles: Bundled) -> None:
    said = set()
    for framing in FRAMINGS.values():
        labels = json.loads((bundles("labels float decision", framing=framing) / "labels.json").read_text())
        words = in_words(labels["preprocessing"])
        assert words in (bundles("labels float decision", framing=framing) / "README.md").read_text().replace("\n", " ")
        said.add(words)
    assert len(said) == len(FRAMINGS)


PORT = re.compile(r'name: "(\w+)" data_type: TYPE_(\w+) dims: \[ ([-\d, ]+) \]')


@pytest.mark.parametrize("form", FORMS)
def test_the_servers_configuration_has_the_ports_of_the_file(form: str, bundles: Bundled) -> None:
    folder = bundles(form)
    text = (folder / "config.pbtxt").read_text()
    session = OnnxModel(folder / "model.onnx")._session
    types = {"tensor(float)": "FP32", "tensor(uint8)": "UINT8", "tensor(int64)": "INT64"}
    expected = [
        (port.name, types[port.type], [side if isinstance(side, int) else -1 for side in port.shape[1:]])
        for port in [*session.get_inputs(), *session.get_outputs()]
    ]
    ports = [(name, kind, [int(side) for side in dims.split(",")]) for name, kind, dims in PORT.findall(text)]
    assert ports == expected
    assert "max_batch_size: 64" in text


def test_a_file_of_a_fixed_batch_is_handed_over_with_as_many_images(
    bundles: Bundled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundles("maps float decision", batch=4)
    assert json.loads((folder / "sample" / "sample.json").read_text())["input"]["shape"] == [4, 3, 32, 32]
    assert "max_batch_size: 0" in (folder / "config.pbtxt").read_text()
    assert "dims: [ 4, 3, -1, -1 ]" in (folder / "config.pbtxt").read_text()
    assert run(folder / "smoke_test.py", monkeypatch=monkeypatch) == 0


def test_names_and_origins_of_others_stay_text_in_the_card(bundles: Bundled) -> None:
    names = ("a | b", "<script>alert(1)</script>", "[x](y)")
    origin = {"teacher": "``` <b>", "method": "kd"}
    folder = bundles("labels float decision", change=lambda card: replace(card, class_names=names, origin=origin))
    text = (folder / "README.md").read_text()
    assert r"a \| b, \<script\>alert(1)\</script\>, \[x\](y)" in text
    assert text.count("```") == 4  # the commands and the origin


@pytest.mark.parametrize("page", [False, True])
def test_the_card_lists_what_the_folder_holds(page: bool, bundles: Bundled) -> None:
    if page and isinstance(bundles.runtime, str):
        pytest.skip(bundles.runtime)
    folder = bundles("maps float decision", page=page)
    text = (folder / "README.md").read_text()
    listed = set(re.findall(r"^\| `([\w./]+)` \|", text, re.MULTILINE)) | {"README.md"}
    assert listed == {path.name + "/" * path.is_dir() for path in folder.iterdir()}
    assert ("page.html" in listed, "it was not asked for" in text) == (page, not page)
