"""The history of a run: the numbers of each round, on disk during the run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from compress.storage.files import append_text, write_text

Row = dict[str, float]


class History:
    """One row per round, in memory for checkpoints and in metrics.jsonl and metrics.csv for readers.

    A row is appended to both files in one write. The table is rewritten only if a row has new columns. The files are
    therefore complete at any time, and the written bytes grow linearly with the rounds. Rows are not flushed to disk
    one by one: after a crash of the machine they are restored from the checkpoint, or their rounds are repeated.
    """

    def __init__(self, folder: Path, rows: list[Row]) -> None:
        """Replace the content of the files by `rows`, the history in a checkpoint."""
        self.rows = rows
        self._lines, self._table = folder / "metrics.jsonl", folder / "metrics.csv"
        self._columns = list(dict.fromkeys(name for row in rows for name in row))
        write_text(self._lines, "".join(map(_line, rows)))
        self._write_table()

    def add(self, row: Row) -> None:
        """Append the numbers of the next round."""
        self.rows.append(row)
        append_text(self._lines, _line(row))
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            self._write_table()
        else:
            append_text(self._table, self._cells([row]))

    def _write_table(self) -> None:
        head = dict(zip(self._columns, self._columns, strict=True))
        write_text(self._table, self._cells([head, *self.rows]))

    def _cells(self, rows: Sequence[Row | dict[str, str]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


def _line(row: Row) -> str:
    return json.dumps(row) + "\n"
