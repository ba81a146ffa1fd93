"""Equal decisions of onnxruntime and OpenVINO for one network in INT8, as it is written for each of them.

    python tests/benchmarks/int8_runtimes.py [RUN]...

The packaged teacher of the digit scenes, and the students of runs on these scenes. 64 held-out scenes calibrate, 64
others are compared. All layers are in INT8, as the export writes them before it looks for sensitive ones. Needs the
extra `openvino`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
from onnx import ModelProto
from tables import markdown

from compress.export.calibration import activation_ranges
from compress.export.quantised_graph import RANGED, NetworkToQuantise
from compress.export.targets import FUSED, UNSIGNED
from compress.export.writer import exported
from compress.tasks import held_out_of
from compress.tasks.data import open_data
from compress.tasks.models import deployable
from compress.tasks.models.model_folder import load_model

PACKAGED = Path(__file__).parents[2] / "tasks" / "teachers" / "digit-scenes"
COUNT = 64
Answers = Callable[[np.ndarray], np.ndarray]


def by_onnxruntime(model: ModelProto) -> Answers:
    """Logits of images `[n, 3, h, w]`."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {session.get_inputs()[0].name: images})[0]


def by_openvino(model: ModelProto) -> Answers:
    """Logits of images `[n, 3, h, w]`, with float32 where the file has float32."""
    core = openvino.Core()
    read = core.read_model(model.SerializeToString())
    compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: np.array(compiled(images)[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path)
    held_out, rows = held_out_of(open_data("digit-scenes", "segmentation")), []
    scenes = np.concatenate([batch.images.numpy() for batch in held_out.batches()])[: 2 * COUNT]
    for folder in (PACKAGED, *parser.parse_args().runs):
        network, card = load_model(folder)
        graph, cells = exported(deployable(network), held_out.spec), [card.network]
        ranges = activation_ranges(graph, scenes[COUNT:], RANGED)
        for scheme in (UNSIGNED, FUSED):
            file = NetworkToQuantise(network=graph, ranges=ranges, scheme=scheme).with_float()
            one, other = (run(file)(scenes[:COUNT]).argmax(axis=1) for run in (by_onnxruntime, by_openvino))
            cells.append(f"{100 * np.mean(one == other):.2f} %")
        rows.append(cells)
    print(markdown(["network", "`--for cpu`", "`--for openvino`"], rows))


if __name__ == "__main__":
    main()
