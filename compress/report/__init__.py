"""The HTML report of a run, made from the files of its folder alone.

It knows no task and no exporter: what it shows of either stands in `report.json`.
"""

from __future__ import annotations

from .page import write_page

__all__ = ["write_page"]
