"""`compress report`: the HTML report of a run."""

from __future__ import annotations

from pathlib import Path

from compress.runs.report import report as run_report
from compress.training.progress import output


def report(run: Path, /) -> None:
    """Write the HTML report of a run.

    RUN/report.html is one file for any browser and needs no network. `compress distill` writes it at its end. Write it
    again to see how far an interrupted run is, or after `compress export`: files in RUN/export without a score are then
    scored, if the held-out data is available.

    Parameters
    ----------
    run
        Run directory.
    """
    output.print(f"report         {run_report(run)}", soft_wrap=True)
