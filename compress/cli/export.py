"""`compress export`: write a model as a verified ONNX file, in any precision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from compress.cli.flags import Switch
from compress.cli.outcome import file_kind, print_conversion, print_parity
from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.export import LEAST_SAVED
from compress.runs.bundle import bundle as write_bundle
from compress.runs.bundle import require_bundle_place
from compress.runs.export import ExportOptions
from compress.runs.export import export as run_export
from compress.runs.gates import MOST_LOST
from compress.runs.openvino import export_openvino
from compress.training.progress import output as console


def export(
    model: Path,
    /,
    *,
    out: Path | None = None,
    format: Literal["onnx", "openvino"] = "onnx",
    settings: Annotated[ModelSettings | None, Parameter(name="*")] = None,
    precision: str = "fp32",
    target: Annotated[str, Parameter(name="--for")] = "cpu",
    input: Literal["float", "uint8"] = "float",
    output: Literal["decision", "probabilities", "logits"] = "decision",
    fixed_size: Switch = False,
    fixed_batch: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1024))] = None,
    opset: int = 18,
    calibrate_on: Path | None = None,
    data_root: Path | None = None,
    most_lost: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = MOST_LOST,
    bundle: Path | None = None,
    least_saved: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = LEAST_SAVED,
    overwrite: Switch = False,
) -> None:
    """Write a model as ONNX and verify the file.

    The file is compared with torch at five shapes in onnxruntime. If held-out images are available, both are scored
    with the same metric. The exit code is 3 if they differ.

    Parameters
    ----------
    model
        Run, folder of compress, timm or SMP, or weights file (with --teacher).
    out
        File to write. The default is RUN/export/model.onnx, with the precision in its name unless that is fp32.
    format
        onnx, or OpenVINO's own, an .xml with its weights beside it, which is compared in OpenVINO's runtime. It needs
        pip install 'compress-kd[openvino]'.
    precision
        Number format of the network's arithmetic: fp32, fp16, int8, or another name of `compress list precisions`.
        fp16 is for GPUs and keeps float32 inputs and outputs. int8 is calibrated on a run's synthetic samples, or else
        on images that are synthesised for the model in a few minutes, and keeps sensitive layers in float32.
    target
        Where the file is to run: cpu, tensorrt, openvino, or another name of `compress list targets`. It decides how
        int8 is written. A file that the target's documents exclude is refused.
    input
        float: images, float32 [n, 3, h, w] in [0, 1]. uint8: pixels, [n, h, w, 3] of any size, resized inside the
        graph.
    output
        decision: classes and scores, which are a classifier's five best classes or a segmenter's class map. Or all
        probabilities or logits.
    fixed_size
        Fix height and width to the training size even if the network takes others.
    fixed_batch
        Fix the number of images that the file takes at once. The default is any number.
    opset
        Version of the ONNX operators, 18 or higher.
    calibrate_on
        Folder of photographs for int8 calibration, of any kind, in place of synthetic images.
    data_root
        Folder of the held-out images, for data on your disk. Without it no metric is compared.
    most_lost
        Largest loss of the metric, as a fraction, before the exit code is 3.
    bundle
        Folder to hand over. It gets the file, labels.json, a sample with the expected answer and a smoke test, clients
        in Python, JavaScript and C++, a page that a photograph is dropped on, a Triton configuration and a model card.
    least_saved
        Share of the bytes or of the time that another precision has to save, or the exit code is 3 and there is no
        file. 0 accepts any file.
    overwrite
        Replace a file at --out that compress did not write. Its own files are replaced without this.
    """
    options = ExportOptions(
        precision=precision,
        target=target,
        input=input,
        output=output,
        fixed_size=fixed_size,
        fixed_batch=fixed_batch,
        opset=opset,
        most_lost=most_lost,
        least_saved=least_saved,
        overwrite=overwrite,
    )
    if bundle is not None:
        require_bundle_place(bundle)
        if format != "onnx":
            raise UsageError("`bundle` holds an ONNX file, which OpenVINO reads too: leave out `format`")
    job = run_export if format == "onnx" else export_openvino
    exported = job(model, out, options, settings=settings, calibrate_on=calibrate_on, data_root=data_root)
    print_conversion(exported.facts)
    print_parity(exported.facts, exported.parity)
    console.print(f"{f'{file_kind(exported.facts)} file':14} {exported.facts.path}", soft_wrap=True)
    if exported.scores is not None:
        model_score, file_score = exported.scores
        console.print(
            f"{model_score.metric} on {model_score.count} held-out images: model {model_score.headline:.4f}, "
            f"file {file_score.headline:.4f}"
        )
    exported.require()
    if bundle is not None:
        written = write_bundle(exported, model, bundle)
        console.print(f"bundle         {written.folder}", soft_wrap=True)
        if written.without_page:
            console.print(f"It holds no page and no JavaScript client: {written.without_page}", soft_wrap=True)
