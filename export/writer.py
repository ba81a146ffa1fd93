"""Writing one self-contained ONNX file."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnx
import torch

from compress.errors import CompressError
from compress.files import write_with
from compress.task import Deployable, TaskSpec

OPSET = 18  # the exporter's own; lower ones go through a converter
SIZE_LIMIT = 2 * 1024**3  # a protobuf message cannot be larger
TRACED_BATCH = 2  # 1 would be taken for a constant


@dataclass(frozen=True)
class ExportFacts:
    """What was written."""

    path: Path
    dynamic_size: bool
    """Whether height and width are free."""
    reason: str
    """Why they are not; empty if they are."""


def write_onnx(
    deployable: Deployable, spec: TaskSpec, path: Path, *, dynamic_size: bool = True, reason: str = ""
) -> ExportFacts:
    """Export `deployable` (images `[n, 3, h, w]` in [0, 1] in) with a free batch, and free height and width if it can.

    Raises `CompressError` if the exporter refuses the network even at a fixed size.
    """
    if dynamic_size:
        try:
            program = _exported(deployable, spec, {0: "batch", 2: "height", 3: "width"})
        except Exception as error:  # the exporter raises its own types and those of what it calls
            return write_onnx(deployable, spec, path, dynamic_size=False, reason=_first_line(error))
    else:
        program = _fixed_size(deployable, spec)
    proto = program.model_proto
    if proto.ByteSize() >= SIZE_LIMIT:
        raise CompressError(f"the ONNX file would be {proto.ByteSize() / 1e9:.1f} GB: one file holds at most 2 GB")
    _strip_traces(proto)
    onnx.helper.set_model_props(proto, _metadata(spec, dynamic_size))
    onnx.checker.check_model(proto, full_check=True)
    write_with(path, lambda temporary: temporary.write_bytes(proto.SerializeToString(deterministic=True)))
    return ExportFacts(path, dynamic_size, reason)


def _fixed_size(deployable: Deployable, spec: TaskSpec) -> torch.onnx.ONNXProgram:
    try:
        return _exported(deployable, spec, {0: "batch"})
    except Exception as error:
        raise CompressError(f"torch cannot export this network to ONNX: {_first_line(error)}") from error


def _exported(deployable: Deployable, spec: TaskSpec, free_axes: dict[int, str]) -> torch.onnx.ONNXProgram:
    example = torch.rand(TRACED_BATCH, *spec.image_shape, generator=torch.Generator().manual_seed(0))
    with _quiet():
        program = torch.onnx.export(
            deployable.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=["images"],
            output_names=list(deployable.output_names),
            dynamic_shapes=(free_axes,),
            verbose=False,
        )
    if program is None or program.model_proto.opset_import[0].version < OPSET:
        raise CompressError("the exporter did not keep the opset")
    return program


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its steps and warns about its own internals."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _strip_traces(proto: onnx.ModelProto) -> None:
    """Remove what leaks the builder's paths, source lines and parameter names; results stay the same."""
    graphs = [proto.graph, *proto.functions]
    for graph in graphs:
        del graph.metadata_props[:]
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
    for values in (proto.graph.input, proto.graph.output, proto.graph.value_info, proto.graph.initializer):
        for value in values:
            del value.metadata_props[:]
            value.doc_string = ""


def _metadata(spec: TaskSpec, dynamic_size: bool) -> dict[str, str]:
    libraries = ("compress-kd", "torch", "onnx", "onnxscript", "timm", "segmentation-models-pytorch")
    return {
        "task": spec.name,
        "class_names": json.dumps(spec.class_names),
        "input": "images: float32 [batch, 3, height, width], RGB; normalisation is in the graph",
        "input_range": "[0, 1]",
        "image_shape": json.dumps(spec.image_shape),
        "image_size": json.dumps(spec.image_size),
        "dynamic_size": json.dumps(dynamic_size),
        "palette": json.dumps(spec.palette),
        "versions": json.dumps({library: _version(library) for library in libraries}),
    }


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:  # a bare checkout that was never installed
        from compress import __version__

        return __version__


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
