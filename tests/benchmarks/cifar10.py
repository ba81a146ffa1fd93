"""The CIFAR-10 tables: ResNet-56 to ResNet-20, top-1 of the last round on the 10,000 test images.

    python tests/benchmarks/cifar10.py ablation --data-root DIR --teacher-weights resnet56-4bfd9763.th

A finished run is never repeated and an interrupted one continues; see `runs.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from runs import Arm, Benchmark, Table

from compress.storage.settings_files import merged
from compress.tasks.data import open_data

COLLECTED_PER_CLASS = 500
SHORTEST = {
    "inversion": {"samples": 64},
    "distillation": {"rounds": 40, "warmup": 10, "steps": 20, "batch": 64, "hints": 0.0, "mix": "cutmix"},
}
"""A quarter of the short recipe's steps, with half of its batch."""
DISTILL = ("distill", "--task", "classification", "--teacher", "cifar_resnet56", "--student", "cifar_resnet20")
SEEDS = (0, 1, 2)


def _ssd_kd(
    name: str, targets: str = "independent", hints: float = 50.0, seeds: tuple[int, ...] = SEEDS, **replay: object
) -> Arm:
    """The short recipe; classes are drawn one by one, as FastDFKD does, unless balance is what is measured."""
    changes = {"replay": replay, "inversion": {"targets": targets}, "distillation": {"hints": hints}}
    return Arm(name, DISTILL, "cifar10/ssd-kd-short", changes, seeds)


def _share(photographs: int) -> Arm:
    """Without hints, with this percentage of every batch drawn from photographs of something else."""
    learning = {"collected_share": photographs / 100} if photographs else {}
    changes = merged(SHORTEST, {"method": "fast-dfkd", "distillation": learning})
    return Arm(str(photographs), DISTILL, "cifar10/ssd-kd-short", changes)


BENCHMARK = Benchmark(
    "cifar10",
    "top1",
    {
        "headline": Table(
            "SSD-KD with 5,000 samples, ResNet-56 to ResNet-20",
            (Arm("ssd-kd", DISTILL, "cifar10/ssd-kd-cpu", seeds=SEEDS),),
        ),
        "ablation": Table(
            "What φ and δ are worth: all arms at the same number of distillation steps",
            (
                _ssd_kd("unlimited pool", phi=False, delta=False, capacity=100_000),
                _ssd_kd("5,000 first in, first out", phi=False, delta=False),
                _ssd_kd("φ alone", delta=False),
                _ssd_kd("δ alone", phi=False),
                _ssd_kd("φ and δ"),
                _ssd_kd("balanced targets, uniform draws", "balanced", phi=False, delta=False),
                _ssd_kd("φ and δ, answers alone", hints=0.0, seeds=(0,)),
            ),
        ),
        "samples": Table(
            "Accuracy against the number of synthetic samples",
            tuple(
                _ssd_kd(str(count), "balanced", capacity=count, seeds=(0,))
                for count in (500, 1_000, 2_500, 5_000, 10_000)
            ),
            against="synthetic samples",
        ),
        "photographs": Table(
            "CamVid's 367 training images as unrelated photographs beside synthetic samples: 600 steps of 64 images",
            tuple(_share(percent) for percent in (0, 25, 50, 100)),
            against="photographs in a batch, %",
        ),
        "collected": Table(
            "5,000 collected training images",
            (Arm("hidfd", DISTILL, "cifar10/hidfd-cpu"), Arm("kd", DISTILL, "cifar10/kd-cpu")),
        ),
    },
)


def collected_images(data_root: Path, folder: Path) -> Path:
    """`folder/CLASS/*.png`, the first 500 training images of each class of CIFAR-10: what somebody has collected."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    source = open_data("cifar10", "classification", data_root)
    training = source.training()
    with TemporaryDirectory(dir=folder.parent) as unfinished:
        for label, name in enumerate(source.class_names):
            images = training.images[training.targets == label][:COLLECTED_PER_CLASS]
            (Path(unfinished) / name).mkdir()
            for index, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
                Image.fromarray(image).save(Path(unfinished) / name / f"{index:03d}.png")
        Path(unfinished).rename(folder)
    return folder


def main() -> None:
    """Run what is missing of the tables named, then write them."""
    options = BENCHMARK.options(__doc__, "--data-root", "--teacher-weights")

    def flags(table: str, arm: Arm) -> Sequence[object]:
        words = ["--data", "cifar10", "--data-root", options.data_root, "--teacher-weights", options.teacher_weights]
        if table == "collected":
            words += ["--collected", collected_images(options.data_root, options.work / "collected-images")]
        if table == "photographs" and arm.name != "0":
            words += ["--collected", options.data_root / "camvid" / "train"]
        return words

    BENCHMARK.carry_out(options.tables, options.work, flags)


if __name__ == "__main__":
    main()
