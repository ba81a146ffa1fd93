"""The JavaScript of a bundle, run by node: pictures are prepared and outputs decided as in Python."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bundles import NAMES, Bundled
from PIL import Image

from compress.export import OnnxModel, web_runtime
from compress.export.card import FileCard
from compress.export.labels import preparation_of
from compress.framing import CROP_MODES, INTERPOLATIONS, Framing

CLIENTS = Path(web_runtime.__file__).parent / "clients"


@pytest.fixture(scope="session")
def node() -> str:
    """The program that runs JavaScript outside a browser."""
    program = shutil.which("node")
    return program or pytest.skip("node is not installed")


RESIZES = """
import { readFileSync, writeFileSync } from "node:fs";
import { shown } from "CLIENTS/pictures.mjs";
for (const [at, one] of JSON.parse(readFileSync("cases.json")).entries()) {
  const { bytes } = shown({ data: readFileSync(`${at}.rgba`), width: one.width, height: one.height }, one.preparation);
  writeFileSync(`${at}.rgb`, bytes);
}
"""


def twice_resized(picture: Image.Image, framing: Framing, size: tuple[int, int]) -> np.ndarray:
    """As `Framing.image`, across first and then down, which Pillow leaves open."""
    steps, filter = framing.geometry((picture.height, picture.width), size), framing.interpolation.upper()
    across = picture.resize((steps.resized[1], picture.height), Image.Resampling[filter])
    whole = across.resize((steps.resized[1], steps.resized[0]), Image.Resampling[filter])
    shown = Image.new("RGB", size[::-1], framing.fill)
    shown.paste(whole, (-steps.left, -steps.top))
    return np.asarray(shown)


def test_pictures_are_resized_and_cropped_in_javascript_as_pillow_does_it(node: str, tmp_path: Path) -> None:
    rng, cases, expected = np.random.default_rng(0), [], []
    for at in range(72):
        framing = Framing(
            crop_mode=CROP_MODES[at % 3],
            crop_pct=(1.0, 0.875)[at // 36],
            interpolation=INTERPOLATIONS[at % 6],
            fill=(9, 99, 199),
        )
        height, width = (int(side) for side in rng.integers(5, 90, 2))
        size = (24, 24) if at % 4 else (18, 30)
        pixels = rng.integers(0, 2, (height, width, 4), dtype=np.uint8) * 255
        (tmp_path / f"{at}.rgba").write_bytes(pixels.tobytes())
        card = FileCard(
            task="classification", class_names=NAMES, image_shape=(3, *size), image_size=None, framing=framing
        )
        cases.append({"width": width, "height": height, "preparation": preparation_of(card)})
        expected.append(twice_resized(Image.fromarray(pixels[..., :3]), framing, size))
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    (tmp_path / "resize.mjs").write_text(RESIZES.replace("CLIENTS", CLIENTS.as_uri()))
    subprocess.run([node, "resize.mjs"], cwd=tmp_path, check=True)
    for at, image in enumerate(expected):
        assert np.fromfile(tmp_path / f"{at}.rgb", np.uint8).tobytes() == image.tobytes(), cases[at]


def test_the_client_in_node_answers_the_sample_as_python_does(node: str, with_page: Bundled) -> None:
    folder = with_page("maps float decision", page=True)
    shown = subprocess.run([node, "client.mjs"], cwd=folder, check=True, capture_output=True, text=True).stdout
    (decision,) = OnnxModel(folder / "model.onnx")([Image.open(folder / "sample" / "picture.png")])
    rows = {name: float(share) for share, name in (line.split() for line in shown.splitlines())}
    assert rows == {name: pytest.approx((decision.classes == i).mean(), abs=6e-4) for i, name in enumerate(NAMES)}


OUTPUTS = """
import { decisionOf } from "CLIENTS/pictures.mjs";
const values = new Float32Array([1, 5, 2, 4, 2, 3, 3, 1, 0, 0, 0, 2]), big = new BigInt64Array([1n, 0n]);
const maps = { task: "segmentation", classes: [1, 2, 3] }, labels = { task: "classification", classes: [1, 2, 3] };
console.log(JSON.stringify([
  decisionOf({ logits: { data: values, dims: [1, 3, 2, 2] } }, maps),
  decisionOf({ logits: { data: new Float32Array([1, 3, 2]), dims: [1, 3] } }, labels),
  decisionOf({ probabilities: { data: new Float32Array([0.1, 0.2, 0.7]), dims: [1, 3] } }, labels),
  decisionOf({ classes: { data: big }, scores: { data: new Float32Array([0.75, 0.25]) } }, labels),
]));
"""


def test_outputs_of_every_form_become_decisions_in_javascript(node: str, tmp_path: Path) -> None:
    (tmp_path / "outputs.mjs").write_text(OUTPUTS.replace("CLIENTS", CLIENTS.as_uri()))
    shown = subprocess.run([node, "outputs.mjs"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    maps, logits, probabilities, decision = json.loads(shown)
    assert (maps["classes"], maps["size"]) == ([1, 0, 1, 0], [2, 2])
    assert logits["classes"] == [1, 2, 0]
    assert logits["scores"] == pytest.approx(np.exp([0, -1, -2]) / np.exp([0, -1, -2]).sum())
    assert probabilities["classes"] == [2, 1, 0]
    assert (decision["classes"], decision["scores"]) == ([1, 0], [0.75, 0.25])
