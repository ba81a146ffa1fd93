"""The CamVid tables: mIoU of the last round on the 233 test images, whole, with a shorter side of 128 pixels.

    python tests/benchmarks/camvid.py teacher priors students --data-root DIR

A finished run is never repeated and an interrupted one continues; see `runs.py`. The teacher comes first: students need
it. Target priors are compared on the 101 validation images, so that nothing is chosen on those of the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runs import Arm, Benchmark, Table

SIZE = ("--task", "segmentation", "--image-size", "128", "--crop-size", "128")
TEACHER, STUDENT = "deeplabv3:resnet18", "deeplabv3:tu-test_resnet"
DISTILL = ("distill", *SIZE, "--teacher", TEACHER, "--student", STUDENT)
STEPS = "3000"  # of every student, with 16 images each


def _prior(name: str, targets: str, *, conditional: bool = True) -> Arm:
    """The recipe of SSD-KD at a third of its rounds, with other targets."""
    changes = {"inversion": {"targets": targets, "conditional": conditional}, "distillation": {"rounds": 40}}
    return Arm(name, DISTILL, "camvid/ssd-kd", changes)


BENCHMARK = Benchmark(
    "camvid",
    "miou",
    {
        "teacher": Table(
            "DeepLabV3 taught on the labels of CamVid's 367 training images, from random weights",
            (Arm("deeplabv3", ("teach", *SIZE, "--teacher", TEACHER)),),
        ),
        "priors": Table(
            "What the inversion aims at, at a third of the rounds, on the 101 validation images",
            (
                _prior("noise", "noise"),
                _prior("blobs", "blobs"),
                _prior("voronoi", "voronoi"),
                _prior("layouts", "layouts"),
                _prior("layouts, latents alone", "layouts", conditional=False),
                _prior("answers", "answers"),
            ),
        ),
        "students": Table(
            "DeepLabV3 students from random weights, an eighth of the teacher's parameters, at equal student steps",
            (
                Arm("ssd-kd", DISTILL, "camvid/ssd-kd", seeds=(0, 1, 2)),
                Arm("fast-dfkd", DISTILL, "camvid/fast-dfkd"),
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
            link = folder / f"{held_out}{suffix}"
            if not link.exists():
                link.symlink_to(root / f"{split}{suffix}")
    return folder


def main() -> None:
    """Run what is missing of the tables named, then write them."""
    given = BENCHMARK.asked(__doc__)
    teacher = given.work / "teacher" / "deeplabv3-seed0" / "model.safetensors"
    photographs = next(place for place in (given.data_root / "camvid", given.data_root) if place.is_dir()) / "train"

    def flags(table: str, arm: Arm) -> Sequence[object]:
        root = validation_root(given.data_root, given.work / "validation") if table == "priors" else given.data_root
        words = ["--data", "camvid", "--data-root", root]
        if arm.words[0] == "distill":
            words += ["--teacher-weights", teacher]
        if arm.recipe == "camvid/kd":
            words += ["--collected", photographs]
        return words

    BENCHMARK.carry_out(given.tables, given.work, flags)


if __name__ == "__main__":
    main()
