"""Settings that nobody should write, in files and in flags: refused in one line, with nothing done.

`pytest tests/compress/cli/test_hostile_settings.py -s` prints how many there were.
"""

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.cli import main
from compress.runs.resolution import resolve
from compress.settings import DistillSettings
from compress.storage.settings_files import parse_yaml, validated

FILES: list[str | bytes] = [
    "a: &x 1\nb: *x", "seed: !!int 3", "seed: !!python/name:os.system", "a: !!binary aGk=", "!!set {a, b}",
    "!!omap [a: 1]", "? [a, b]\n: 1", "? {a: 1}\n: 1", "1: 2", "null: 1", "true: 1", "<<: {seed: 1}", "2001-01-01: 1",
    "0x" + "f" * 40_000, "seed: 1\nseed: 1", "seed: 1\r\nseed: 2", "--- 1\n--- 2", "seed: 1\n---\nseed: 2", "x: 1",
    "[]", "1", "seed 1", "[" * 5000, "{a: " * 5000, "- " * 5000, "? " * 5000, "a: " + "x" * 40_000,
    "a" * 40_000 + ": 1", "x" * 60_000, "\t", "\x00", "\ufeff\ufeffa: 1", b"\xff\xfe", b"seed: \xff",
    b"'\xed\xa0\x80': 1", '"\\e[2J": 1', "seed: 2001-01-01", "seed: .inf", "seed: .nan", "seed: 1" + "0" * 5000,
    "seed: 0x" + "f" * 40_000, "seed: -1", "seed: yes", "seed: 9223372036854775808", "seed: 1.5", "seed: '3'",
    "seed: [1]", "seed: {a: 1}", "seed:", "distillation: {lr: .inf}", "distillation: {lr: .nan}",
    "distillation: {lr: 1e999}", "distillation: {lr: 0}", "distillation: {temperature: 1e300}",
    "distillation: {rounds: 1e3}", "distillation: {rounds: '3'}", "distillation: {batch: 99999999}",
    "replay: {capacity: 1000000000000}", "replay: 5", "replay: [1]", "replay:", "inversion: {width: 10000000}",
    "inversion: {targets: layouts}", "gan: {width: 1}", "replay: {capcity: 1}", "teacher: 5", "teacher: [a]",
    "method: 5", "method: null", 'method: "\\e[2J\\n"', "task: null", "task: regression", "data: mask-folder",
    "data: nowhere", "data_root: 5", "collected: 5", "crop_size: 0", "image_size: 100000",
]  # fmt: skip


@pytest.mark.usefixtures("bounded_memory")
def test_a_file_of_settings(tmp_path: Path, complaint) -> None:
    file = tmp_path / "mine.yaml"
    for content in FILES:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        assert complaint(lambda: resolve({}, str(file))), content
    print(f"\n{len(FILES)} files of settings refused")


DISTILL = {
    "--seed": ("1" * 5000, "nan", "-1", "1e3", "", "9223372036854775808"),
    "--distillation.lr": ("nan", "inf", "-inf", "1e400", "0", "one", "1e7"),
    "--replay.capacity": ("1e30", "9" * 30, "0", "-5"),
    "--config": ("x" * 300, "\x1b[2J", ".", "/dev/zero", "", "../../etc/passwd"),
    "--teacher": ("\x1b[2J", "", "a/b", "a:b", "hf-hub:../x", "local-dir:/dev", "x" * 9999),
    "--student": ("\x1b[2J", "", "a/b", "hf-hub:a b", "local-dir:" + "x" * 300),
    "--method": ("\x1b[2J", "", "ssd kd"),
    "--teacher-weights": ("x" * 300, "/dev/zero"),
    "--image-size": ("-5", "0", "9" * 30),
    "--task": ("\x1b[31m", ""),
    "--inversion.": ("5",),
    "--\x1b[2J": ("1",),
}
FLAGS: list[list[str]] = [
    *(["distill", flag, value] for flag, values in DISTILL.items() for value in values),
    *(["distill", "--data", "image-folder", "--data-root", value] for value in ("x" * 300, "/dev/zero", "\x1b[2J")),
    *(["distill", "--task", "segmentation", "--data", name, "--data-root", "/proc"] for name in ("nyuv2", "camvid")),
    *(["distill", word] for word in ("\udcff", "--inversion", "--seed")),
    *(["evaluate", value] for value in ("x" * 300, "\x1b[2J", "a\nb", "x.onnx", "/dev/zero", ".")),
    *(["evaluate", "x", "--image-size", value] for value in ("9" * 30, "0", "x")),
    *(["benchmark", "x", "--size", *value] for value in (["0", "9"], ["9" * 30, "1"], ["x", "y"], ["1"])),
    *([command] for command in ("benchmark", "evaluate", "predict", "export", "\x1b[2J")),
    ["list", "\x1b[2J"], ["doctor", "x"], ["teach", "--out", "x", "--steps", "9" * 20],
    ["predict", "x", "y", "--out", "z"], ["distill", "--collected", "/dev/null", "--method", "kd"],
]  # fmt: skip


def test_a_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for words in FLAGS:
        with pytest.raises(SystemExit) as stopped:
            main([*words[:1], "--dry-run", *words[1:]] if words[:1] == ["distill"] else words)
        said, complaint = capfd.readouterr()
        assert (stopped.value.code, said) == (2, ""), (words, complaint)
        assert complaint.removesuffix("\n").isprintable(), (words, complaint)
    assert not list(tmp_path.iterdir())
    with capfd.disabled():
        print(f"\n{len(FLAGS)} command lines refused")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SECTIONS = [name for name, value in DistillSettings().model_dump().items() if isinstance(value, dict)]
LEAVES = [(None, name) for name in DistillSettings.model_fields] + [
    (section, name) for section in SECTIONS for name in getattr(DistillSettings(), section).model_dump()
]


def finite(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(LEAVES), JSON)
def test_any_value_of_a_setting_is_in_its_bounds_or_refused(complaint, place, value) -> None:
    section, name = place
    text = yaml.safe_dump({section: {name: value}} if section else {name: value}, allow_unicode=True)
    accepted = []
    if not complaint(lambda: accepted.append(validated(DistillSettings, parse_yaml(text, "file.yaml")))):
        assert finite(accepted[0].model_dump())


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text("{}[]:-&*!?|>'\"%@, \n\tab1", max_size=40))
def test_any_text_is_plain_settings_or_refused(complaint, text: str) -> None:
    accepted = []
    if not complaint(lambda: accepted.append(parse_yaml(text, "file.yaml"))):
        assert isinstance(accepted[0], dict)
