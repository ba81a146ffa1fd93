"""What INT8 is worth by what it is calibrated on: noise, a run's synthetic samples, or 500 real training images.

    python tests/benchmarks/int8.py RUN... --data-root DIR

Each file is scored on the held-out images of the run's data, which lie at DIR unless they are embedded. A score that is
kept is one JSON a run under `results/int8/`; the table is printed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tables import markdown
from torch import Tensor, nn

from compress.errors import GateError
from compress.export import OnnxModel, OnnxScores, Order, export_verified
from compress.runs.data import place_of
from compress.runs.evaluation import evaluate
from compress.storage.files import write_text
from compress.storage.run_directory import RunDirectory
from compress.task import HeldOut
from compress.tasks import held_out_of
from compress.tasks.data import DataSource, find_data, open_data
from compress.tasks.models.model_folder import load_model
from compress.training.compute import CPU_FLOAT32

IMAGES = 500
RESULTS = Path(__file__).parent / "results" / "int8"
EXACT = CPU_FLOAT32


class Agreement:
    """The metric of the task beside the share of decisions that are those of the model in float32."""

    def __init__(self, model: nn.Module, file: OnnxScores) -> None:
        self._model, self._file = model, file
        self.same = self.count = 0

    def __call__(self, images: Tensor) -> Tensor:
        """The file's scores, compared with the model's on the way."""
        scores = self._file(images)
        equal = scores.argmax(dim=1) == self._model(images).argmax(dim=1)
        self.same, self.count = self.same + int(equal.sum()), self.count + equal.numel()
        return scores


def calibrations(run: Path, source: DataSource) -> Iterator[tuple[str, Tensor]]:
    """What ranges are read from: uint8 `[n, 3, h, w]` by name."""
    draw = torch.Generator().manual_seed(0)
    yield "noise", torch.randint(0, 256, (IMAGES, *source.image_shape), dtype=torch.uint8, generator=draw)
    synthetic = RunDirectory.open(run).read_checkpoint()["buffer"]["images"]
    yield "synthetic samples", synthetic[torch.randperm(len(synthetic), generator=draw)[:IMAGES]]
    training = source.training().images
    chosen = training[torch.randperm(len(training), generator=draw)[:IMAGES]]
    if chosen.shape[1:] != source.image_shape:  # whole photographs, of which networks see squares
        chosen = nn.functional.interpolate(chosen.float(), source.image_shape[1:], mode="area").round().to(torch.uint8)
    yield "real images", chosen


def measured(run: Path, data_root: Path | None) -> list[dict[str, Any]]:
    """One record a calibration, after that of float32."""
    model, card = load_model(run)
    root = data_root if find_data(card.data, card.task).on_disk else None
    source = open_data(card.data, card.task, root, usual=place_of(card))
    labelled = held_out_of(source)
    whole = evaluate(model, labelled, EXACT)
    records = [{"calibrated on": "float32", whole.metric: whole.headline, "agreement": 1.0, "layers in float32": []}]
    return records + [_record(model, labelled, name, images) for name, images in calibrations(run, source)]


def _record(model: nn.Module, labelled: HeldOut, name: str, images: Tensor) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        try:
            order = Order(precision="int8")
            facts, _ = export_verified(model, labelled.spec, Path(folder) / "model.onnx", order, calibration=images)
        except GateError as error:
            return {"calibrated on": name, "refusal": str(error)}
        predict = Agreement(model, OnnxScores(OnnxModel(facts.path)))
        score = evaluate(predict, labelled, EXACT)
    return {
        "calibrated on": name,
        score.metric: score.headline,
        "agreement": predict.same / predict.count,
        "layers in float32": list(facts.converted.kept_float),
    }


def row(run: str, record: dict[str, Any]) -> list[str]:
    """A line of the table."""
    if "refusal" in record:
        return [run, record["calibrated on"], "refused", "", record["refusal"]]
    name, metric, agreement, layers = record.values()
    return [run, name, f"{100 * metric:.2f}", f"{100 * agreement:.2f}", str(len(layers))]


def main() -> None:
    """Measure each run once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data-root", type=Path)
    options = parser.parse_args()
    rows = list[list[str]]()
    for run in options.runs:
        kept = RESULTS / f"{run.name}.json"
        if not kept.is_file():
            write_text(kept, json.dumps(measured(run, options.data_root), indent=1) + "\n")
        rows += [row(run.name, record) for record in json.loads(kept.read_text())]
    print(markdown(["run", "calibrated on", "metric, %", "same decisions, %", "layers in float32"], rows))


if __name__ == "__main__":
    main()
