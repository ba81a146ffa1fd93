"""A bundle: a folder with an ONNX file, its labels, a sample with the expected output, clients, a page and a card."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .demo_page import page_html
from .labels import in_words, labels_of, preparation_of
from .runtime import OnnxModel, decided
from .templates import CLIENTS, rendered
from .triton import triton_config
from .web_runtime import CODE, NOTICES, WASM, WebRuntime, notices

Array = NDArray[Any]
SAME_ELSEWHERE = {"fp32": (0.999, 1e-3), "fp16": (0.995, 2e-2), "int8": (0.99, 0.1)}
"""Tolerances on other processors: least share of equal decisions, and largest difference of scores relative to the
largest score."""
WRITTEN = (
    "README.md", "client.cpp", "client.html", "client.mjs", "client.py", "config.pbtxt", "labels.json", "model.onnx",
    "page.html", "pictures.mjs", "smoke_test.py", *(f"runtime/{name}" for name in (CODE, WASM, *NOTICES)),
    "sample/picture.png", "sample/sample.json", "sample/images.bin", "sample/pixels.bin", "sample/classes.bin",
    "sample/scores.bin", "sample/probabilities.bin", "sample/logits.bin",
)  # fmt: skip
"""All names in a bundle, in each form of file, without its marker file."""
FOLDERS = ("runtime", "sample")
USES = {
    "model.onnx": "the network: normalisation and padding are inside",
    "labels.json": "classes with colours, input, preprocessing of pictures, outputs",
    "sample/": "an input as raw bytes, the expected output, their types and shapes, and the picture",
    "smoke_test.py": "checks that the file returns the expected output for the sample; needs numpy and onnxruntime",
    "client.py": "classifies or segments a picture with onnxruntime and Pillow",
    "client.cpp": "the same in C++, for the sample, with OpenVINO",
    "config.pbtxt": "for NVIDIA's Triton Inference Server",
    "pictures.mjs": "preprocessing and postprocessing in JavaScript",
    "client.mjs": "classifies or segments the sample in node",
    "client.html": "example of a web page that classifies or segments a picture",
    "page.html": "a page that classifies or segments a photograph dropped on it; needs no server and no network",
    "runtime/": "ONNX Runtime Web with its licence",
}


@dataclass(frozen=True)
class Story:
    """Facts for the card of a bundle that its ONNX file does not have."""

    name: str
    checks: Sequence[str]
    """The comparisons that the file passed, a line each."""


def write_bundle(folder: Path, file: Path, image: Array, story: Story, runtime: WebRuntime | str) -> None:
    """Write all files of a bundle of `file` into an empty folder.

    `image` is float32 `[1, 3, h, w]` in [0, 1] with 256 shades; it is repeated for a file of a fixed batch. `runtime`
    runs the page and the JavaScript clients, or is the reason why they are left out.
    """
    copyfile(file, folder / "model.onnx")
    model = OnnxModel(folder / "model.onnx")
    labels = labels_of(model)
    batch = labels["input"]["shape"][0]
    sample = _write_sample(folder, model, np.repeat(image, batch if isinstance(batch, int) else 1, axis=0))
    texts = {
        "labels.json": json.dumps(labels, indent=1, ensure_ascii=False) + "\n",
        "config.pbtxt": triton_config(labels),
        "smoke_test.py": (CLIENTS / "smoke_test.py").read_text(encoding="utf-8"),
        "client.py": rendered("client.py.jinja", **_python_facts(labels)),
        "client.cpp": rendered("client.cpp.jinja", **_cpp_facts(labels, sample)),
    }
    if isinstance(runtime, WebRuntime):
        texts |= _for_the_web(folder, model, labels, sample, story, runtime)
    texts["README.md"] = _card(model, labels, story, runtime)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _write_sample(folder: Path, model: OnnxModel, images: Array) -> dict[str, Any]:
    """Write `sample/` and return the content of sample.json."""
    place = folder / "sample"
    place.mkdir()
    values = model.as_input(images)
    answers = model.run(values)
    least, tolerance = SAME_ELSEWHERE[model.card.precision]
    name = "pixels" if model.card.input == "uint8" else "images"
    sample = {
        "input": _stored(place, name, values),
        "outputs": [_stored(place, output, answer) for output, answer in answers.items()],
        "least_equal": least,
        "tolerance": tolerance,
        "sha256": hashlib.sha256(model.path.read_bytes()).hexdigest(),
    }
    (place / "sample.json").write_text(json.dumps(sample, indent=1) + "\n", encoding="utf-8")
    shades = (images[0].transpose(1, 2, 0) * 255).round().astype(np.uint8)
    Image.fromarray(shades).save(place / "picture.png")
    return sample


def _stored(place: Path, name: str, values: Array) -> dict[str, Any]:
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    (place / f"{name}.bin").write_bytes(little.tobytes())
    return {"name": name, "file": f"{name}.bin", "type": values.dtype.name, "shape": list(values.shape)}


def _python_facts(labels: Mapping[str, Any]) -> dict[str, Any]:
    steps = labels["preprocessing"]
    return {
        "mode": steps["mode"],
        "shorter": steps.get("shorter"),
        "resize": steps.get("resize"),
        "size": steps.get("size"),
        "fill": tuple(steps.get("fill", ())),
        "filter": steps.get("interpolation", "bilinear").upper(),
        "uint8": labels["input"]["type"] == "uint8",
        "input": labels["input"]["name"],
        "output": labels["output"],
        "maps": labels["task"] == "segmentation",
    }


def _cpp_facts(labels: Mapping[str, Any], sample: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "element": "u8" if labels["input"]["type"] == "uint8" else "f32",
        "shape": ", ".join(map(str, sample["input"]["shape"])),
        "input": labels["input"]["name"],
        "answer": labels["outputs"][0]["name"],
    }


def _for_the_web(
    folder: Path,
    model: OnnxModel,
    labels: Mapping[str, Any],
    sample: Mapping[str, Any],
    story: Story,
    runtime: WebRuntime,
) -> dict[str, str]:
    """Write `runtime/` and return the texts of the files that use it, by name."""
    place = folder / "runtime"
    place.mkdir()
    for name, content in ({CODE: runtime.code, WASM: runtime.wasm} | notices()).items():
        (place / name).write_bytes(content)
    names = ("pictures.mjs", "client.mjs", "client.html")
    texts = {name: (CLIENTS / name).read_text(encoding="utf-8") for name in names}
    part = sample["input"]
    values = np.fromfile(folder / "sample" / part["file"], part["type"]).reshape(part["shape"])
    decision = decided(model.run(values))[0][0]
    answered = dict(sample) | {"decision": decision.flatten().tolist()}
    page = page_html(model, labels, answered, values, runtime, (story.name, _lead(model)))
    return texts | {"page.html": page}


def _lead(model: OnnxModel) -> str:
    card, origin = model.card, model.card.origin
    kind = {"classification": "classifier", "segmentation": "segmenter"}.get(card.task, card.task)
    teacher, method = origin.get("teacher"), origin.get("method")
    from_whom = f", distilled from {teacher} by {method}" if teacher and method else ""
    size = model.path.stat().st_size / 1e6
    return f"A {kind} of {len(card.class_names)} classes{from_whom}, in {card.precision}, {size:.1f} MB."


def _card(model: OnnxModel, labels: Mapping[str, Any], story: Story, runtime: WebRuntime | str) -> str:
    """README.md: the card of the model in this folder."""
    card, page = model.card, isinstance(runtime, WebRuntime)
    metrics = card.origin.get("metrics")
    numbers = metrics.items() if isinstance(metrics, Mapping) else ()
    scores = {name: f"{value:.4f}" for name, value in numbers if isinstance(value, float)}
    ports = [f"`{p['name']}`, {p['type']} {p['shape']}".replace("'", "") for p in (labels["input"], *labels["outputs"])]
    facts = {
        "classes": _plain(", ".join(card.class_names[:20]) + (", ..." if len(card.class_names) > 20 else "")),
        "input": ports[0],
        "outputs": "; ".join(ports[1:]),
        **{name: f"{value} (the model, {card.origin.get('scored_on', 'held out')})" for name, value in scores.items()},
    }
    without = {"page.html", "client.html", "client.mjs", "pictures.mjs", "runtime/"} if not page else set()
    return rendered(
        "README.md.jinja",
        title=_plain(story.name),
        name=re.sub(r"[^\w.-]", "-", story.name) or "model",
        lead=_plain(_lead(model)),
        facts=list(facts.items()),
        checks=list(story.checks),
        files=[(name, use) for name, use in USES.items() if name not in without],
        page=page,
        version=runtime.version if isinstance(runtime, WebRuntime) else "",
        reason="" if isinstance(runtime, WebRuntime) else runtime,
        preparation=in_words(preparation_of(card)),
        origin=json.dumps(dict(card.origin), indent=1, ensure_ascii=False).replace("`", "\\u0060")
        if card.origin
        else "",
    )


def _plain(text: str) -> str:
    """Escape untrusted names, so that they are plain text in a Markdown table."""
    return re.sub(r"([\\`*_{}\[\]<>|#!])", r"\\\1", text)
