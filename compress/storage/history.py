"""The numbers of a run's rounds, on disk while the run goes on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from compress.storage.files import append_text, write_text

Row = dict[str, float]


class History:
    """One row a round: in memory for checkpoints, in metrics.jsonl and metrics.csv for whoever reads along.

    A row is added to the end of both files in one piece; the table is written anew only when a row brings new columns.
    So files are whole at any time, and what a run writes grows with its rounds, not with their square. Rows are not
    forced to the disk one by one: what a crash of the machine takes is in the checkpoint, or is done again.
    """

    def __init__(self, folder: Path, rows: list[Row]) -> None:
        """The files hold `rows` from now on, and nothing of what was added after the checkpoint that these are of."""
        self.rows = rows
        self._lines, self._table = folder / "metrics.jsonl", folder / "metrics.csv"
        self._columns = list(dict.fromkeys(name for row in rows for name in row))
        write_text(self._lines, "".join(map(_line, rows)))
        self._write_table()

    def add(self, row: Row) -> None:
        """The numbers of the round that follows."""
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
