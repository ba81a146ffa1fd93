"""Whether a run's memory stays what it was: its peak after some rounds, and after many more.

    python tests/benchmarks/memory.py [--rounds 2000]

Everything that a run records is recorded, with a checkpoint every second; the replay buffer is full after 13 rounds.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from small_run import carry_out_small_run

from compress.storage.run_directory import RunDirectory

UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in which the operating system counts


def peak() -> float:
    """The most memory that this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 1e6


def main() -> None:
    """Run, and print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=50, help="rounds after which the peak is taken for the first time")
    options = parser.parse_args()
    peaks: list[float] = []
    write = RunDirectory.log

    def log(run: RunDirectory, line: str) -> None:
        write(run, line)
        peaks.append(peak())

    RunDirectory.log = log  # a line a round
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        carry_out_small_run(Path(name) / "run", options.rounds, seconds_between_checkpoints=1.0)
    seconds, (first, last) = time.monotonic() - started, (peaks[options.first - 1], peaks[-1])
    print(f"peak memory after {options.first} rounds {first:.1f} MB, after {len(peaks)} rounds {last:.1f} MB")
    print(f"{(last - first) * 1e3 / (len(peaks) - options.first):.2f} kB a round; {seconds:.0f} s")


if __name__ == "__main__":
    main()
