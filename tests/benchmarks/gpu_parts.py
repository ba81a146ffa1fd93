"""The parts of `gpu.py` by name: each says its results one by one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack

import torch
from gpu_distiller import Say
from gpu_engine import memory, methods, same_seed
from gpu_jobs import cifar10, commands, onnx
from gpu_speed import profile, steps

from compress.training.compute import Compute

PARTS: dict[str, Callable[[Compute, argparse.Namespace, Say], None]] = {
    "methods": methods, "same-seed": same_seed, "steps": steps, "profile": profile, "memory": memory,
    "commands": commands, "onnx": onnx, "cifar10": cifar10,
}  # fmt: skip


def run(part: str, options: argparse.Namespace, say: Say) -> None:
    """One part, on the device of the options."""
    with ExitStack() as stack:
        if options.device == "pretend":
            import pretend_accelerator

            stack.enter_context(pretend_accelerator.accelerator())
            compute = Compute(pretend_accelerator.DEVICE, torch.float32)
        else:
            compute = Compute.choose(options.device)
        PARTS[part](compute, options, say)
