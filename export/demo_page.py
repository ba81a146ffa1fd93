"""The page of a bundle: one HTML file that holds the network, its runtime and its code."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from .runtime import OnnxModel
from .web_runtime import WebRuntime

CLIENTS = Path(__file__).parent / "clients"


def page_html(
    model: OnnxModel,
    labels: Mapping[str, Any],
    sample: Mapping[str, Any],
    values: NDArray[Any],
    runtime: WebRuntime,
    words: tuple[str, str],
) -> str:
    """The page, with a title and a line as `words`; names that somebody else chose are escaped.

    `sample` is the content of sample.json with the `decision`, and `values` its input. Its content policy lets the page
    ask the network for nothing.
    """
    parts = {
        "runtime": _packed(runtime.code),
        "wasm": _packed(runtime.wasm),
        "model": _text(model.path.read_bytes()),
        "values": _text(np.ascontiguousarray(values).tobytes()),
    }
    environment = Environment(
        loader=PackageLoader("compress.export", "clients"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pictures = (CLIENTS / "pictures.mjs").read_text(encoding="utf-8").replace("export function", "function")
    return environment.get_template("page.html.jinja").render(
        title=words[0],
        lead=words[1],
        version=runtime.version,
        labels=_json(labels),
        sample=_json(sample),
        parts=parts,
        pictures=pictures,
        page=(CLIENTS / "page.mjs").read_text(encoding="utf-8"),
    )


def _json(content: Mapping[str, Any]) -> str:
    """JSON that cannot end the element that it stands in, and so needs no other escape."""
    return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")


def _packed(content: bytes) -> str:
    return _text(gzip.compress(content, 6, mtime=0))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
