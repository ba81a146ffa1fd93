"""Whether model.onnx answers here as it did where it was exported: python smoke_test.py [PROVIDER]

Needs numpy and onnxruntime. PROVIDER is one of onnxruntime's, such as CUDAExecutionProvider. The exit code is 0 if the
file is the one that was exported and its answer to the sample input is the expected one.
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


def differences(expected: Arrays, answer: Arrays, sample: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an answer; empty if it is the expected one, up to rounding."""
    for name, values in expected.items():
        if answer[name].shape != values.shape or answer[name].dtype != values.dtype:
            yield f"{name} is {answer[name].dtype} {list(answer[name].shape)}"
            return
    if "classes" in expected:
        same = expected["classes"] == answer["classes"]
        same = (
            same if same.ndim > 2 else same[:, :1]
        )  # of a classifier's guesses, those behind the first may be near ties
        if same.mean() < sample["least_equal"]:
            yield f"only {same.mean():.2%} of the decisions are the same"
    scores = next(name for name in expected if name != "classes")
    away = np.abs(expected[scores].astype("float64") - answer[scores])
    scale = max(float(np.abs(expected[scores]).max()), 1.0)
    if not np.quantile(away, sample["least_equal"]) <= sample["tolerance"] * scale:
        yield f"{scores} differ by {away.max():.2g}"


def main() -> int:
    """Run the sample and say how it went; returns the exit code."""
    sample = json.loads((SAMPLE / "sample.json").read_text(encoding="utf-8"))
    content = (HERE / "model.onnx").read_bytes()
    session = onnxruntime.InferenceSession(content, providers=sys.argv[1:] or ["CPUExecutionProvider"])
    expected = {part["name"]: read(part) for part in sample["outputs"]}
    answers = session.run(list(expected), {sample["input"]["name"]: read(sample["input"])})
    wrong = list(differences(expected, dict(zip(expected, answers, strict=True)), sample))
    if hashlib.sha256(content).hexdigest() != sample["sha256"]:
        wrong.append("model.onnx is not the file that was exported")
    print(f"{session.get_providers()[0]}: " + ("; ".join(wrong) or "ok, the answer is the expected one"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
