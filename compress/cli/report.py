"""`compress report`: the page of a run."""

from __future__ import annotations

from pathlib import Path

from compress.runs.report import report as run_report
from compress.training.progress import output


def report(run: Path, /) -> None:
    """Write RUN/report.html: one file, for any browser, that needs no network.

    `compress distill` does this at its end. Do it again for a run that was interrupted, to see how far it is, or
    after `compress export`: files in RUN/export that were not scored yet are, where the held-out data is at hand.

    Parameters
    ----------
    run
        Run directory.
    """
    output.print(f"report         {run_report(run)}", soft_wrap=True)
