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
from onnx import GraphProto, ModelProto
from torch import nn

from compress.errors import CompressError, UsageError, first_line
from compress.task import Deployable, TaskSpec

from .card import FileCard
from .portable import make_portable, opset_of
from .processing import BODY_INPUT, BODY_OUTPUT

OPSET = 18
"""The exporter's own; it makes lower ones by a converter that may leave them as they are."""
SIZE_LIMIT = 1_500_000_000
"""Bytes: a protobuf message holds 2 GB at most, and what is done to a file copies it."""
TRACED_BATCH = 2  # a batch of 1 would become a constant
FREE_AXES = {0: "batch", 2: "height", 3: "width"}


def exported(network: Deployable, spec: TaskSpec, *, opset: int = OPSET, dynamic_size: bool = True) -> ModelProto:
    """The network as a graph, images `[n, 3, h, w]` to logits, with a free batch and, if asked, free height and width.

    Nothing in it tells where it was made. Raises `UsageError` for an opset below 18 and `CompressError` if torch's
    exporter refuses the network.
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
    except Exception as error:  # the exporter's own exceptions put the advice before the reason
        why = first_line(error.__cause__ or error, 200)
        raise CompressError(f"torch cannot export this network to ONNX: {why}") from error
    if program is None or opset_of(program.model_proto) != opset:
        raise UsageError(f"the exporter did not produce opset {opset}: choose {OPSET}")
    proto: ModelProto = program.model_proto
    if proto.ByteSize() >= SIZE_LIMIT:
        raise UsageError(f"the ONNX file would be {proto.ByteSize() / 1e9:.1f} GB: one file holds 1.5 GB at most")
    _strip(proto)
    make_portable(proto)
    _rename(proto)
    return proto


def write_model(model: ModelProto, card: FileCard, path: Path) -> None:
    """Write the checked model with its card to a path of the caller's own; the same of both give the same bytes."""
    onnx.helper.set_model_props(model, card.entries())
    model.producer_name, model.producer_version = "compress", card.versions.get("compress-kd", "")
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _plain_attention(network: nn.Module) -> Iterator[None]:
    """timm's attention as the products that it is made of: torch cannot take its fused form apart for every network."""
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


def _strip(proto: ModelProto) -> None:
    """Remove what leaks the builder's paths, source lines and parameter names; results stay the same.

    Inferred shapes go too: torch writes some that are wrong at other sizes, and onnxruntime plans its memory by them.
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


def _rename(proto: ModelProto) -> None:
    """Number nodes and values in their order: torch's own numbers count what it dropped, too, and differ by process."""
    graphs = list(_with_inner(proto.graph))
    names = {value.name: value.name for value in (*proto.graph.input, *proto.graph.output)}
    for index, weight in enumerate(weight for graph in graphs for weight in graph.initializer):
        weight.name = names.setdefault(weight.name, f"weight_{index}")
    nodes = [node for graph in graphs for node in graph.node]
    for index, node in enumerate(nodes):
        node.name = f"{node.op_type}_{index}"
        for place, name in enumerate(node.output):
            node.output[place] = names.setdefault(name, f"{node.name}_{place}") if name else ""
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
    for value in (value for graph in graphs[1:] for value in graph.output):
        value.name = names.get(value.name, value.name)


def _with_inner(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and those inside its nodes; torch gives every value of a file a name of its own."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _with_inner(inner)
