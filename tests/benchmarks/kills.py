"""Kills a small run with SIGKILL at random moments, continues it, and compares the student with an undisturbed one's.

    python tests/benchmarks/kills.py [--kills 50]

A checkpoint is written after every round. Every other kill waits for one that is being written, and hits that. The run
goes through all that `compress distill` does but the teacher's training and the hand-over at the end. Runs are forked
from a process that has imported everything, so that a kill costs a second, not ten.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from hashlib import sha256
from multiprocessing.context import ForkServerContext
from pathlib import Path

CHECKPOINT = Path("checkpoints/last/state.pt")
STUDENT = Path("student/model.safetensors")


def carry_out(folder: Path, rounds: int) -> None:
    """A small run; only the processes that run import it."""
    from small_run import carry_out_small_run

    carry_out_small_run(folder, rounds)


def whole_run(context: ForkServerContext, folder: Path, rounds: int) -> float:
    """Begin or continue the run in `folder`, and wait for its end; returns the seconds it took."""
    started = time.monotonic()
    process = context.Process(target=carry_out, args=(folder, rounds))
    process.start()
    process.join()
    assert process.exitcode == 0, f"the run ended with {process.exitcode}"
    return time.monotonic() - started


def killed_run(context: ForkServerContext, folder: Path, rounds: int, moment: float, *, in_writing: bool) -> bool:
    """Begin the run in `folder` and kill it `moment` seconds later; returns whether a file was being written."""
    process = context.Process(target=carry_out, args=(folder, rounds))
    process.start()
    process.join(moment)
    written = (folder / CHECKPOINT).parent
    while in_writing and process.is_alive() and not (written.is_dir() and any(written.glob(".*.part"))):
        pass
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return any(folder.rglob(".*.part"))


def main() -> None:
    """Kill, continue, compare, and print how many students are the same; exits with 1 unless all are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=60, help="of the run; more of them take longer")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    moments = random.Random(options.seed)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["small_run"])  # which the server finds by the path above only
    same = in_writing = left = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole_run(context, folder / "first", 1)  # the imports are done then
        seconds = whole_run(context, folder / "whole", options.rounds)
        print(f"a run of {options.rounds} rounds and as many checkpoints: {seconds:.1f} s", flush=True)
        undisturbed = sha256((folder / "whole" / STUDENT).read_bytes()).hexdigest()
        for kill in range(options.kills):
            run, moment = folder / str(kill), moments.uniform(0, seconds)
            in_writing += killed_run(context, run, options.rounds, moment, in_writing=kill % 2 == 0)
            whole_run(context, run, options.rounds)
            same += sha256((run / STUDENT).read_bytes()).hexdigest() == undisturbed
            left += len(list(run.rglob("*.part")))
    print(f"{options.kills} kills, {in_writing} of them in the middle of writing a file")
    print(f"{same} of {options.kills} students are the same to the last byte, {left} temporary files were left")
    sys.exit(same < options.kills or left > 0)


if __name__ == "__main__":
    main()
