"""The pages beside the README: their examples run, and what they name exists."""

import json
import re
import shlex
import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from compress.cli import main
from compress.errors import UsageError
from compress.export import OnnxModel
from compress.methods import METHODS
from compress.runs.models import card_of, fit_teacher
from compress.runs.resolution import resolve
from compress.settings import DistillSettings
from compress.storage.settings_files import merged, names_setting
from compress.tasks import find_task, held_out_of, make_task, teaching
from compress.tasks.data import Place, find_data, open_data
from compress.tasks.models.model_folder import Card, load_model, save_model
from compress.tasks.models.teachers import read_teacher
from compress.testing import check_task

DOCS = Path(__file__).parent.parent / "docs"
ADDING, CHOOSING = ((DOCS / name).read_text() for name in ("adding.md", "choosing.md"))
MODULES = dict(
    zip(
        ("sure_kd", "scans", "counters", "counter", "byte_weights"),
        re.findall(r"```python\n(.*?)```", ADDING, re.DOTALL),
        strict=True,
    )
)
PACKAGES = [tomllib.loads(block)["project"] for block in re.findall(r"```toml\n(.*?)```", ADDING, re.DOTALL)]
BY_METHOD, *BY_DATA, BY_TASK, SCORED, BY_PRECISION = (
    command.strip()
    for block in re.findall(r"```sh\n(.*?)```", ADDING, re.DOTALL)
    for command in re.split(r"&&|\n", block.replace("\\\n", " "))
    if command.strip().startswith("compress ")
)
INSTALLED = (("sure_kd",), ("scans",), ("counters", "counter"), ("byte_weights",))
"""The modules of each package."""
REDUCED = (
    "--inversion.samples 8 --inversion.steps 1 --inversion.width 8 --precision fp32 "
    "--distillation.rounds 2 --distillation.warmup 1 --distillation.steps 1 --distillation.batch 8 "
    "--accept-any-student"
)
ROW = re.compile(r"^\| `([\w-]+)` \| [^|]+ \| (\w+) \| (\w+)[^|]*\| (\w+) \|$", re.MULTILINE)


@pytest.fixture
def installed(install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with what the page has one write installed."""
    for package, modules in zip(PACKAGES, INSTALLED, strict=True):
        install(package["name"], package["entry-points"], **{module: MODULES[module] for module in modules})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_example_is_short() -> None:
    assert {name for name, code in MODULES.items() if len(code.splitlines()) >= 40} == set()


def succeed(command: str, *flags: object) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*shlex.split(command)[1:], *map(str, flags)])
    assert stopped.value.code == 0


def test_the_method_of_the_page_is_found_by_its_name(installed: Path) -> None:
    succeed(BY_METHOD, "--dry-run")


def test_the_settings_of_the_pages_method_are_a_section_that_it_alone_takes(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "mine.yaml").write_text("extends: digits/ssd-kd\nmethod: sure-kd\nsure_kd:\n  contrast: 0.25\n")
    succeed("compress distill --config mine.yaml --dry-run")
    assert yaml.safe_load(capsys.readouterr().out)["sure_kd"] == {"contrast": 0.25}
    succeed("compress config schema")
    assert "Weight of the contrast term" in capsys.readouterr().out
    (installed / "mine.yaml").write_text("method: sure-kd\nsure_kd:\n  contrast: -1\n")
    with pytest.raises(UsageError, match=r"sure_kd.contrast: input should be greater than or equal to 0, not -1"):
        resolve({}, "mine.yaml")
    with pytest.raises(UsageError, match="fast-dfkd takes no sure_kd settings"):
        resolve({"sure_kd": {"contrast": 0.5}}, None)
    succeed("compress distill --dry-run")
    assert "sure_kd" not in capsys.readouterr().out


def test_the_data_set_of_the_page_is_taught_and_distilled_on_by_its_name(
    installed: Path, classifier_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = open_data("digits", "classification").held_out()
    order = np.random.default_rng(0).permutation(len(digits))  # they come class by class
    np.save(installed / "images.npy", digits.images.permute(0, 2, 3, 1).numpy()[order])
    np.save(installed / "labels.npy", digits.targets.numpy()[order])
    teach, distil = (command.replace("DIR", str(installed)) for command in BY_DATA)
    distil = distil.replace("teacher/model.safetensors", str(classifier_weights))
    succeed(teach, "--steps", 1, "--batch", 8)
    assert (installed / "teacher" / "model.safetensors").is_file()
    succeed(distil, "--student", "cifar_wrn_16_1", *REDUCED.split())
    assert "on 113 held-out images" in capsys.readouterr().err
    assert (installed / "runs" / "scans-sure-kd-1" / "export" / "model.onnx").is_file()


def test_the_task_of_the_page_is_taught_distilled_scored_exported_and_reported_by_its_name(
    installed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(teaching, "OTHER_PLAN", replace(teaching.OTHER_PLAN, steps=60))
    succeed("compress list tasks")
    assert "counter        reads a counter of four digits" in capsys.readouterr().out
    succeed(BY_TASK, "--distillation.rounds", 6, "--distillation.warmup", 2)
    report = json.loads((installed / "run" / "report.json").read_text())
    assert report["teacher"]["pixel_accuracy"] > 0.8
    assert report["student"]["pixel_accuracy"] > 0.3, "a tenth of the digits is chance"
    assert "Each picture is drawn by the task" in (installed / "run" / "report.html").read_text()
    capsys.readouterr()
    succeed(SCORED, "--json")
    scores = json.loads(capsys.readouterr().out)
    assert (scores["task"], scores["n"]) == ("counter", 200)
    assert scores["pixel_accuracy"] == report["student"]["pixel_accuracy"]
    succeed("compress export run --input uint8 --output logits --fixed-size --out pixels.onnx")
    decision = OnnxModel(installed / "pixels.onnx")(np.zeros((8, 32, 3), np.uint8))[0]
    assert decision.classes.shape == (4,)
    with pytest.raises(UsageError, match="unknown task 'countr': did you mean 'counter'"):
        resolve({"task": "countr"}, None)


def test_the_adapter_of_the_page_keeps_the_contract(installed: Path) -> None:
    entry = find_task("counter")
    source = find_data(None, "counter").open(Place())
    teacher, student = (entry.networks[name](10) for name in (entry.teacher, entry.student))
    check_task(make_task(source), held_out_of(source), teacher.eval().requires_grad_(requires_grad=False), student)


def test_a_model_of_a_task_whose_package_is_gone_is_refused_in_one_line(tmp_path: Path) -> None:
    card = Card(
        task="counter",
        network="counter-8",
        data="counters",
        class_names=("0", "1"),
        image_shape=(3, 8, 32),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors", {"compress": json.dumps(asdict(card))})
    with pytest.raises(UsageError, match="unknown task 'counter'"):
        load_model(tmp_path)


def test_the_precision_of_the_page_writes_verified_files_of_a_quarter_of_the_size(
    installed: Path, classifier_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = open_data("digits", "classification")
    model = fit_teacher(read_teacher("classification", "cifar_resnet20", classifier_weights), source, seed=0)
    run = Path("runs/digits-fast-dfkd-1")
    save_model(run / "student", model, card_of("cifar_resnet20", source, model), "# taught\n")
    weights = (run / "student" / "model.safetensors").stat().st_size
    succeed(BY_PRECISION.replace(str(run), str(run / "student")), "--out", "small.onnx", "--most-lost", 0.03)
    said = capsys.readouterr().out
    assert "Weights are stored in bytes." in said
    assert "note: it is as fast as fp32" in said
    assert OnnxModel("small.onnx").card.precision == "bytes"
    assert Path("small.onnx").stat().st_size < 0.4 * weights
    succeed("compress list precisions")
    assert "bytes          weights stored as 8-bit integers" in capsys.readouterr().out


def test_every_method_is_explained_with_what_it_costs_by_itself() -> None:
    rows = {name: costs for name, *costs in ROW.findall(CHOOSING)}
    assert rows.keys() == METHODS.keys()
    for name, (rounds, inversion, steps) in rows.items():
        settings = merged(DistillSettings().model_dump(), METHODS[name].defaults)
        assert (int(rounds), int(steps)) == (settings["distillation"]["rounds"], settings["distillation"]["steps"])
        if not METHODS[name].needs_collected:
            trained = "inversion.steps" in METHODS[name].unused
            assert int(inversion) == (1 if trained else settings["inversion"]["steps"])


def test_every_setting_that_a_page_names_exists() -> None:
    values = DistillSettings().model_dump() | {"method": "", "data": "", "teacher": "", "sure_kd": {"contrast": 0.0}}
    flags = set(re.findall(r"--([a-z][\w.-]+)", ADDING + CHOOSING)) - {"config", "for", "out"}
    named = {flag.replace("-", "_") for flag in flags}
    named |= set(re.findall(r"`((?:inversion|replay|distillation|gan)\.\w+)", ADDING + CHOOSING))
    assert len(named) > 10
    assert {name for name in named if not names_setting(values, name)} == set()
