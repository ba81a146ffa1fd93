"""Kills one of the two workers of a run, either of them in turn: how soon the other ends, and what is said.

python tests/benchmarks/dead_worker.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SMALL = ["--teacher", "cifar_wrn_16_1", "--student", "cifar_wrn_16_1", "--inversion.samples", "16"]
SMALL += ["--inversion.steps", "2", "--distillation.warmup", "1", "--distillation.rounds", "4000"]
SMALL += ["--distillation.steps", "3", "--distillation.batch", "8", "--precision", "fp32", "--device", "cpu"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ROUNDS_BEFORE = 3


def taught(folder: Path) -> Path:
    """Weights of a teacher that is better than chance."""
    words = ["teach", "--teacher", "cifar_wrn_16_1", "--steps", "60", "--lr", "3e-3", "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "compress", *words], check=True, capture_output=True)
    return folder / "model.safetensors"


def worker(parent: int, rank: int) -> int:
    """The process of a worker that torchrun started; reads /proc, as Linux has it."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    rank_entry = f"RANK={rank}".encode()
    return next(int(pid) for pid in children if rank_entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))


def kill_one(rank: int, weights: Path, run: Path) -> None:
    """Begin a run, kill a worker after a few rounds, print what happens."""
    words = [*TORCHRUN, "-m", "compress", "distill", *SMALL, "--teacher-weights", str(weights), "--out", str(run)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        log = run / "train.log"
        while process.poll() is None and not (log.is_file() and len(log.read_text().splitlines()) >= ROUNDS_BEFORE):
            time.sleep(0.1)
        started = time.monotonic()
        os.kill(worker(process.pid, rank), signal.SIGKILL)
        _, errors = process.communicate()
        print(f"worker {rank} killed: all ended with {process.returncode} after {time.monotonic() - started:.1f} s")
    print("\n".join(line for line in errors.splitlines() if line.startswith("compress:")), flush=True)


def main() -> None:
    """Either worker in turn."""
    with tempfile.TemporaryDirectory() as name:
        weights = taught(Path(name) / "teacher")
        for rank in (1, 0):
            kill_one(rank, weights, Path(name) / f"run-{rank}")


if __name__ == "__main__":
    main()
