"""What the toolkit does on a GPU, in five minutes: whether all of it runs, how fast, and what onnxruntime makes of it.

    python tests/benchmarks/gpu.py [--data-root DIR --teacher-weights FILE] [--device cuda] [--parts methods steps ...]

Each part runs in a process of its own with a time limit, prints each result when it has it, and is written at once to
`results/gpu.json` and `results/gpu.md`; what fails or takes too long is said in its place. Nothing is downloaded.
`--device cpu --tiny` and `--device pretend --tiny` run the whole script where there is no card.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
LIMITS = {
    "methods": 40, "same-seed": 30, "steps": 80, "profile": 25, "memory": 25, "commands": 60, "onnx": 40,
    "cifar10": 120,
}  # fmt: skip
"""Parts, in their order, and the seconds that each may take; `cifar10` only where there is data, or tiny."""
MARK = "RESULT "


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N, or pretend")
    parser.add_argument("--tiny", action="store_true", help="as little of everything as exercises the code")
    parser.add_argument("--parts", nargs="+", choices=LIMITS, default=list(LIMITS))
    parser.add_argument("--data-root", type=Path, help="folder of CIFAR-10's python batches")
    parser.add_argument("--teacher-weights", type=Path, help="of a cifar_resnet34 for CIFAR-10")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for gpu.json and gpu.md")
    parser.add_argument("--part", choices=LIMITS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent / "processes")]
        import gpu_parts

        gpu_parts.run(options.part, options, say)
        return
    started, found = time.perf_counter(), dict[str, Any]()
    for part in options.parts:
        if part == "cifar10" and options.data_root is None and not options.tiny:
            continue
        rows, fault, seconds = in_a_process(part, sys.argv[1:])
        found[part] = {"rows": rows, "fault": fault, "seconds": seconds}
        print(f"== {part}: {fault or 'done'} after {seconds:.0f} s", flush=True)
        write(options.out, found)
    print(f"{time.perf_counter() - started:.0f} s in all; written {options.out / 'gpu.json'} and gpu.md")


def say(**row: Any) -> None:
    """A result, for whoever watches and for the parent process."""
    print(MARK + json.dumps(row), flush=True)


def in_a_process(part: str, words: list[str]) -> tuple[list[dict[str, Any]], str | None, float]:
    """The results of a part, why it did not finish, and the seconds that it took."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), str(HERE)])}
    started, rows, last = time.perf_counter(), list[dict[str, Any]](), ""
    process = subprocess.Popen(
        [sys.executable, __file__, *words, "--part", part],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip
    limit = LIMITS[part] * (10 if "--tiny" in words else 1)  # a pretend device is slow
    late = threading.Timer(limit, process.kill)
    late.start()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(MARK):
            rows.append(json.loads(line.removeprefix(MARK)))
            print(part, "  ".join(f"{key} {_shown(value)}" for key, value in rows[-1].items()), flush=True)
        elif line.strip():
            last = line.strip()
    code, seconds = process.wait(), time.perf_counter() - started
    late.cancel()
    if seconds >= limit:
        return rows, f"stopped at its limit of {limit} s", seconds
    return rows, None if code == 0 else f"failed: {last[:300]}", seconds


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write(out: Path, found: dict[str, Any]) -> None:
    """Both files, of what there is so far."""
    out.mkdir(parents=True, exist_ok=True)
    lines = ["# On a GPU", ""]
    for part, facts in found.items():
        lines += [f"## {part}: {facts['fault'] or 'done'}, {facts['seconds']:.0f} s", ""]
        kinds = list(dict.fromkeys(tuple(row) for row in facts["rows"]))
        for names in kinds:
            lines += [f"| {' | '.join(names)} |", "|" + " --- |" * len(names)]
            rows = [row for row in facts["rows"] if tuple(row) == names]
            lines += [f"| {' | '.join(_shown(row[name]) for name in names)} |" for row in rows]
            lines.append("")
    (out / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "gpu.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
