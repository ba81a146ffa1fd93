"""Parts of `gpu.py`: whole commands, onnxruntime on the device, and CIFAR-10."""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from gpu_distiller import Say

from compress.runs.models import card_of
from compress.tasks.data import open_data
from compress.tasks.models import create_model
from compress.tasks.models.model_folder import save_model
from compress.training.compute import Compute

LITTLE = (
    "--inversion.samples", 16, "--inversion.steps", 2, "--distillation.rounds", 2, "--distillation.warmup", 1,
    "--distillation.steps", 2, "--distillation.batch", 8, "--accept-any-student",
)  # fmt: skip
SMALL_NETWORKS = {
    "classification": ("--teacher", "cifar_resnet20", "--student", "cifar_wrn_16_1"),
    "segmentation": ("--teacher", "deeplabv3", "--student", "linknet:tu-test_resnet"),
}
TAUGHT = ("--steps", 30, "--batch", 16, "--lr", 3e-3)


def commands(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """Both default commands, as a user types them, into `gpu-runs` beside the results; with `--tiny` small ones."""
    for task, teacher in (("classification", "resnet34"), ("segmentation", "deeplabv3")):
        folder, words = options.out / "gpu-runs" / task, ["--teacher", teacher]
        if options.tiny:
            words = [*SMALL_NETWORKS[task], *LITTLE]
            words += _taught(options, task, "digits") if task == "classification" else []
        started = time.perf_counter()
        code, said = _compress(options, "distill", "--task", task, *words, "--out", folder, "--overwrite")
        report = folder / "report.json"
        scores = json.loads(report.read_text()).get("student") if code == 0 and report.is_file() else said
        say(task=task, code=code, seconds=time.perf_counter() - started, student=scores)


def onnx(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """onnxruntime on the device: parity and latency of fp32, fp16 and uint8 files, TensorRT where it is installed."""
    run_folder = options.out / "gpu-runs" / "classification"
    with tempfile.TemporaryDirectory() as folder:
        if not (run_folder / "student").is_dir():  # the part `commands` was left out or failed
            run_folder = _untrained(Path(folder) / "model")
        for name, words in {
            "fp32": [], "fp16": ["--precision", "fp16"], "uint8": ["--input", "uint8", "--output", "decision"],
        }.items():  # fmt: skip
            file = Path(folder) / f"{name}.onnx"
            code, said = _compress(options, "export", run_folder, "--out", file, *words)
            say(file=name, parity=code == 0, said=said)
            for provider in ("cuda", "tensorrt") if compute.device.type == "cuda" else ("cpu",):
                say(file=name, provider=provider, rows=_timed(options, file, provider))


def _timed(options: argparse.Namespace, file: Path, provider: str) -> Any:
    """The latencies of a file at three batch sizes, or why there are none."""
    sizes = [word for size in (1, 16, 64) for word in ("--batch", size)]
    seconds = 0.02 if options.tiny else 0.5
    words = ["-m", "compress", "benchmark", file, *sizes, "--provider", provider, "--seconds", seconds, "--json"]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["rows"] if done.returncode == 0 else _last(done.stderr)


def _untrained(folder: Path) -> Path:
    source = open_data("digits", "classification")
    network = create_model("classification", "cifar_resnet20", len(source.class_names)).eval()
    save_model(folder, network, card_of("cifar_resnet20", source, network), "# untrained\n")
    return folder


def cifar10(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """The packaged recipe `cifar10/ssd-kd-cpu` on the user's data and teacher; with `--tiny` little of it, and without
    data on made images that have a colour a class.
    """
    root = options.data_root or coloured_images(options.out / "gpu-runs" / "coloured")
    words = ["--config", "cifar10/ssd-kd-cpu", "--data-root", root, "--out", options.out / "gpu-runs" / "cifar10"]
    if options.tiny:
        words += [*SMALL_NETWORKS["classification"], *LITTLE]
    if options.teacher_weights:
        words += ["--teacher-weights", options.teacher_weights]
    else:
        words += _taught(options, "classification", "cifar10", root)
    started = time.perf_counter()
    code, said = _compress(options, "distill", *words, "--data", "cifar10", "--overwrite")
    say(code=code, seconds=time.perf_counter() - started, said=said)


def coloured_images(folder: Path) -> Path:
    """A folder in CIFAR-10's form: six batches of 100 images, whose class is their colour."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    colours, labels = random.integers(0, 256, (10, 3, 1)), np.arange(100) % 10
    for name in ("test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        pixels = (0.7 * colours[labels] + 0.3 * random.integers(0, 256, (100, 3, 1024))).astype(np.uint8)
        table = {"batch_label": name, "labels": labels.tolist(), "data": pixels.reshape(100, 3072)}
        (folder / name).write_bytes(pickle.dumps(table, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"colour {k}" for k in range(10)]}, protocol=2))
    return folder


def _taught(options: argparse.Namespace, task: str, data: str, root: Path | None = None) -> list[Any]:
    """The words that name weights of a small teacher of some data, which is taught first."""
    folder = options.out / "gpu-runs" / f"taught-{data}"
    words = ["--task", task, "--teacher", "cifar_resnet20", "--data", data, *TAUGHT, "--out", folder, "--overwrite"]
    code, said = _compress(options, "teach", *words, *(["--data-root", root] if root else []), "--no-pretrained")
    if code:
        raise SystemExit(said)
    return ["--teacher-weights", folder / "model.safetensors"]


def _compress(options: argparse.Namespace, command: str, *words: object) -> tuple[int, str]:
    """The exit code of a command on the device of the options, and the last line that it said."""
    if options.device == "pretend":
        import pretend_accelerator

        return pretend_accelerator.command(command, *words)
    place = [] if command == "export" else ["--device", options.device]
    line = [sys.executable, "-m", "compress", command, *map(str, (*words, *place))]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return done.returncode, _last(done.stderr or done.stdout)


def _last(said: str) -> str:
    return next(iter(said.strip().splitlines()[-1:]), "")[:200]
