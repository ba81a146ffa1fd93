"""The files in a run's `export/`: their facts, scores and latencies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from compress.export import OnnxModel, OnnxScores
from compress.export.latency import interleaved
from compress.runs.evaluation import Score, evaluate
from compress.runs.timed_models import InOnnxRuntime, InTorch
from compress.task import HeldOut
from compress.training.compute import CPU_FLOAT32

SECONDS = 0.1
"""Seconds of timing per network, with at least five rounds."""
SLOWEST = 0.3
"""Longest time per image of the first network, in seconds; slower ones are not timed."""


def file_facts(file: OnnxModel, path: Path, score: Score | None) -> dict[str, Any]:
    """The facts and the score of a file."""
    facts = {
        "precision": file.card.precision,
        "bytes": path.stat().st_size,
        "sha256": _digest(path),
        "fits": list(file.card.fits),
        "notes": list(file.card.notes),
    }
    return facts | (dict(score.numbers) if score else {})


def exported_files(
    folder: Path, scored: Mapping[str, Any], metric: str, held_out: HeldOut | None
) -> dict[str, dict[str, Any]]:
    """The facts of every ONNX file in a folder: `scored` ones stay, others are scored where there is held-out data."""
    facts = {}
    for path in sorted(folder.glob("*.onnx")):
        before = scored.get(path.name, {})
        if before.get("sha256") == _digest(path) and metric in before:
            facts[path.name] = before
            continue
        file = OnnxModel(path)
        score = evaluate(OnnxScores(file), held_out, CPU_FLOAT32) if held_out else None
        facts[path.name] = file_facts(file, path, score)
    return facts


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def latencies(networks: Mapping[str, nn.Module], file: Path, shape: tuple[int, int, int]) -> dict[str, Any] | None:
    """Milliseconds for one image on the CPU, networks in torch and the file in onnxruntime, in interleaved rounds.

    None if the first network is too slow. The networks are moved to the CPU.
    """
    image, cpu = np.random.default_rng(0).random((1, *shape), dtype=np.float32), torch.device("cpu")
    runners = {name: InTorch(network, shape, cpu).whole(image) for name, network in networks.items()}
    runners[file.name] = InOnnxRuntime(OnnxModel(file)).whole(image)
    if _seconds(next(iter(runners.values()))) > SLOWEST:
        return None
    timed = interleaved(runners, SECONDS)
    return {
        "milliseconds": {name: 1000 * latency.percentile(50) for name, latency in timed.items()},
        "size": shape[1:],
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def _seconds(once: Callable[[], object]) -> float:
    """What an answer takes after a first one."""
    once()
    started = time.perf_counter()
    once()
    return time.perf_counter() - started
