"""Which clients take which files of a run, how many decisions are onnxruntime's, and how long one image takes.

    python tests/benchmarks/clients.py RUN... [--images N] [--variant NAME]... [--client NAME]...

Clients that are not installed are left out: OpenVINO (the extra `openvino`), OpenCV (`opencv-python-headless`),
onnxruntime-node (in `node_modules` of the working directory), ONNX Runtime Web in node and as a bundle's page in
Chromium. The images are held-out ones of the run's embedded data. One thread, one image at a time; times are medians
of one run and say little on a busy machine. Results are one JSON a run under `results/clients/`, to which what is
missing is added; the table is printed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image
from tables import markdown

from compress.errors import CompressError, first_line
from compress.export import OnnxModel
from compress.export.bundle import Story, write_bundle
from compress.export.openvino import EXACT, OpenVinoModel, write_openvino
from compress.export.runtime import decided
from compress.export.web_runtime import web_runtime
from compress.runs.export import ExportOptions, export
from compress.storage.files import write_text
from compress.tasks.data import open_data
from compress.tasks.models.model_folder import load_model

RESULTS = Path(__file__).parent / "results" / "clients"
VARIANTS = {
    "fp32": ExportOptions(),
    "fp16": ExportOptions(precision="fp16"),
    "int8": ExportOptions(precision="int8"),
    "int8 for openvino": ExportOptions(precision="int8", target="openvino"),
    "fp32, uint8 input": ExportOptions(input="uint8"),
}
TWICE = 16
"""Images that OpenCV is shown twice: its answers to some networks are not always the same."""
NODE = Path(__file__).parent / "clients_node.mjs"
Array = NDArray[Any]
Answer = tuple[Array, float]
"""Decisions of each image, `[n, m]`, and milliseconds of one."""
Record = dict[str, Any]
Chosen = Callable[[str, str], bool]
"""Whether a variant is to be measured in a client."""


def timed(run: Callable[[Array], dict[str, Array]], images: Array, *, maps: bool) -> Answer:
    """What a client in this process answers, one image at a time."""
    run(images[:1])
    decisions, times = [], []
    for image in images:
        before = time.perf_counter()
        outputs = run(image[None])
        times.append(time.perf_counter() - before)
        classes = decided(outputs)[0][0]
        decisions.append(classes.ravel() if maps else classes[:1])
    return np.array(decisions), 1000 * float(np.median(times))


def by_onnxruntime(folder: Path, images: Array, *, maps: bool) -> Answer:
    """The client that others are compared with."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", settings, providers=["CPUExecutionProvider"])
    names, taken = [port.name for port in session.get_outputs()], session.get_inputs()[0].name
    return timed(lambda some: dict(zip(names, session.run(names, {taken: some}), strict=True)), images, maps=maps)


def by_openvino(folder: Path, images: Array, *, maps: bool, own_format: bool) -> Answer:
    """OpenVINO on the ONNX file, or on its own format."""
    EXACT.update(INFERENCE_NUM_THREADS="1")
    file = folder / "model.onnx"
    if own_format:
        file = folder / "model.xml"
        write_openvino(folder / "model.onnx", file)
    return timed(OpenVinoModel(file).run, images, maps=maps)


def by_opencv(folder: Path, images: Array, *, maps: bool) -> Answer:
    """OpenCV's own importer and engine."""
    import cv2

    cv2.setNumThreads(1)
    ports = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    names, taken = [port.name for port in ports.get_outputs()], ports.get_inputs()[0].name
    network = cv2.dnn.readNetFromONNX(str(folder / "model.onnx"))

    def run(some: Array) -> dict[str, Array]:
        network.setInput(some, taken)
        return dict(zip(names, network.forward(names), strict=True))

    decisions, milliseconds = timed(run, images, maps=maps)
    if not np.array_equal(timed(run, images[:TWICE], maps=maps)[0], decisions[:TWICE]):
        raise RuntimeError("it answers the same image differently the second time")
    return decisions, milliseconds


def by_node(folder: Path, images: Array, *, maps: bool, which: str) -> Answer:
    """ONNX Runtime Web, or onnxruntime-node, in node."""
    (folder / "images.bin").write_bytes(images.tobytes())
    shutil.copy(NODE, folder / "measure.mjs")
    command = ["node", "measure.mjs", which, str(Path.cwd())]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(next((line for line in done.stderr.splitlines() if "Error" in line), done.stderr[:120]))
    answer = json.loads(done.stdout)
    return np.array(answer["decisions"]), answer["milliseconds"]


def by_page(folder: Path, images: Array, *, maps: bool) -> Answer:
    """The page of the bundle in Chromium: pictures are chosen one by one, as a person does."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.get((folder / "page.html").as_uri())
        WebDriverWait(browser, 120).until(lambda _: browser.execute_script("return document.body.dataset.ready"))
        decisions, times = [], []
        for number, image in enumerate(images):
            shades = image if image.dtype == np.uint8 else (image.transpose(1, 2, 0) * 255).round().astype(np.uint8)
            Image.fromarray(shades).save(folder / f"{number}.png")
            browser.find_element("id", "file").send_keys(str(folder / f"{number}.png"))
            script = "const d = window.decision; window.decision = undefined; return d"
            answer = WebDriverWait(browser, 60).until(lambda _, script=script: browser.execute_script(script))
            decisions.append(answer["classes"] if maps else answer["classes"][:1])
            times.append(answer["milliseconds"])
        return np.array(decisions), float(np.median(times))
    finally:
        browser.quit()


def clients() -> Iterator[tuple[str, Callable[..., Answer], dict[str, Any]]]:
    """Name, function and settings of what is installed, onnxruntime first."""
    yield "onnxruntime", by_onnxruntime, {}
    if find_spec("openvino"):
        yield "OpenVINO, the ONNX file", by_openvino, {"own_format": False}
        yield "OpenVINO, its own format", by_openvino, {"own_format": True}
    if find_spec("cv2"):
        yield "OpenCV", by_opencv, {}
    if shutil.which("node"):
        if Path("node_modules/onnxruntime-node").is_dir():
            yield "onnxruntime-node", by_node, {"which": "node"}
        yield "ONNX Runtime Web in node", by_node, {"which": "web"}
    if shutil.which("chromium") and shutil.which("chromedriver"):
        yield "the page in Chromium", by_page, {}


def measured(run: Path, count: int, chosen: Chosen, records: list[Record]) -> Iterator[Record]:
    """One record a variant and client that is chosen and of which there is none yet."""
    card = load_model(run)[1]
    held_out = open_data(card.data, card.task).held_out()
    images, maps = (held_out.images[:count].float() / 255).numpy(), card.task == "segmentation"
    for variant, options in VARIANTS.items():
        there = {record["client"] for record in records if record["variant"] == variant}
        missing = [client for client in clients() if client[0] not in there and chosen(variant, client[0])]
        if not missing:
            continue
        with TemporaryDirectory() as folder:
            place = Path(folder) / "bundle"
            place.mkdir()
            try:
                export(run, Path(folder) / "model.onnx", options).require()
            except CompressError as error:
                yield {"variant": variant, "client": "", "refusal": first_line(error, 200)}
                continue
            write_bundle(place, Path(folder) / "model.onnx", images[:1], Story("measured", []), web_runtime(fetch=True))
            values = OnnxModel(place / "model.onnx").as_input(images)
            expected = by_onnxruntime(place, values, maps=maps)[0]
            for name, answer, more in missing:
                record = {"variant": variant, "client": name, **answered(answer, place, values, maps=maps, **more)}
                decisions = record.pop("decisions", None)
                if decisions is not None:
                    record["same decisions"] = float(np.mean(decisions == expected))
                    record["images"] = len(decisions)
                print(record, flush=True)
                yield record


def answered(answer: Callable[..., Answer], place: Path, values: Array, **more: Any) -> dict[str, Any]:
    """The decisions and the time, or why there are none."""
    try:
        decisions, milliseconds = answer(place, values, **more)
    except Exception as error:  # clients raise many types
        return {"failure": first_line(error, 200)}
    return {"decisions": decisions, "milliseconds": round(milliseconds, 3)}


def row(run: str, record: Record) -> list[str]:
    """A line of the table."""
    said = record.get("refusal") or record.get("failure")
    if said:
        return [run, record["variant"], record["client"], "no", said, ""]
    same = f"{100 * record['same decisions']:.2f} %"
    return [run, record["variant"], record["client"], "yes", same, f"{record['milliseconds']:.2f}"]


def main() -> None:
    """Measure each run once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS))
    parser.add_argument("--client", action="append")
    arguments = parser.parse_args()

    def chosen(variant: str, client: str) -> bool:
        return variant in (arguments.variant or VARIANTS) and client in (arguments.client or [client])

    rows = list[list[str]]()
    for run in arguments.runs:
        kept = RESULTS / f"{run.name}.json"
        records = json.loads(kept.read_text()) if kept.is_file() else []
        for record in measured(run, arguments.images, chosen, list(records)):
            records.append(record)
            write_text(kept, json.dumps(records, indent=1) + "\n")
        rows += [row(run.name, record) for record in records]
    print(markdown(["run", "variant", "client", "loads", "decisions as onnxruntime's", "ms"], rows))


if __name__ == "__main__":
    main()
