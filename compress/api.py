"""The Python API: the jobs of the command line as functions, quiet unless `progress` is true.

They change nothing of their caller's: random state is as it was afterwards, no signal handler is installed, and
nothing is printed on standard output.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.export import LEAST_SAVED
from compress.runs import evaluate as evaluation
from compress.runs import export as exporting
from compress.runs import predict as prediction
from compress.runs import teach as teaching
from compress.runs.answer_adapters import adapt_answer
from compress.runs.distill import RunOptions
from compress.runs.held_out_forms import HeldOut
from compress.runs.module_distillation import OwnNetworks, distil_modules
from compress.runs.own_modules import OwnData, normalised
from compress.runs.predicted_masks import MaskFormat
from compress.settings import DistillSettings, HeldOutSettings, LabelSettings, TeachSettings
from compress.training.compute import Compute, preserved_backends
from compress.training.progress import quiet
from compress.training.random_state import preserved_random_state


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """The result of `distill`."""

    student: nn.Module
    """Trained, on the CPU, in evaluation mode; float images `[n, 3, h, w]` in [0, 1] in, logits `[n, k, *s]` out."""
    folder: Path
    """The run directory."""
    onnx: Path
    """The verified file."""
    report: dict[str, Any]
    """What report.json holds: scores, sizes, parity."""


@contextmanager
def _undisturbed(progress: bool) -> Iterator[None]:
    with preserved_random_state(), preserved_backends(), quiet(not progress):
        yield


def distill(
    teacher: nn.Module,
    student: nn.Module,
    *,
    class_names: Sequence[str],
    image_shape: tuple[int, int, int],
    settings: DistillSettings | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    held_out: HeldOut | None = None,
    output: str | int | None = None,
    mirror: bool = True,
    background: int | None = None,
    palette: Sequence[tuple[int, int, int]] = (),
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    progress: bool = False,
    accept_any_student: bool = False,
) -> Distilled:
    """Distil `student` from `teacher` without data, score it, export it to ONNX and verify the file.

    Example: `distill(teacher, student, class_names="0123456789", image_shape=(3, 32, 32), settings=settings).onnx`

    Both modules map float images `[n, 3, h, w]` to logits: `[n, k]`, or `[n, k, h, w]` with
    `settings=DistillSettings(task="segmentation")`. They get images less `mean` over `std` (three numbers each, for
    RGB in [0, 1]), or images in [0, 1] as they are if both are left out. The modules are used, not copied: the
    teacher is frozen, the student is trained in place; both end on the CPU.

    A module that answers with more than logits gets an adapter: `output` names their field, key or place, such as
    `output="logits"`, `"out"` or `0`. `held_out` are real images, uint8 `[n, 3, h, w]`, and labels, integers `[n, *s]`
    (255 in a map is not counted), as a pair of tensors or arrays, a `Dataset` or a `DataLoader`; for scores only.
    Without them the report holds no accuracy but the share of new synthetic samples on which student and teacher
    agree. `mirror` says whether a mirror image keeps its label; `background` and `palette` (RGB colours by
    class) are for label maps. The run goes to `out`, or to `runs/own-METHOD-N`; `OUT/student` holds the weights for
    `load_state_dict`. `tensorboard` also writes event files to `OUT/tensorboard`.

    Raises `UsageError` for modules, data or settings that do not fit, `CompressError` if the run fails, and `GateError`
    if the ONNX file differs from the student, or if the student is no better than an answer that ignores the image and
    `accept_any_student` is not given; all files stay.
    """
    options = RunOptions(out=Path(out) if out else None, resume=resume, overwrite=overwrite, tensorboard=tensorboard)
    data = OwnData(
        class_names=class_names,
        image_shape=image_shape,
        held_out=held_out,
        mirror=mirror,
        background=background,
        palette=palette,
    )
    with _undisturbed(progress):
        networks = OwnNetworks(teacher=teacher, student=student, mean=mean, std=std, output=output)
        small, outcome = distil_modules(networks, data, settings or DistillSettings(), options)
    outcome.require(accept_any_student=accept_any_student)
    folder = outcome.run.path
    return Distilled(student=small, folder=folder, onnx=folder / "export" / "model.onnx", report=outcome.report)


def teach(
    settings: TeachSettings | None = None,
    *,
    out: str | Path,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Train a network by name on labelled data and save it in the folder `out`, for timm or SMP to load.

    Example: `teach(TeachSettings(teacher="cifar_resnet20", steps=300), out="digits-teacher")["top1"]`

    Returns what it scored on the held-out images: the metric's numbers, fractions, and `n`, their count. Raises
    `UsageError` for settings, data or a folder that cannot be used.
    """
    with _undisturbed(progress):
        taught = teaching.teach(settings or TeachSettings(), Path(out), resume=resume, overwrite=overwrite)
    return {"n": taught.score.count, **dict(taught.score.numbers)}


def evaluate(
    model: str | Path,
    *,
    teacher: str | None = None,
    data: str | None = None,
    data_root: str | Path | None = None,
    image_size: int | None = None,
    labels: LabelSettings | None = None,
    details: bool = False,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
    progress: bool = False,
) -> dict[str, Any]:
    """Score a run, a folder of this package, of timm or of SMP, a file of weights or an .onnx file on held-out data.

    Example: `evaluate("runs/digit-scenes-fast-dfkd-1")["miou"]`

    `data` is a data set by name, the model's own if None; `teacher` names the network of a file of weights that does
    not say it; `labels` say where masks lie and how they are read. `details` add Dice, precision and recall by class,
    boundary IoU and more for label maps. Returns `task`, `data`, `n` and the metric's numbers, fractions. Raises
    `UsageError` for what cannot be opened, and for data with other classes than the model's.
    """
    with _undisturbed(progress):
        compute, root = Compute.choose(device, precision), Path(data_root) if data_root else None
        chosen = labels.model_dump(exclude_unset=True) if labels else {}
        held_out = HeldOutSettings(data=data, data_root=root, image_size=image_size, **chosen)
        scored = evaluation.evaluate_model(Path(model), compute, teacher=teacher, held_out=held_out, details=details)
    return scored.report()


def predict(
    model: str | Path,
    images: Sequence[str | Path],
    *,
    out: str | Path,
    teacher: str | None = None,
    image_size: int | None = None,
    mask_format: Sequence[MaskFormat] = ("index",),
    overwrite: bool = False,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Write what a model sees in photographs to the folder `out`, and return it, a row a photograph.

    Example: `predict("model.onnx", ["street.jpg"], out="street-answers")[0]["shares"]`

    A row has `file`, and `guesses` (`class`, `probability`; the best first), or `shares` by class and `confidence` for
    label maps, whose pictures are in `out`. `teacher` names the network of a file of weights that does not say it.
    Raises `UsageError` for a model or photograph that cannot be used.
    """
    with _undisturbed(progress):
        files, folder = [Path(image) for image in images], Path(out)
        settings = ModelSettings(teacher=teacher, image_size=image_size)
        return prediction.predict(
            Path(model), files, folder, settings=settings, mask_format=mask_format, overwrite=overwrite
        )


def to_onnx(
    model: str | Path | nn.Module,
    out: str | Path | None = None,
    *,
    precision: str = "fp32",
    target: str = "cpu",
    input: Literal["float", "uint8"] = "float",
    output: Literal["decision", "probabilities", "logits"] = "decision",
    fixed_size: bool = False,
    fixed_batch: int | None = None,
    least_saved: float = LEAST_SAVED,
    settings: ModelSettings | None = None,
    class_names: Sequence[str] = (),
    image_shape: tuple[int, int, int] = (3, 224, 224),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    logits_at: str | int | None = None,
    calibration: Tensor | None = None,
    calibrate_on: str | Path | None = None,
    data_root: str | Path | None = None,
    progress: bool = False,
) -> Path:
    """Write a model as one ONNX file and prove in onnxruntime that it does what the model does; returns its path.

    Example: `to_onnx("runs/digit-scenes-fast-dfkd-1", "pixels.onnx", input="uint8")`

    `model` is a run, a folder of this package, of timm or of SMP, a file of weights, of which `settings` say what it
    does not, or a module of your own, whose `class_names`, `image_shape`, `mean` and `std` are then given as for
    `distill`; `logits_at` is what `output` is there. INT8 is calibrated on a run's samples, on
    `calibrate_on`, a folder of photographs, on `calibration`, uint8 `[n, 3, h, w]`, of a module, or else on images that
    are synthesised for the model, which takes minutes. `precision` and `target` are names of `compress.export`'s
    `PRECISIONS` and `TARGETS`. Raises `UsageError` for a model that cannot be exported so, and `GateError` if the file
    differs; it stays; or if another precision saves less than the share `least_saved` of bytes or time.
    """
    options = exporting.ExportOptions(
        precision=precision, target=target, input=input, output=output,
        fixed_size=fixed_size, fixed_batch=fixed_batch, least_saved=least_saved,
    )  # fmt: skip
    with _undisturbed(progress):
        if not isinstance(model, (str, Path)):
            if out is None:
                raise UsageError("a module of your own has no folder: name the file to write with `out`")
            data = OwnData(class_names=class_names, image_shape=image_shape)
            own = copy.deepcopy(model) if isinstance(model, nn.Module) else model  # which is moved to the CPU
            network = normalised(adapt_answer(own, "model", logits_at, image_shape, "logits_at"), mean, std)
            folder = Path(calibrate_on) if calibrate_on else None
            exported = exporting.export_module(network, data, Path(out), options, calibration, folder)
        else:
            exported = exporting.export(
                Path(model),
                Path(out) if out else None,
                options,
                settings=settings,
                calibrate_on=Path(calibrate_on) if calibrate_on else None,
                data_root=Path(data_root) if data_root else None,
            )
    exported.require()
    return exported.facts.path
