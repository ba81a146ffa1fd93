"""Make the teacher that comes with the package: taught on the embedded scenes, then rounded to 16 bits.

    python tests/benchmarks/packaged_teacher.py --work DIR

It writes `tasks/teachers/digit-scenes/` and prints the digest and the scores that `tasks/packaged_teacher.py` and its
test then have to name. An interrupted training in DIR continues, a finished one is not repeated. Processors differ in
rounding, so another machine writes a file with other bytes and about the same score.
"""

from __future__ import annotations

import argparse
from hashlib import sha256
from pathlib import Path

from compress.cli import main as compress
from compress.runs.evaluation import evaluate
from compress.tasks import held_out_of
from compress.tasks.data import open_data
from compress.tasks.models.model_folder import load_model, save_model
from compress.tasks.packaged_teacher import PACKAGED, PackagedTeacher
from compress.training.compute import Compute

LESSON = ("--steps", "1600", "--batch", "16", "--lr", "3e-3", "--seed", "0", "--device", "cpu", "--precision", "fp32")


def taught(teacher: PackagedTeacher, work: Path) -> Path:
    """The folder of the lesson, done."""
    folder = work / teacher.data[0]
    words = ["teach", "--task", "segmentation", "--teacher", teacher.network, "--data", teacher.data[0], *LESSON]
    if not (folder / "README.md").is_file():
        resumed = ["--resume"] if (folder / "unfinished.pt").is_file() else []
        try:
            compress([*words, "--out", str(folder), *resumed])
        except SystemExit as stopped:
            if stopped.code:
                raise
    return folder


def halve(teacher: PackagedTeacher, folder: Path) -> None:
    """Write the packaged folder: weights as 16-bit numbers, which the network reads into 32-bit ones."""
    model, card = load_model(folder)
    readme = (
        f"# {teacher.network}\n\nTaught on {teacher.data[0]} by `python tests/benchmarks/packaged_teacher.py`; it "
        f"comes with the package and is what `--teacher {teacher.name}` means on this data.\n"
    )
    save_model(teacher.folder, model.half(), card, readme)


def main() -> None:
    """Make every packaged teacher."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("work"), help="where lessons are kept")
    work = parser.parse_args().work
    for teacher in PACKAGED:
        halve(teacher, taught(teacher, work))
        file = teacher.folder / "model.safetensors"
        print(f"{file}: {file.stat().st_size} bytes, sha256 {sha256(file.read_bytes()).hexdigest()}")
        for data in teacher.data:
            source = open_data(data, "segmentation")
            model, _ = load_model(teacher.folder)
            labelled = held_out_of(source)
            score = evaluate(model, labelled, Compute.choose("cpu", "fp32"))
            print(f"{data}: {score.metric} {score.headline:.4f} on {score.count} images")


if __name__ == "__main__":
    main()
