"""The page of a bundle: one HTML file with the network, its runtime and its code."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .runtime import OnnxModel
from .templates import CLIENTS, rendered
from .web_runtime import WebRuntime


def page_html(
    model: OnnxModel,
    labels: Mapping[str, Any],
    sample: Mapping[str, Any],
    values: NDArray[Any],
    runtime: WebRuntime,
    words: tuple[str, str],
) -> str:
    """The HTML of the page; `words` are its title and its first line. Untrusted names are escaped.

    `sample` is the content of sample.json with the `decision`, and `values` is its input. The page's content security
    policy allows no network requests.
    """
    parts = {
        "runtime": _packed(runtime.code),
        "wasm": _packed(runtime.wasm),
        "model": _text(model.path.read_bytes()),
        "values": _text(np.ascontiguousarray(values).tobytes()),
    }
    pictures = (CLIENTS / "pictures.mjs").read_text(encoding="utf-8").replace("export function", "function")
    return rendered(
        "page.html.jinja",
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
    """JSON that cannot close the HTML element around it, so that it needs no other escape."""
    return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")


def _packed(content: bytes) -> str:
    return _text(gzip.compress(content, 6, mtime=0))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
