"""The configuration of a file for NVIDIA's Triton Inference Server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8", "int32": "TYPE_INT32", "int64": "TYPE_INT64"}
LARGEST_BATCH = 64
"""Largest batch into which the server joins concurrent requests."""


def triton_config(labels: Mapping[str, Any]) -> str:
    """The config.pbtxt of a file with these labels. Triton takes the model's name from its folder.

    If the batch is free, the server forms batches, and `dims` are those of one image.
    """
    ports = [labels["input"], *labels["outputs"]]
    batched = all(not isinstance(port["shape"][0], int) for port in ports)
    sections = [
        'backend: "onnxruntime"',
        'default_model_filename: "model.onnx"',
        f"max_batch_size: {LARGEST_BATCH if batched else 0}",
        _listed("input", [labels["input"]], batched),
        _listed("output", labels["outputs"], batched),
    ]
    same_size = all(isinstance(side, int) for side in labels["input"]["shape"][1:])
    return "\n".join(sections + (["dynamic_batching { }"] if batched and same_size else [])) + "\n"


def _listed(kind: str, ports: list[dict[str, Any]], batched: bool) -> str:
    entries = []
    for port in ports:
        shape = port["shape"][1:] if batched else port["shape"]
        dims = ", ".join(str(side) if isinstance(side, int) else "-1" for side in shape)
        entries.append(f'  {{ name: "{port["name"]}" data_type: {TYPES[port["type"]]} dims: [ {dims} ] }}')
    return f"{kind} [\n" + ",\n".join(entries) + "\n]"
