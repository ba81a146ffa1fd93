"""The clients of a bundle in JavaScript, as node and a real browser run them, and the runtime that they need."""

import json
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bundles import NAMES, Bundled
from onnx import numpy_helper
from PIL import Image

from compress.errors import UsageError
from compress.export import OnnxModel, web_runtime
from compress.export.card import FileCard
from compress.export.labels import preparation_of
from compress.export.runtime import prepared
from compress.framing import CROP_MODES, INTERPOLATIONS, Framing

CLIENTS = Path(web_runtime.__file__).parent / "clients"
HOSTILE = ("red", "</script><script>document.title='hacked'</script>", "<img src=x onerror='document.title=1'>")
LOADED = "return document.body.dataset.ready"
DECISION = "const d = window.decision; window.decision = undefined; return d"


@pytest.fixture(scope="session")
def node() -> str:
    """The program."""
    found = shutil.which("node")
    return found or pytest.skip("node is not installed")


@pytest.fixture
def with_page(bundles: Bundled) -> Bundled:
    """Where there is a runtime for the page."""
    if isinstance(bundles.runtime, str):
        pytest.skip(bundles.runtime)
    return bundles


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
        framing = Framing(CROP_MODES[at % 3], (1.0, 0.875)[at // 36], INTERPOLATIONS[at % 6], (9, 99, 199))
        height, width = (int(side) for side in rng.integers(5, 90, 2))
        size = (24, 24) if at % 4 else (18, 30)
        pixels = rng.integers(0, 2, (height, width, 4), dtype=np.uint8) * 255
        (tmp_path / f"{at}.rgba").write_bytes(pixels.tobytes())
        card = FileCard("classification", NAMES, (3, *size), None, framing=framing)
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


def opened(browser: Any, address: str) -> str:
    """Open a page and wait until it is ready; what it says of itself."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(address)
    WebDriverWait(browser, 60).until(lambda _: browser.execute_script(LOADED))
    return str(browser.execute_script(LOADED))


def dropped(browser: Any, picture: Path) -> dict[str, Any]:
    """The page's decision for a picture that is chosen."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.find_element("id", "file").send_keys(str(picture))
    return WebDriverWait(browser, 30).until(lambda _: browser.execute_script(DECISION))


def asked(browser: Any) -> set[str]:
    """Addresses that were asked for since this was last called, but those of the page's own parts."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    addresses = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    return {address for address in addresses if not address.startswith(("data:", "blob:"))}


def photograph(path: Path) -> Image.Image:
    """Blocks of colour, most of them red, saved without loss."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 200, (5, 6, 3), np.uint8)
    blocks[:, :3, 0] = 255
    picture = Image.fromarray(blocks).resize((57, 40), Image.Resampling.BICUBIC)
    picture.save(path)
    return picture


def named_by_others(card: FileCard) -> FileCard:
    return replace(card, class_names=HOSTILE)


def test_the_page_of_a_classifier_names_what_python_names(browser: Any, with_page: Bundled, tmp_path: Path) -> None:
    folder = with_page("labels float decision", change=named_by_others, page=True)
    asked(browser)
    assert opened(browser, (folder / "page.html").as_uri()) == "yes"
    (decision,) = OnnxModel(folder / "model.onnx")([photograph(tmp_path / "picture.png")])
    shown = dropped(browser, tmp_path / "picture.png")
    assert shown["classes"] == decision.classes.tolist()
    assert shown["scores"] == pytest.approx(decision.scores.tolist(), abs=1e-4)
    answer = browser.find_element("id", "answer").text
    assert answer.startswith("red\n")
    assert HOSTILE[1] in answer  # as text
    assert browser.title == "street"
    assert asked(browser) == {(folder / "page.html").as_uri()}
    assert browser.get_log("browser") == []


PIXEL = "return [...document.getElementById('mask').getContext('2d').getImageData(2, 2, 1, 1).data]"


def test_the_page_of_a_segmenter_shows_the_mask_that_python_makes(
    browser: Any, with_page: Bundled, tmp_path: Path
) -> None:
    folder = with_page("maps float decision", page=True)
    assert opened(browser, (folder / "page.html").as_uri()) == "yes"
    picture = photograph(tmp_path / "picture.png")
    shown = dropped(browser, tmp_path / "picture.png")
    model = OnnxModel(folder / "model.onnx")
    classes = model.run(prepared(picture, model.card)[None])["classes"][0]
    assert shown["size"] == list(classes.shape)
    assert np.mean(np.ravel(classes) == shown["classes"]) > 0.995
    assert browser.execute_script(PIXEL) == [255, 0, 0, 255]
    assert browser.find_element("css selector", "#answer li").text.startswith("red")


def test_a_page_whose_network_answers_otherwise_says_so(browser: Any, with_page: Bundled, tmp_path: Path) -> None:
    folder = shutil.copytree(with_page("maps float decision", page=True), tmp_path / "copy")
    model = onnx.load(folder / "model.onnx")
    for weights in model.graph.initializer:
        if len(weights.dims) == 4:
            weights.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weights), weights.name))
    text, own = (folder / "page.html").read_text(), (folder / "model.onnx").read_bytes()
    assert encoded(own) in text
    (folder / "page.html").write_text(text.replace(encoded(own), encoded(model.SerializeToString())))
    assert opened(browser, (folder / "page.html").as_uri()) == "no"
    assert "Do not trust this page" in browser.find_element("id", "status").text


def encoded(content: bytes) -> str:
    import base64

    return base64.b64encode(content).decode()


@pytest.fixture
def served(with_page: Bundled) -> Iterator[tuple[Path, str]]:
    """A bundle, and its address on a server of static files."""
    folder = with_page("maps float decision", page=True)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_snippet_for_a_page_of_ones_own_names_what_python_names(browser: Any, served: tuple[Path, str]) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    folder, address = served
    browser.get(f"{address}/client.html?sample/picture.png")
    WebDriverWait(browser, 30).until(lambda _: browser.find_element("id", "answer").text != "...")
    (decision,) = OnnxModel(folder / "model.onnx")([Image.open(folder / "sample" / "picture.png")])
    assert browser.find_element("id", "answer").text.splitlines() == list(decision.names)


def installed(folder: Path, version: str) -> Path:
    """A folder with `node_modules/onnxruntime-web` of empty files."""
    package = folder / "node_modules" / "onnxruntime-web"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"version": version}))
    for name in (web_runtime.CODE, web_runtime.WASM):
        (package / "dist" / name).write_text("")
    return package


def test_an_installed_runtime_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = installed(tmp_path, "1.29.0")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    found = web_runtime.web_runtime(fetch=False)
    assert (found.folder, found.version) == (package, "1.29.0")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no installed runtime, and an empty folder of programs."""
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NODE_PATH", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def npm(folder: Path, script: str) -> None:
    """A program of that name."""
    program = folder / "bin" / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_runtime_that_cannot_be_had_is_told_in_a_line(nowhere: Path) -> None:
    with pytest.raises(UsageError, match="onnxruntime-web is not installed: run `npm install onnxruntime-web`"):
        web_runtime.web_runtime(fetch=False)
    with pytest.raises(UsageError, match="npm is not there to fetch it"):
        web_runtime.web_runtime(fetch=True)
    npm(nowhere, "exit 1")
    with pytest.raises(UsageError, match=r"npm cannot fetch onnxruntime-web 1\.30\.0.* where there is a network"):
        web_runtime.web_runtime(fetch=True)


def test_another_package_than_the_registry_states_is_not_used(nowhere: Path) -> None:
    with tarfile.open(nowhere / "other.tgz", "w:gz") as archive:
        archive.add(installed(nowhere / "elsewhere", "1.30.0"), "package")
    npm(nowhere, f'/bin/cp {nowhere}/other.tgz "$4"')
    with pytest.raises(UsageError, match="its SHA-512 is another one"):
        web_runtime.web_runtime(fetch=True)
    assert not (nowhere / "cache").exists()


def test_the_licence_comes_along(with_page: Bundled) -> None:
    folder = with_page("maps float decision", page=True)
    assert "MIT License" in (folder / "runtime" / "LICENSE").read_text()
    assert (folder / "runtime" / "ThirdPartyNotices.txt").stat().st_size > 1000
