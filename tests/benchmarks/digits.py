"""The tables of the embedded digits: top-1 of the last round on 450 held-out scans, students of 0.27 M parameters.

    python tests/benchmarks/digits.py methods teachers

Nothing is downloaded; teachers are taught on their first use and cached. A finished run is never repeated and an
interrupted one continues; see `runs.py`.
"""

from __future__ import annotations

from runs import Arm, Benchmark, Table

DISTILL = ("distill", "--task", "classification", "--student", "cifar_resnet20")
METHODS = ("ssd-kd", "fast-dfkd", "dafl", "zskt", "dfad", "dfq", "cmi", "deep-inversion")
WITHOUT_BATCH_NORM = ("convnext_atto", "test_vit")
LONG = {
    "inversion": {"samples": 128, "width": 128, "adversarial": 1.0},
    "replay": {"capacity": 2000},
    "distillation": {"rounds": 50, "warmup": 5, "steps": 40, "batch": 64},
}
"""The packaged recipes of these two are short, for the first command; here they have this length."""

BENCHMARK = Benchmark(
    "digits",
    "top1",
    {
        "methods": Table(
            "ResNet-34 to ResNet-20, every method that takes no image",
            tuple(
                Arm(
                    method,
                    (*DISTILL, "--teacher", "resnet34"),
                    f"digits/{method}",
                    LONG if method in ("ssd-kd", "fast-dfkd") else {},
                )
                for method in METHODS
            ),
        ),
        "teachers": Table(
            "Teachers without batch normalisation, SSD-KD",
            tuple(Arm(name, (*DISTILL, "--teacher", name), "digits/ssd-kd", LONG) for name in WITHOUT_BATCH_NORM),
        ),
    },
)


def main() -> None:
    """Run what is missing of the tables named, then write them."""
    options = BENCHMARK.options(__doc__)
    BENCHMARK.carry_out(options.tables, options.work, lambda table, arm: ())


if __name__ == "__main__":
    main()
