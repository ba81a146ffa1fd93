"""The page of a bundle in a real browser: it decides as Python does, requests nothing and checks itself."""

import json
import shutil
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
from bundles import Bundled
from onnx import numpy_helper
from PIL import Image

from compress.export import OnnxModel
from compress.export.card import FileCard
from compress.export.runtime import prepared

HOSTILE = ("red", "</script><script>document.title='hacked'</script>", "<img src=x onerror='document.title=1'>")
LOADED = "return document.body.dataset.ready"
DECISION = "const d = window.decision; window.decision = undefined; return d"


def opened(browser: Any, address: str) -> str:
    """Open a page, wait until it is ready, and return its own verdict."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(address)
    WebDriverWait(browser, 60).until(lambda _: browser.execute_script(LOADED))
    return str(browser.execute_script(LOADED))


def dropped(browser: Any, picture: Path) -> dict[str, Any]:
    """The page's decision for a picture chosen in its file dialog."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.find_element("id", "file").send_keys(str(picture))
    return WebDriverWait(browser, 30).until(lambda _: browser.execute_script(DECISION))


def requested(browser: Any) -> set[str]:
    """Addresses requested since the last call, without those of the page's own parts."""
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
    requested(browser)
    assert opened(browser, (folder / "page.html").as_uri()) == "yes"
    (decision,) = OnnxModel(folder / "model.onnx")([photograph(tmp_path / "picture.png")])
    shown = dropped(browser, tmp_path / "picture.png")
    assert shown["classes"] == decision.classes.tolist()
    assert shown["scores"] == pytest.approx(decision.scores.tolist(), abs=1e-4)
    answer = browser.find_element("id", "answer").text
    assert answer.startswith("red\n")
    assert HOSTILE[1] in answer  # as text
    assert browser.title == "street"
    assert requested(browser) == {(folder / "page.html").as_uri()}
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
    browser.get_log("browser")  # there is no favicon on this server: other tests must not find that in the log
