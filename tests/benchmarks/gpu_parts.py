"""The parts of `gpu.py`: each says its results one by one."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compress.distillation.distiller import Distiller
from compress.gan.collected import Collected
from compress.methods import METHODS, MethodContext, frozen
from compress.settings import DistillSettings
from compress.storage.settings_files import merged
from compress.tasks.models import create_model
from compress.testing import FakeTask
from compress.training.capture import WARM
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers
from compress.training.random_state import seed_all

Say = Callable[..., None]
PAIRS = (
    ("classification", "cifar_resnet56", "cifar_resnet20", 32, 256),
    ("classification", "cifar_wrn_40_2", "cifar_wrn_16_2", 32, 256),
    ("classification", "cifar_resnet34", "cifar_resnet18", 32, 256),
    ("segmentation", "deeplabv3:resnet50", "deeplabv3:mobilenet_v2", 128, 64),
)
"""Task, teacher, student, side of the images, batch."""
TINY = {
    "inversion": {"samples": 8, "steps": 2, "latent": 16, "width": 8},
    "distillation": {"rounds": 2, "warmup": 1, "steps": 2, "batch": 8, "lr": 0.05},
}


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


def distiller(
    compute: Compute, method: str, task: Any, teacher: nn.Module, student: nn.Module, settings: dict[str, Any]
) -> Distiller:
    """A method's distiller on two networks."""
    seed_all(0)
    for network in (frozen(teacher), student):
        compute.place(network)
    own = DistillSettings.model_validate(merged(METHODS[method].defaults, {"method": method}, settings))
    noise = torch.randint(256, (64, *task.spec.image_shape), dtype=torch.uint8)
    collected = Collected(noise, torch.arange(64) % task.spec.num_classes) if METHODS[method].needs_collected else None
    execution = Execution(compute=compute, workers=Workers(), randomness=torch.Generator().manual_seed(0))
    context = MethodContext(
        task=task, teacher=teacher, student=student, settings=own, mirror=True, execution=execution, collected=collected
    )
    return METHODS[method].build(context)


def methods(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """Every method, both tasks, two rounds."""
    say(device=_name(compute), torch=torch.__version__, precision=compute.precision)
    for method, entry in METHODS.items():
        for positions in (False,) if entry.shares_classifier else (False, True):
            started, task = time.perf_counter(), FakeTask(positions=positions)
            pair = [task.teacher(), task.student()]
            if entry.shares_classifier:
                from small_networks import Halves

                pair = [Halves(8), Halves(4)]
            small = merged(TINY, {"gan": {"iterations": 2, "batch": 8, "latent": 8, "width": 8, "samples": 16}})
            rounds: list[Any] = []
            distiller(compute, method, task, *pair, small if method == "hidfd" else TINY).run(rounds.append)
            task_name = "segmentation" if positions else "classification"
            say(method=method, task=task_name, rounds=len(rounds), seconds=time.perf_counter() - started)


def same_seed(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """The same seed on the processor and on the device, in fp32: the losses of the first rounds side by side."""
    rows: list[list[dict[str, float]]] = []
    for place in (Compute(torch.device("cpu"), torch.float32), replace(compute, dtype=torch.float32, capture="off")):
        seed_all(0)
        pair = [create_model("classification", f"cifar_resnet{depth}", 10) for depth in (20, 20)]
        settings = {"inversion": {"samples": 16, "steps": 2}, "distillation": {**TINY["distillation"], "rounds": 3}}
        trained = distiller(place, "ssd-kd", FakeTask(positions=False, classes=10, size=32), *pair, settings)
        numbers: list[dict[str, float]] = []
        trained.run(lambda done, numbers=numbers: numbers.append(done.numbers))
        rows.append(numbers)
    for index, (here, there) in enumerate(zip(*rows, strict=True)):
        for name in ("one_hot", "bn", "kl"):
            if name in here:
                say(round=index, loss=name, cpu=here[name], device=there[name])


def steps(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """Milliseconds of an inversion round and of a student's step, beside a plain loop's step and its CUDA graph's."""
    for task_name, big, small, side, batch in PAIRS[:1] + PAIRS[3:] if options.tiny else PAIRS:
        batch, side = (4, min(side, 64)) if options.tiny else (batch, side)  # noqa: PLW2901
        row: dict[str, Any] = {"pair": f"{big} to {small}", "batch": batch, "side": side}
        for capture in ("off", "auto"):
            pair = [create_model(task_name, name, 10) for name in (big, small)]
            task = FakeTask(positions=task_name == "segmentation", classes=10, size=side)
            count = 2 if options.tiny else WARM + 25
            settings = {
                "inversion": {"samples": batch, "steps": 2 if options.tiny else 5, "conditional": True},
                "distillation": {"rounds": 3, "warmup": 1, "steps": count, "batch": batch, "lr": 0.01},
                "replay": {"capacity": 4 * batch},
            }
            trained = distiller(replace(compute, capture=capture), "ssd-kd", task, *pair, settings)
            times: list[tuple[float, float]] = []

            def keep_times(_: object, run: Distiller = trained, times: list[tuple[float, float]] = times) -> None:
                _wait(compute)
                times.append(tuple(run.seconds.values()))

            trained.run(keep_times)
            inversion, distillation = (times[-1][half] - times[-2][half] for half in (0, 1))
            row |= {"inversion_ms": 1e3 * inversion} if capture == "off" else {}
            row[f"step_{capture}_ms"] = 1e3 * distillation / count
        row |= _plain(compute, pair, batch, side, 2 if options.tiny else 20)
        say(**row)


def _plain(compute: Compute, pair: list[nn.Module], batch: int, side: int, count: int) -> dict[str, float]:
    """Milliseconds of the same step in a loop that a user would write, and as a CUDA graph: the floor."""
    teacher, student = pair[0].eval(), pair[1].train()
    optimizer = torch.optim.SGD(student.parameters(), 0.01, momentum=0.9, nesterov=True)
    images = torch.rand(batch, 3, side, side).to(compute.device).contiguous(memory_format=torch.channels_last)

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with compute.autocast():
            with torch.no_grad():
                answers = teacher(images).float().softmax(dim=1)
            loss = -(answers * student(images).float().log_softmax(dim=1)).sum(dim=1).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss

    row = {"plain_ms": _milliseconds(step, compute, count)}
    if compute.device.type == "cuda":
        side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(side_stream):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        row["graph_ms"] = _milliseconds(graph.replay, compute, count)
    return row


def _milliseconds(step: Callable[[], object], compute: Compute, count: int) -> float:
    for _ in range(min(count, 3)):
        step()
    _wait(compute)
    started = time.perf_counter()
    for _ in range(count):
        step()
    _wait(compute)
    return 1e3 * (time.perf_counter() - started) / count


def profile(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """Where the time of the student's steps goes: the operations that take most."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    pair = [create_model("classification", f"cifar_wrn_{name}", 10) for name in ("40_2", "16_2")]
    batch = 4 if options.tiny else 256
    plan = {"rounds": 2, "warmup": 0, "steps": 2 if options.tiny else 10, "batch": batch, "lr": 0.01}
    settings = {"inversion": {"samples": batch, "steps": 1}, "distillation": plan}
    trained = distiller(compute, "ssd-kd", FakeTask(positions=False, classes=10, size=32), *pair, settings)
    on_card = compute.device.type == "cuda"
    with profiled(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_card]) as record:
        trained.run(lambda _: None)
    key = "self_device_time_total" if on_card else "self_cpu_time_total"
    for entry in sorted(record.key_averages(), key=lambda e: getattr(e, key), reverse=True)[:12]:
        say(operation=entry.key[:60], calls=entry.count, milliseconds=getattr(entry, key) / 1e3)


class Narrow(nn.Module):
    """Says that memory ran out whenever it is shown more than so many images: for where no card can say it."""

    def __init__(self, network: nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most = network, most

    def forward(self, images: Tensor) -> Tensor:
        """The network's logits."""
        if len(images) > self.most:
            raise torch.OutOfMemoryError
        logits: Tensor = self.network(images)
        return logits


def memory(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """Out of memory on purpose: a share of the card for a batch that does not fit into it."""
    if compute.device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(0.02)
    pair = [create_model("classification", f"cifar_resnet{depth}", 10) for depth in (34, 18)]
    batch = 8 if options.tiny else 2048
    if compute.device.type != "cuda":
        pair = [Narrow(network, batch // 2) for network in pair]
    plan = {"rounds": 2, "warmup": 0, "steps": 1, "batch": batch, "lr": 0.01}
    settings = {"inversion": {"samples": batch, "steps": 1}, "distillation": plan}
    trained = distiller(compute, "ssd-kd", FakeTask(positions=False, classes=10, size=32), *pair, settings)
    notices: list[str | None] = []
    trained.run(lambda done: notices.append(done.notice))
    parts = {"inversion": trained.inversion.micro_batches, "student": trained.student_step.micro_batches}
    say(**parts, notices="; ".join(filter(None, notices)) or "nothing ran out")


def commands(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """Both default commands, as a user types them, into `gpu-runs` beside the results."""
    device = "cpu" if options.device == "pretend" else options.device
    for task, teacher in (("classification", "resnet34"), ("segmentation", "deeplabv3")):
        folder = options.out / "gpu-runs" / task
        words = ["--dry-run"] if options.tiny else ["--out", folder, "--overwrite"]
        started = time.perf_counter()
        done = _compress("distill", "--task", task, "--teacher", teacher, "--device", device, *words)
        report = folder / "report.json"
        scores = json.loads(report.read_text()).get("student") if report.is_file() else None
        say(task=task, code=done.returncode, seconds=time.perf_counter() - started, student=scores)


def onnx(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """onnxruntime on the device: parity and latency of fp32, fp16 and uint8 files, TensorRT where it is installed."""
    run_folder = options.out / "gpu-runs" / "classification"
    if not (run_folder / "student").is_dir():
        say(skipped="there is no run of the part `commands` to export")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, words in {
            "fp32": [], "fp16": ["--precision", "fp16"], "uint8": ["--input", "uint8", "--output", "decision"],
        }.items():  # fmt: skip
            file = Path(folder) / f"{name}.onnx"
            done = _compress("export", run_folder, "--out", file, *words)
            say(file=name, parity=done.returncode == 0, said=_last(done))
            for provider in ("cuda", "tensorrt") if compute.device.type == "cuda" else ("cpu",):
                sizes = [word for size in (1, 16, 64) for word in ("--batch", size)]
                timed = _compress("benchmark", file, *sizes, "--provider", provider, "--seconds", 0.5, "--json")
                rows = json.loads(timed.stdout)["rows"] if timed.returncode == 0 else _last(timed)
                say(file=name, provider=provider, rows=rows)


def cifar10(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """The packaged recipe `cifar10/ssd-kd-cpu` on the user's data and teacher."""
    words = ["--config", "cifar10/ssd-kd-cpu", "--data-root", options.data_root]
    words += ["--out", options.out / "gpu-runs" / "cifar10"]
    words += ["--teacher-weights", options.teacher_weights] if options.teacher_weights else []
    started = time.perf_counter()
    done = _compress("distill", *words, "--overwrite", "--device", options.device)
    say(code=done.returncode, seconds=time.perf_counter() - started, said=_last(done))


def _compress(*words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "compress", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def _last(done: subprocess.CompletedProcess[str]) -> str:
    return next(iter((done.stderr or done.stdout).strip().splitlines()[-1:]), "")[:200]


def _wait(compute: Compute) -> None:
    if compute.device.type == "cuda":
        torch.cuda.synchronize()


def _name(compute: Compute) -> str:
    return (
        torch.cuda.get_device_name(compute.device)
        if compute.device.type == "cuda"
        else (f"{compute.device.type}, {platform.machine()}")
    )


PARTS: dict[str, Callable[[Compute, argparse.Namespace, Say], None]] = {
    "methods": methods, "same-seed": same_seed, "steps": steps, "profile": profile, "memory": memory,
    "commands": commands, "onnx": onnx, "cifar10": cifar10,
}  # fmt: skip
