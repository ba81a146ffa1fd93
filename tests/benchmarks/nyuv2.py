"""NYUv2's 13 classes on the few real pairs at hand, of 120x160 pixels: a teacher, then its student.

    python tests/benchmarks/nyuv2.py teacher student --data-root PAIRS

PAIRS holds `images/` and `labels13/`. Every other pair is taught on, the rest is scored: so few that the numbers say
whether the pipeline works on this data, and nothing of the methods.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from camvid import DISTILL, SIZE, TEACHER
from runs import Arm, Benchmark, Table

LESSON = ("--steps", "600", "--batch", "5")  # five images are taught on

BENCHMARK = Benchmark(
    "nyuv2",
    "miou",
    {
        "teacher": Table(
            "DeepLabV3 taught on five pairs", (Arm("deeplabv3", ("teach", *SIZE, "--teacher", TEACHER, *LESSON)),)
        ),
        "student": Table(
            "Its student, without data",
            (Arm("ssd-kd", DISTILL, "camvid/ssd-kd", {"distillation": {"dropout": True}}),),
        ),
    },
)


def split_pairs(pairs: Path, folder: Path) -> Path:
    """The layout `image/{train,test}` and `seg13/{train,test}`, by turns; copied, since links are refused."""
    for kind, source in (("image", pairs / "images"), ("seg13", pairs / "labels13")):
        for index, file in enumerate(sorted(source.iterdir())):
            place = folder / kind / ("train", "test")[index % 2] / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    return folder


def main() -> None:
    """Run what is missing of the tables named, then write them."""
    options = BENCHMARK.options(__doc__, "--data-root")
    teacher = options.work / "teacher" / "deeplabv3-seed0" / "model.safetensors"

    def flags(table: str, arm: Arm) -> Sequence[object]:
        words = ["--data", "nyuv2", "--data-root", split_pairs(options.data_root, options.work / "pairs")]
        return [*words, "--teacher-weights", teacher] if table == "student" else words

    BENCHMARK.carry_out(options.tables, options.work, flags)


if __name__ == "__main__":
    main()
