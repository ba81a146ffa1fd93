"""The CamVid tables: mIoU of the last round on the 233 test images, whole, of 120x160 pixels.

Networks learn from squares of 64 pixels of them.

    python tests/benchmarks/camvid.py teacher priors students --data-root DIR

A finished run is never repeated and an interrupted one continues; see `runs.py`. The teacher comes first: students need
it. Targets are compared on the 101 validation images, so that nothing is chosen on those of the test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from runs import Arm, Benchmark, Table

SIZE = ("--task", "segmentation", "--image-size", "120", "--crop-size", "64")
TEACHER, STUDENT = "deeplabv3:tu-resnet10t", "deeplabv3:tu-test_resnet"
DISTILL = ("distill", *SIZE, "--teacher", TEACHER, "--student", STUDENT)
STEPS = "3000"  # of every student, with 16 images each
DROPOUT: Mapping[str, Any] = {"distillation": {"dropout": True}}
"""The recipes of arms that were measured before a student learnt without its dropout."""


def _short(name: str, targets: str, *, dropout: bool = True) -> Arm:
    """The recipe of SSD-KD with less than a third of its student steps, and other targets."""
    learning = {"rounds": 80, "warmup": 20, "steps": 15, "dropout": dropout}
    return Arm(name, DISTILL, "camvid/ssd-kd", {"inversion": {"targets": targets}, "distillation": learning})


BENCHMARK = Benchmark(
    "camvid",
    "miou",
    {
        "teacher": Table(
            "DeepLabV3 taught on the labels of CamVid's 367 training images, from random weights",
            (Arm("deeplabv3", ("teach", *SIZE, "--teacher", TEACHER)),),
        ),
        "priors": Table(
            "What the inversion aims at: students after 900 steps, on the 101 validation images",
            (
                _short("noise", "noise"),
                _short("blobs", "blobs"),
                _short("voronoi", "voronoi"),
                _short("layouts", "layouts"),
                _short("answers", "answers"),
                _short("layouts, no dropout", "layouts", dropout=False),
            ),
        ),
        "students": Table(
            "DeepLabV3 students from random weights, a fifth of the teacher's parameters, after 3,000 steps",
            (
                Arm("ssd-kd", DISTILL, "camvid/ssd-kd", DROPOUT, seeds=(0, 1, 2)),
                Arm("ssd-kd, no dropout", DISTILL, "camvid/ssd-kd"),
                Arm("fast-dfkd", DISTILL, "camvid/fast-dfkd", DROPOUT),
                Arm("dfad", DISTILL, "camvid/dfad"),
                Arm("kd on the real training images", DISTILL, "camvid/kd"),
                Arm("taught on their labels", ("teach", *SIZE, "--teacher", STUDENT, "--steps", STEPS)),
            ),
        ),
    },
)


def validation_root(data_root: Path, folder: Path) -> Path:
    """A CamVid whose test images are the validation images, by links."""
    folder.mkdir(parents=True, exist_ok=True)
    root = next(place for place in (data_root / "camvid", data_root) if (place / "val").is_dir()).resolve()
    for held_out, split in (("train", "train"), ("test", "val")):
        for suffix in ("", "annot"):
            with suppress(FileExistsError):  # another table's process may make them at the same time
                (folder / f"{held_out}{suffix}").symlink_to(root / f"{split}{suffix}")
    return folder


def main() -> None:
    """Run what is missing of the tables named, then write them."""
    options = BENCHMARK.options(__doc__, "--data-root")
    teacher = options.work / "teacher" / "deeplabv3-seed0" / "model.safetensors"
    photographs = next(path for path in (options.data_root / "camvid", options.data_root) if path.is_dir()) / "train"

    def flags(table: str, arm: Arm) -> Sequence[object]:
        root = (
            validation_root(options.data_root, options.work / "validation") if table == "priors" else options.data_root
        )
        words = ["--data", "camvid", "--data-root", root]
        if arm.words[0] == "distill":
            words += ["--teacher-weights", teacher]
        if arm.recipe == "camvid/kd":
            words += ["--collected", photographs]
        return words

    BENCHMARK.carry_out(options.tables, options.work, flags)


if __name__ == "__main__":
    main()
