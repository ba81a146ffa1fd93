"""Every command and Python block of README and the pages under docs/ runs, at reduced size."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from shutil import copy
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from few_scenes import score_on_few_scenes
from pages import PAGES, ROOT, blocks, commands, examples
from PIL import Image
from reduced_export import reduce_exports
from torchvision.io import write_png

from compress.cli import main
from compress.runs import benchmark, without_data
from compress.tasks.data import open_data
from compress.tasks.models import create_model, fit_weights, read_weights

COMMANDS = {command: shlex.split(command) for page, command in commands() if page != "adding.md"}
MAIN_JOB, RUN = "compress distill --task segmentation --teacher deeplabv3", "runs/digit-scenes-fast-dfkd-1"
PYTHON = {f"{block.page}:{block.line}": block.code for block in blocks("python") if block.page != "adding.md"}
"""Without adding.md, whose blocks are packages: tests/test_docs.py installs and runs them."""
EXAMPLES = examples()
SMALL = [f"--{flag}={value}" for flag, value in {
    "precision": "fp32", "inversion.samples": 8, "inversion.steps": 1, "inversion.width": 8, "distillation.rounds": 2,
    "distillation.warmup": 1, "distillation.steps": 1, "distillation.batch": 8,
}.items()]  # fmt: skip
REDUCED = {"teach": ["--steps=1", "--batch=4", "--no-pretrained"], "benchmark": ["--seconds=0.01"]}
SHORT = ["--distillation.rounds=2", "--distillation.warmup=1"]
FEW_IMAGES = {"hidfd": ["--distillation.batch=8", "--gan.batch=8"], "kd": ["--distillation.batch=8"]}


@pytest.fixture(scope="module")
def reduced_work() -> Iterator[None]:
    """Fewer images where a command makes them itself or scores on them, and one trace a network."""
    with pytest.MonkeyPatch.context() as patch:
        reduce_exports(patch)
        score_on_few_scenes(patch)
        patch.setattr(without_data, "IMAGES", 16)
        patch.setattr(benchmark, "cold_start", lambda *_: {"seconds": 0.0, "memory_mb": 0.0})
        yield


@pytest.fixture(scope="module")
def folder(reduced_work: None, classifier_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the pages name: a run, photographs, weights, data, settings."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call([*shlex.split(MAIN_JOB)[1:], *SMALL, "--accept-any-student"]) == 0
    for name in ("photograph.jpg", "street.jpg"):
        Image.effect_noise((120, 90), 50).convert("RGB").save(folder / name)
    copy(folder / RUN / "export" / "model.onnx", folder)
    copy(classifier_weights, folder / "teacher.safetensors")
    torch.save(read_weights(classifier_weights), folder / "resnet20.pt")
    (folder / "mine.yaml").write_text("seed: 1\n")
    (folder / "theirs.yaml").write_text("seed: 1\nseed: 2\n")
    _write_collected(folder / "IMAGES")
    _write_camvid(folder / "camvid")
    return folder


def _write_collected(folder: Path) -> None:
    split = open_data("digits", "classification").training()
    for label, name in enumerate(open_data("digits", "classification").class_names):
        (folder / name).mkdir(parents=True)
        for index, image in enumerate(split.images[split.targets == label][:2]):
            write_png(image, str(folder / name / f"{index}.png"))


def _write_camvid(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for kind in (split, f"{split}annot"):
            (folder / kind).mkdir(parents=True)
        for name in "abcd":
            Image.fromarray(rng.integers(0, 256, (36, 48, 3), np.uint8)).save(folder / split / f"{name}.png")
            Image.fromarray(rng.integers(0, 12, (36, 48), np.uint8)).save(folder / f"{split}annot" / f"{name}.png")


def call(words: list[str]) -> int:
    """The exit code of `compress WORDS...`."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def reduced(words: list[str], cifar10: Path) -> list[str]:
    """The same command with less to do and the folders that the tests have; a distillation is checked and not begun."""
    command, values = words[0], dict(pairwise(words))
    names = {"DIR": str(cifar10) if values.get("--data") == "cifar10" else "camvid"}
    if command == "teach":
        names |= {"deeplabv3:resnet18": "deeplabv3plus:tu-test_resnet", "teacher": f"teacher-{values['--teacher'][:6]}"}
    if "--teacher-weights" in values and "--teacher" not in values:  # of a `cifar_resnet20`
        words = [*words, "--teacher", "cifar_resnet20"]
    words = [names.get(word, word) for word in words] + REDUCED.get(command, [])
    words += FEW_IMAGES.get(values.get("--method", ""), [])
    if command == "distill" and "--teacher-weights" in values and "--data" not in values:
        words += SHORT  # which is otherwise timed, of a teacher and nothing else
    return [*words, "--dry-run"] if command == "distill" and "--dry-run" not in words else words


@pytest.mark.parametrize("command", [line for line, words in COMMANDS.items() if words[0] == "compress"], ids=str)
def test_the_command_runs(command: str, folder: Path, cifar10: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    words = COMMANDS[command][1:]
    words = words[: words.index(">")] if ">" in words else words
    assert call(reduced(words, cifar10)) == 0


@pytest.mark.parametrize("command", [line for line, words in COMMANDS.items() if words[0] == "torchrun"], ids=str)
def test_what_torchrun_starts_is_a_valid_command(
    command: str, folder: Path, cifar10: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several processes are run by tests/compress/cli/test_workers.py."""
    monkeypatch.chdir(folder)
    words = COMMANDS[command]
    words = [word.replace("cuda", "cpu") for word in words[words.index("compress") + 1 :]]
    assert call(reduced(words, cifar10)) == 0


def test_a_command_that_no_test_runs_is_marked_with_the_reason() -> None:
    assert {words[0] for words in COMMANDS.values()} <= {"compress", "torchrun"}
    scripts = [word for _, command in commands(marked=True) for word in command.split() if word.endswith(".py")]
    assert len(scripts) > 10
    assert [script for script in scripts if not (ROOT / script).is_file()] == []


def test_the_session_of_the_page_on_untrusted_files_is_what_the_terminal_shows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (session,) = (block.code for block in blocks("text") if block.code.startswith("$ compress config validate"))
    command, _, shown = session.partition("\n")
    monkeypatch.chdir(folder)
    assert call(command.split()[2:]) == 2
    assert "".join(capsys.readouterr()) == shown


@pytest.fixture
def mine(classifier_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module `mine` of the examples: two networks, and held-out images with their labels."""
    module: Any = ModuleType("mine")
    module.teacher, module.student = (create_model("classification", "cifar_resnet20", 10).network for _ in range(2))
    fit_weights(module.teacher, read_weights(classifier_weights), "weights")
    held_out = open_data("digits", "classification").held_out()
    module.images, module.labels = held_out.images, held_out.targets
    monkeypatch.setitem(sys.modules, "mine", module)


SETTINGS = """settings = DistillSettings.model_validate({
    "precision": "fp32", "inversion": {"samples": 8, "steps": 1, "width": 8},
    "distillation": DistillationSettings(rounds=2, warmup=1, steps=1, batch=8)})"""


def test_every_function_of_the_python_api_has_an_example() -> None:
    assert len(EXAMPLES) == 5
    assert [name for name, code in EXAMPLES.items() if not code] == []


@pytest.mark.parametrize("place", EXAMPLES)
def test_the_example_of_a_function_of_the_python_api_runs(
    place: str, folder: Path, mine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    code = EXAMPLES[place].replace("steps=300", "steps=1, batch=4")
    code = code.replace("settings=settings)", "settings=settings, accept_any_student=True)")
    exec(f"from compress import *\nfrom mine import student, teacher\n{SETTINGS}\n{code}", {})  # noqa: S102


@pytest.mark.parametrize("place", PYTHON)
def test_the_python_block_runs(place: str, folder: Path, mine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    code = re.sub(r"^settings = .*", SETTINGS, PYTHON[place], flags=re.MULTILINE)
    code = code.replace("settings=settings)", "settings=settings, accept_any_student=True)")
    exec(compile(code, place, "exec"), {"__name__": "__main__"})  # noqa: S102


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_page_links_to_exists(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_the_page_opens_with_whom_it_is_for(page: Path) -> None:
    title, empty, opening, *_ = page.read_text().splitlines()
    assert title.startswith("# ")
    assert not empty
    assert opening.startswith("This page is for ")


def test_readme_begins_with_commands_that_install_and_run_the_main_job_and_the_tests() -> None:
    first, second = (block.code for block in blocks("sh") if block.page == "README.md" and "pip install" in block.code)
    assert MAIN_JOB in first
    assert "pytest" in second


def test_the_lines_that_use_this_package_are_few() -> None:
    own, onnx, *_ = (code for place, code in PYTHON.items() if place.startswith("README.md"))
    assert len(own.splitlines()) <= 12
    assert len(onnx.splitlines()) <= 7


def test_readme_is_short_and_links_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 250
    assert {page.name for page in PAGES[1:]} <= set(re.findall(r"\]\(docs/([\w-]+\.md)", readme))
