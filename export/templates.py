"""The templates of a bundle's clients, card and page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

CLIENTS = Path(__file__).parent / "clients"


def rendered(template: str, **facts: Any) -> str:
    """A template of `clients/` filled with facts, which are escaped in HTML only; a missing fact is an error."""
    environment = Environment(
        loader=PackageLoader("compress.export", "clients"),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(facts)
