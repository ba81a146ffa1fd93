"""What a segmenter's decision costs behind its network: argmax and 1 / Σ exp(x − max), or a softmax over all classes.

    python tests/benchmarks/segmenter_head.py [--seconds S]

Networks have random weights. Both heads answer the same logits in one process, on one thread, in turns; the ratios are
medians of rounds, so that other work on the machine cancels. The table is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import ModelProto, compose, parser
from tables import markdown

from compress.export.latency import interleaved
from compress.export.portable import opset_of
from compress.export.processing import Form, with_processing
from compress.export.writer import exported
from compress.task import TaskSpec
from compress.tasks.models import create_model, deployable

CASES = [("deeplabv3plus:tu-test_resnet", 11, 64), ("deeplabv3plus:mobilenet_v2", 21, 256), ("unet:resnet18", 150, 128)]
"""Networks, their classes and the side of their images."""
SOFTMAX = """
    head (float[batch, {classes}, {side}, {side}] logits)
    => (uint8[batch, {side}, {side}] classes, float[batch, {side}, {side}] scores) {{
        all = Softmax <axis = 1> (logits)
        index = ArgMax <axis = 1, keepdims = 0> (all)
        classes = Cast <to = 2> (index)
        axis = Constant <value_ints = [1]> ()
        scores = ReduceMax <keepdims = 0> (all, axis)
    }}"""
"""The head that files had before."""


def files(name: str, classes: int, side: int) -> dict[str, ModelProto]:
    """One network that ends in its logits, in today's decision and in the one before."""
    torch.manual_seed(0)
    spec = TaskSpec(
        name="segmentation",
        image_shape=(3, side, side),
        class_names=tuple(map(str, range(classes))),
        metric="miou",
        palette=((0, 0, 0),) * classes,
    )
    body = exported(deployable(create_model("segmentation", name, classes).eval()), spec, dynamic_size=False)
    logits = with_processing(body, spec, Form(output="logits"), dynamic_size=False)
    head = f'<ir_version: {body.ir_version}, opset_import: ["" : {opset_of(body)}]>'
    softmax = parser.parse_model(head + SOFTMAX.format(classes=classes, side=side))
    return {
        "logits": logits,
        "argmax": with_processing(body, spec, Form(), dynamic_size=False),
        "softmax": compose.merge_models(logits, softmax, [("logits", "logits")]),
    }


def runner(model: ModelProto, image: Any) -> Callable[[], list[Any]]:
    """The file in onnxruntime on one thread, for one image."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": image})


def row(name: str, classes: int, side: int, seconds: float) -> list[str]:
    """A line of the table."""
    image = np.random.default_rng(0).random((1, 3, side, side), dtype=np.float32)
    runners = {kind: runner(model, image) for kind, model in files(name, classes, side).items()}
    now, before = (runners[kind]() for kind in ("argmax", "softmax"))
    same = f"{100 * np.mean(now[0] == before[0]):.2f} %, {np.abs(now[1] - before[1]).max():.0e}"
    times = interleaved(runners, seconds)
    medians = [f"{1000 * times[kind].percentile(50):.2f}" for kind in ("logits", "argmax", "softmax")]
    shares = [f"{times['logits'].ratio(times[kind]):.3f}" for kind in ("argmax", "softmax")]
    heads = [times["logits"].ratio(times[kind]) - 1 for kind in ("argmax", "softmax")]
    return [f"{name}, {classes} classes, {side}x{side}", *medians, *shares, f"{heads[1] / heads[0]:.1f}", same]


def main() -> None:
    """Measure and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=5.0, help="of timing for each form")
    seconds = options.parse_args().seconds
    header = ["network", "logits, ms", "argmax, ms", "softmax, ms", "argmax / logits", "softmax / logits"]
    rows = list[list[str]]()
    for case in CASES:
        rows.append(row(*case, seconds))
        print(rows[-1], flush=True)
    print(markdown([*header, "softmax head / argmax head", "same classes, largest difference of scores"], rows))


if __name__ == "__main__":
    main()
