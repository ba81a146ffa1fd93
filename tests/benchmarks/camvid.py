"""The CamVid tables: mIoU of the last round on the 233 test images, whole, with a shorter side of 128 pixels.

    python tests/benchmarks/camvid.py teacher --data-root DIR

A finished run is never repeated and an interrupted one continues; see `runs.py`.
"""

from __future__ import annotations

from runs import Arm, Benchmark, Table

SIZE = ("--task", "segmentation", "--image-size", "128", "--crop-size", "128")
TEACHER = "deeplabv3:resnet18"

BENCHMARK = Benchmark(
    "camvid",
    "miou",
    {
        "teacher": Table(
            "DeepLabV3 taught on the labels of CamVid's 367 training images, from random weights",
            (Arm("deeplabv3", ("teach", *SIZE, "--teacher", TEACHER)),),
        ),
    },
)


def main() -> None:
    """Run what is missing of the tables named, then write them."""
    parser = BENCHMARK.parser(__doc__)
    given = parser.parse_args()
    if given.write_only:
        for name in given.tables:
            BENCHMARK.write(name)
        return
    if given.data_root is None:
        parser.error("--data-root is needed to run")
    BENCHMARK.carry_out(
        given.tables, given.work, lambda table, arm: ["--data", "camvid", "--data-root", given.data_root]
    )


if __name__ == "__main__":
    main()
