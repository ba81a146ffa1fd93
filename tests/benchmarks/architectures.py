"""Which segmenters can be students: each distils for two rounds, is exported and compared with its ONNX file.

    python tests/benchmarks/architectures.py

Needs no data on disk: the teacher is that of the embedded digit scenes, taught on the first run. Results lie in
`tests/benchmarks/results/architectures/`, one small JSON a student; a student that has one is not tried again.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tables import markdown

from compress.storage.files import write_text
from compress.tasks.models import model_names, takes_encoder

RESULTS = Path(__file__).parent / "results" / "architectures"
ENCODERS = ("resnet18", "mobilenet_v2", "tu-convnext_atto")
TWO_ROUNDS = ("--distillation.rounds", "2", "--distillation.warmup", "1", "--distillation.steps", "3")


def tried(student: str) -> dict[str, Any]:
    """What came of a student: its parity, or the one line that said why not."""
    with TemporaryDirectory() as folder:
        words = ["distill", "--task", "segmentation", "--student", student, "--out", f"{folder}/run", *TWO_ROUNDS]
        words += ["--accept-any-student"]
        done = subprocess.run([sys.executable, "-m", "compress", *words], capture_output=True, text=True, check=False)
        report = Path(folder) / "run" / "report.json"
        if not report.is_file():
            return {"student": student, "exit_code": done.returncode, "refusal": done.stderr.strip().splitlines()[-1]}
        said = json.loads(report.read_text())
    facts = {key: said[key] for key in ("dynamic_size", "parity")}
    return {"student": student, "exit_code": done.returncode, "parameters": said["student"]["parameters"], **facts}


def result_of(student: str) -> dict[str, Any]:
    """What is kept of it, or what is found out now and kept."""
    file = RESULTS / f"{student.replace(':', '-')}.json"
    if not file.is_file():
        print(student, flush=True)
        write_text(file, json.dumps(tried(student), indent=1, ensure_ascii=False) + "\n")
    result: dict[str, Any] = json.loads(file.read_text())
    return result


def cell(result: dict[str, Any]) -> str:
    """A result in a few words."""
    if "parity" not in result:
        return f"no: {result['refusal']}"
    passed = all(check["passed"] for check in result["parity"])
    worst = max(math.inf if check["largest"] is None else check["largest"] for check in result["parity"])
    rounding = max(check.get("rounding", 0.0) for check in result["parity"])  # older results, all near, have none
    own = f" (torch itself rounds by {rounding:.0e})" if rounding else ""
    size = "any size" if result["dynamic_size"] else "one size"
    return f"{'passes' if passed else 'FAILS'}, {size}, {worst:.0e}{own}, {result['parameters'] / 1e6:.1f} M"


def main() -> None:
    """Try every student that was not, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    rows = []
    for architecture in model_names("segmentation"):
        encoders = [f":{encoder}" for encoder in ENCODERS] if takes_encoder(architecture) else [""]
        rows.append([architecture, *(cell(result_of(architecture + encoder)) for encoder in encoders)])
    table = markdown(["student", *ENCODERS], rows)
    write_text(RESULTS.parent / "architectures.md", table)
    print(table)


if __name__ == "__main__":
    main()
