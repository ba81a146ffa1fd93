"""Check that model.onnx returns the expected output for the sample: python smoke_test.py [PROVIDER]

Needs numpy and onnxruntime. PROVIDER is one of onnxruntime's, such as CUDAExecutionProvider. The exit code is 0 if the
file is the one that was exported and its output for the sample is the expected one.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

HERE = Path(__file__).resolve().parent
SAMPLE = HERE / "sample"


def read(part: Mapping[str, Any]) -> NDArray[Any]:
    """An array of the sample, by its entry in sample.json."""
    return np.fromfile(SAMPLE / part["file"], part["type"]).reshape(part["shape"])


def differences(expected: Arrays, outputs: Arrays, sample: Mapping[str, Any]) -> Iterator[str]:
    """The differences from the expected outputs beyond rounding; empty if there are none."""
    for name, values in expected.items():
        if outputs[name].shape != values.shape or outputs[name].dtype != values.dtype:
            yield f"{name} is {outputs[name].dtype} {list(outputs[name].shape)}"
            return
    if "classes" in expected:
        same = expected["classes"] == outputs["classes"]
        if same.ndim == 2:  # a classifier's classes after the first may be near-ties
            same = same[:, :1]
        if same.mean() < sample["least_equal"]:
            yield f"only {same.mean():.2%} of the decisions are the same"
    scores = next(name for name in expected if name != "classes")
    difference = np.abs(expected[scores].astype("float64") - outputs[scores])
    scale = max(float(np.abs(expected[scores]).max()), 1.0)
    if not np.quantile(difference, sample["least_equal"]) <= sample["tolerance"] * scale:
        yield f"{scores} differ by {difference.max():.2g}"


def main() -> int:
    """Run the sample and print the result; returns the exit code."""
    sample = json.loads((SAMPLE / "sample.json").read_text(encoding="utf-8"))
    content = (HERE / "model.onnx").read_bytes()
    session = onnxruntime.InferenceSession(content, providers=sys.argv[1:] or ["CPUExecutionProvider"])
    expected = {part["name"]: read(part) for part in sample["outputs"]}
    outputs = session.run(list(expected), {sample["input"]["name"]: read(sample["input"])})
    problems = list(differences(expected, dict(zip(expected, outputs, strict=True)), sample))
    if hashlib.sha256(content).hexdigest() != sample["sha256"]:
        problems.append("model.onnx is not the file that was exported")
    print(f"{session.get_providers()[0]}: " + ("; ".join(problems) or "ok, the output is the expected one"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
