"""onnxruntime sessions on the requested provider, or an error with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import onnxruntime as ort

from compress.errors import UsageError, first_line

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
LOG_NOTHING = 4
"""Log level that silences onnxruntime: failures raise exceptions, and its log lines show its own source files."""


def start(path: Path, provider: str, options: Mapping[str, Any]) -> ort.InferenceSession:
    """A session on the named provider, with `options` for it.

    If a GPU's libraries are missing, onnxruntime falls back to the CPU with a line on stderr; here that is an error.
    Raises `UsageError` if the file cannot be loaded or the provider does not start.
    """
    if provider not in PROVIDERS:
        raise UsageError(f"unknown provider {provider!r}: choose {', '.join(PROVIDERS)}")
    provider_name, settings = PROVIDERS[provider], ort.SessionOptions()
    settings.log_severity_level = LOG_NOTHING
    chain = [(provider_name, dict(options))] if provider == "cpu" else _gpu_chain(provider, options)
    if not path.is_file():
        raise UsageError(f"no ONNX file {path}")
    try:
        with redirect_stdout(StringIO()):  # onnxruntime prints on stdout which providers do not start
            session = ort.InferenceSession(path, settings, providers=chain)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise UsageError(f"onnxruntime cannot load {path}: {first_line(error)}; is it a complete ONNX file?") from error
    if session.get_providers()[0] != provider_name:
        raise UsageError(
            f"onnxruntime runs on {session.get_providers()[0]} instead of {provider}: its libraries are missing or do "
            "not match; `compress doctor` shows what is missing"
        )
    return session


def _gpu_chain(provider: str, options: Mapping[str, Any]) -> list[Any]:
    """The provider, followed by the fallbacks for nodes that it does not support."""
    if PROVIDERS[provider] not in ort.get_available_providers():
        raise UsageError(
            f"this onnxruntime has no {provider}: pip install onnxruntime-gpu, after pip uninstall onnxruntime"
        )
    preload()
    behind = ["CPUExecutionProvider"] if provider == "cuda" else ["CUDAExecutionProvider", "CPUExecutionProvider"]
    return [(PROVIDERS[provider], dict(options)), *behind]


def preload() -> str:
    """Load torch's CUDA libraries for onnxruntime; returns the first error, or an empty text."""
    with redirect_stdout(StringIO()) as printed:
        ort.preload_dlls()
    return next(iter(printed.getvalue().splitlines()), "")


def tensorrt_options(
    cache: Path, sizes: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]], *, fp16: bool = False
) -> dict[str, Any]:
    """Options with which TensorRT builds one engine for a range of shapes and keeps it in the folder `cache`.

    `sizes` are the smallest, the typical and the largest batch, height and width of an `images` input. TensorRT builds
    the engine at the first run, and again when a shape is outside that range.
    """
    least, usual, most = (f"images:{batch}x3x{height}x{width}" for batch, height, width in sizes)
    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(cache),
        "trt_fp16_enable": fp16,
        "trt_profile_min_shapes": least,
        "trt_profile_opt_shapes": usual,
        "trt_profile_max_shapes": most,
    }
