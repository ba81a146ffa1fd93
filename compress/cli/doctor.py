"""`compress doctor`: check the installation and onnxruntime's providers."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from typing import Any

import onnxruntime
import torch
from onnx import parser

from compress.cli.flags import Switch
from compress.export.providers import PROVIDERS, preload
from compress.storage.run_directory import environment
from compress.training.progress import output

RUNTIMES, CPU = ("onnxruntime", "onnxruntime-gpu"), PROVIDERS["cpu"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check."""

    subject: str
    said: str
    advice: str = ""
    """What to do; empty if the check passed."""


def doctor(*, json: Switch = False) -> None:
    """Check the installation, the GPU and onnxruntime's providers.

    It prints versions, which providers run on this machine, and what to do about those that do not.

    Parameters
    ----------
    json
        Print one JSON object on standard output.
    """
    findings = [_runtimes(), _torch_cuda(), *(_provider(name) for name in PROVIDERS)]
    facts = environment()
    if json:
        listed = [asdict(finding) for finding in findings]
        print(json_format.dumps({"schema_version": 1, "environment": facts, "findings": listed}))
        return
    output.print(f"Python {facts['python']}, {facts['platform']}, {facts['threads']} threads")
    for library, number in facts["libraries"].items():
        output.print(f"  {library} {number}")
    for finding in findings:
        output.print(f"{'fix' if finding.advice else 'ok '}  {finding.subject}: {finding.said}", soft_wrap=True)
        if finding.advice:
            output.print(f"     {finding.advice}", soft_wrap=True)


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _runtimes(find: Callable[[str], str | None] = _installed) -> Finding:
    """Both packages install the same module, so the order of installation decides which one is imported."""
    installed = [f"{package} {number}" for package in RUNTIMES if (number := find(package))]
    if len(installed) < 2:
        return Finding(
            subject="onnxruntime", said=installed[0] if installed else f"{onnxruntime.__version__}, from no package"
        )
    advice = "keep one: pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    return Finding(
        subject="onnxruntime",
        said=f"{' and '.join(installed)} are both installed and overwrite each other",
        advice=advice,
    )


def _torch_cuda() -> Finding:
    built: Any = torch.version.cuda
    if torch.cuda.is_available():
        cudnn: Any = torch.backends.cudnn
        said = f"CUDA {built}, cuDNN {cudnn.version()}, {torch.cuda.get_device_name()}"
        return Finding(subject="torch", said=said)
    return Finding(
        subject="torch", said=f"no GPU is visible; built for {f'CUDA {built}' if built else 'the CPU alone'}"
    )


def _provider(name: str) -> Finding:
    """Whether a session on it starts. Being in onnxruntime's list of providers does not imply that."""
    provider = PROVIDERS[name]
    if provider not in onnxruntime.get_available_providers():
        if name == "cpu" or not torch.cuda.is_available():
            return Finding(subject=name, said="onnxruntime was built without it")
        return Finding(
            subject=name,
            said="onnxruntime was built without it",
            advice="pip uninstall -y onnxruntime; pip install onnxruntime-gpu",
        )
    complaint = preload()
    if _started(provider):
        return Finding(subject=name, said="runs")
    if not torch.cuda.is_available():
        return Finding(subject=name, said="does not run: no GPU is visible")
    return Finding(
        subject=name,
        said=f"does not run: {complaint or 'the versions of its libraries do not match'}",
        advice=_remedy(name),
    )


def _started(provider: str) -> bool:
    """Whether the provider accepts a session of one node."""
    graph = '<ir_version: 10, opset_import: ["" : 18]> one (float[1] x) => (float[1] y) { y = Relu (x) }'
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    with redirect_stdout(StringIO()):  # onnxruntime prints errors there
        session = onnxruntime.InferenceSession(
            parser.parse_model(graph).SerializeToString(), settings, providers=list(dict.fromkeys([provider, CPU]))
        )
    return bool(session.get_providers()[0] == provider)


def _remedy(name: str) -> str:
    if name == "tensorrt":
        return "pip install tensorrt, for the CUDA version that torch reports above"
    return "pip install 'onnxruntime-gpu[cuda,cudnn]', whose CUDA version must equal torch's; both are listed above"
