"""Export with torch to one self-contained ONNX file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import ModelProto
from torch import nn

from compress.errors import CompressError, UsageError, first_line
from compress.task import Deployable, TaskSpec

from .canonical import make_canonical
from .card import FileCard
from .portable import make_portable, opset_of
from .processing import BODY_INPUT, BODY_OUTPUT

OPSET = 18
"""The exporter's own opset. Lower ones need a converter that can fail without an error."""
SIZE_LIMIT = 1_500_000_000
"""Largest file in bytes: a protobuf message is limited to 2 GB, and conversions add to it."""
TRACED_BATCH = 2  # a batch of 1 would become a constant
FREE_AXES = {0: "batch", 2: "height", 3: "width"}


def exported(network: Deployable, spec: TaskSpec, *, opset: int = OPSET, dynamic_size: bool = True) -> ModelProto:
    """Export the network as a graph from images `[n, 3, h, w]` to logits, with a free batch.

    Height and width are free with `dynamic_size`. The graph has no paths or names of the machine that exported it.
    Raises `UsageError` for an opset below 18, and `CompressError` if torch's exporter refuses the network.
    """
    if opset < OPSET:
        raise UsageError(f"opset {opset} is below {OPSET}, the exporter's own: choose {OPSET} or more")
    axes = FREE_AXES if dynamic_size else {0: FREE_AXES[0]}
    example = torch.rand(TRACED_BATCH, *spec.image_shape, generator=torch.Generator().manual_seed(0))
    try:
        with _quiet(), _plain_attention(network):
            program = torch.onnx.export(
                network.eval(),
                (example,),
                dynamo=True,
                opset_version=opset,
                external_data=False,
                input_names=[BODY_INPUT],
                output_names=[BODY_OUTPUT],
                dynamic_shapes=(axes,),
                verbose=False,
            )
    except Exception as error:  # the exporter's own exceptions have advice before the reason
        why = first_line(error.__cause__ or error, 200)
        raise CompressError(f"torch cannot export this network to ONNX: {why}") from error
    if program is None or opset_of(program.model_proto) != opset:
        raise UsageError(f"the exporter did not produce opset {opset}: choose {OPSET}")
    proto: ModelProto = program.model_proto
    if proto.ByteSize() >= SIZE_LIMIT:
        raise UsageError(f"the ONNX file would be {proto.ByteSize() / 1e9:.1f} GB: one file holds 1.5 GB at most")
    _strip(proto)
    make_portable(proto)
    make_canonical(proto)
    return proto


def write_model(model: ModelProto, card: FileCard, path: Path) -> None:
    """Check the model and write it with its card to `path`; equal models and cards give equal bytes."""
    onnx.helper.set_model_props(model, card.entries())
    model.producer_name, model.producer_version = "compress", card.versions.get("compress-kd", "")
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _plain_attention(network: nn.Module) -> Iterator[None]:
    """Replace timm's fused attention by separate products while entered: torch cannot export the fused form of all
    networks."""
    fused: list[Any] = [module for module in network.modules() if getattr(module, "fused_attn", False)]
    for module in fused:
        module.fused_attn = False
    try:
        yield
    finally:
        for module in fused:
            module.fused_attn = True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which prints its steps and warns about its own internals."""
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


def _strip(proto: ModelProto) -> None:
    """Remove paths, source lines and parameter names of the exporting machine; results stay the same.

    Inferred shapes are removed too: some are wrong at other sizes, and onnxruntime plans memory with them.
    """
    del proto.graph.value_info[:]
    for graph in (proto.graph, *proto.functions):
        del graph.metadata_props[:]
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
    for values in (proto.graph.input, proto.graph.output, proto.graph.initializer):
        for value in values:
            del value.metadata_props[:]
            value.doc_string = ""
