"""What a CPU can teach a student of EfficientNet-Lite0 without ImageNet: 1,000 classes, images of 224 pixels.

    python tests/benchmarks/imagenet_size.py DIR [--steps N] [--side PIXELS] [--student NAME]... [--from SET]...
    python tests/benchmarks/imagenet_size.py DIR --pace SIDE...    # seconds of one step of ssd-kd at that size

The students are a MobileNetV3 of random weights, and the teacher without the residual blocks that matter least. They
learn by `kd` from images synthesised for the teacher, from unrelated photographs (CamVid), or from both, and are scored
on the 500 photographs of `imagenet-500`, none of which they have learnt from. DIR is that of `int8_teachers.py`. Times
are seconds of this process on one core, so that other work on the machine does not count. Results are kept in
`results/imagenet_size.json`, to which what is missing is added; the table is printed.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from int8_teachers import EXACT, Case, efficientnet
from tables import markdown
from torch import Tensor, nn

from compress import losses
from compress.gan.collected import Collected
from compress.runs.calibration_images import calibration_images
from compress.runs.distill import prepared
from compress.runs.evaluation import evaluate, parameter_count
from compress.runs.resolution import completed
from compress.runs.run_inputs import method_context
from compress.storage.files import write_text
from compress.tasks import held_out_of
from compress.tasks.data.collected import read_photographs
from compress.tasks.models import NormalisedModel, create_model
from compress.training.parallel import Workers

RESULTS = Path(__file__).parent / "results" / "imagenet_size.json"
PACE = RESULTS.with_name("imagenet_size_pace.json")
SETS = ("nothing", "synthesised", "photographs", "both")
RANDOM, SHORTER = "mobilenetv3_small_100, random weights", "EfficientNet-Lite0 without {} blocks"
STUDENT_OF_A_THIRD = "mobilenetv3_small_050"
JUDGED_ON = 64
"""Images on which blocks are judged."""
Record = dict[str, Any]


@dataclass
class Work:
    """The teacher, and what students learn from, which is made once."""

    case: Case
    root: Path
    side: int

    def __post_init__(self) -> None:
        shape = (3, self.side, self.side)
        self.source = replace(self.case.source, image_shape=shape)
        self.seconds = {"synthesised": 0.0}
        self._made: dict[str, Tensor] = {}

    def images(self, name: str) -> Tensor:
        """uint8 `[n, 3, side, side]`."""
        if name == "both":
            return torch.cat([self.images("synthesised"), self.images("photographs")])
        if name not in self._made:
            begun = time.process_time()
            self._made[name] = self._make(name)
            self.seconds[name] = time.process_time() - begun
        return self._made[name]

    def _make(self, name: str) -> Tensor:
        if name == "photographs":
            return read_photographs(self.root / "camvid" / "train", self.source.image_shape)
        return calibration_images(self.case.network, held_out_of(self.source).spec)


def blocks_of(network: nn.Module) -> list[tuple[int, int]]:
    """Stage and number of the residual blocks, without which each tensor still fits the next layer."""
    return [
        (stage, number)
        for stage, blocks in enumerate(network.get_submodule("blocks").children())
        for number, block in enumerate(blocks.children())
        if getattr(block, "has_skip", False)
    ]


def without(model: NormalisedModel, places: set[tuple[int, int]]) -> NormalisedModel:
    """A copy of the model without these blocks, with all other weights."""
    small = copy.deepcopy(model)
    for stage, blocks in enumerate(small.network.get_submodule("blocks").children()):
        assert isinstance(blocks, nn.Sequential)
        for number in reversed(range(len(blocks))):
            if (stage, number) in places:
                del blocks[number]
    return small


@torch.no_grad()
def shortened(work: Work, count: int) -> NormalisedModel:
    """The teacher without the `count` blocks that change its answers to photographs least, each taken out alone."""
    teacher = work.case.network
    assert isinstance(teacher, NormalisedModel)
    images = work.images("photographs")[:JUDGED_ON].float() / 255
    answers = teacher(images)
    others = {place: without(teacher, {place})(images) for place in blocks_of(teacher.network)}
    harm = {place: losses.kl(logits, answers).mean().item() for place, logits in others.items()}
    return without(teacher, set(sorted(harm, key=harm.__getitem__)[:count]))


def learnt(work: Work, student: NormalisedModel, images: Tensor, options: argparse.Namespace) -> NormalisedModel:
    """The student after so many steps of `kd` on the images."""
    rounds = max(options.steps // 20, 1)
    learning = {"rounds": rounds, "warmup": 0, "steps": options.steps // rounds, "batch": options.batch}
    learning |= {"optimizer": "adamw", "lr": options.lr, "weight_decay": 0.02, "temperature": 2.0}
    chosen = {
        "method": "kd", "teacher": "teacher", "student": "student", "data": "own", "device": "cpu", "precision": "fp32",
        "collected": str(work.root), "distillation": learning,
    }  # fmt: skip
    settings = completed(chosen, {})
    collected = Collected(images, None)
    context = method_context(work.case.network, student, settings, work.source, EXACT, Workers(), collected)
    prepared(context).run(lambda ended: print(ended.index, ended.numbers, flush=True))
    return student.eval()


@torch.no_grad()
def scored(work: Work, student: nn.Module) -> dict[str, float]:
    """Top-1 and the share of photographs on which student and teacher agree, at the teacher's own size."""
    held_out, agreed = held_out_of(work.case.source), list[Tensor]()

    def compared(images: Tensor) -> Tensor:
        logits = student(images)
        agreed.append(losses.agreement(logits, work.case.network(images)))
        return logits

    score = evaluate(compared, held_out, EXACT)
    return {"top1": score.headline, "agreement": torch.cat(agreed).mean().item(), "n": score.count}


def measured(
    work: Work, label: str, make: Callable[[], NormalisedModel], name: str, options: argparse.Namespace
) -> Record:
    """One record of a student and a set of images."""
    torch.manual_seed(0)
    student = make()
    images = None if name == "nothing" else work.images(name)
    begun = time.process_time()
    if images is not None:
        student = learnt(work, student, images, options)
    return {
        "student": label,
        "parameters": parameter_count(student),
        "learnt from": name,
        "images": 0 if images is None else len(images),
        "steps": 0 if images is None else options.steps,
        "batch": options.batch,
        "side": work.side,
        "seconds": time.process_time() - begun,
        "seconds for images": 0.0 if images is None else work.seconds.get("synthesised", 0.0),
        **scored(work, student),
    }


def seconds_of_a_step(work: Work, side: int) -> Record:
    """What one round of one step costs `ssd-kd` here: 32 images are synthesised, and a student of a third learns them.

    The second of two rounds is timed.
    """
    source = replace(work.case.source, image_shape=(3, side, side))
    student = create_model("classification", STUDENT_OF_A_THIRD, 1000)
    chosen = {"method": "ssd-kd", "teacher": "teacher", "student": "student", "data": "own", "device": "cpu"}
    recipe = {"inversion": {"samples": 32, "steps": 1, "width": 32, "conditional": False}, "precision": "fp32"}
    learning = {"rounds": 2, "warmup": 0, "steps": 1, "batch": 32, "optimizer": "adamw", "lr": 2e-3}
    settings = completed({**chosen, **recipe, "distillation": learning}, {})
    ended = list[float]()
    context = method_context(work.case.network, student, settings, source, EXACT, Workers(), None)
    prepared(context).run(lambda _: ended.append(time.process_time()))
    return {"side": side, "student": STUDENT_OF_A_THIRD, "seconds of a step": ended[1] - ended[0]}


def row(record: Record) -> list[str]:
    """A line of the table."""
    return [
        record["student"], f"{record['parameters'] / 1e6:.2f} M", record["learnt from"], str(record["steps"]),
        f"{record['seconds'] / 60:.1f}", f"{100 * record['top1']:.1f}", f"{100 * record['agreement']:.1f}",
    ]  # fmt: skip


def main() -> None:
    """Measure what is not measured yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--pace", action="append", type=int, default=[], metavar="SIDE")
    parser.add_argument("--student", action="append", choices=["random", "shorter"])
    parser.add_argument("--from", action="append", dest="sets", choices=SETS)
    options = parser.parse_args()
    work = Work(efficientnet(options.root), options.root, options.side)
    if options.pace:
        steps = [seconds_of_a_step(work, side) for side in options.pace]
        write_text(PACE, json.dumps(steps, indent=1) + "\n")
        print(
            markdown(["side", "seconds"], [[str(step["side"]), f"{step['seconds of a step']:.2f}"] for step in steps])
        )
        return
    makers: dict[str, tuple[str, Callable[[], NormalisedModel]]] = {
        "random": (RANDOM, lambda: create_model("classification", "mobilenetv3_small_100", 1000)),
        "shorter": (SHORTER.format(options.blocks), lambda: shortened(work, options.blocks)),
    }
    records = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    for student in options.student or makers:
        label, make = makers[student]
        for name in options.sets or SETS:
            if any((old["student"], old["learnt from"]) == (label, name) for old in records):
                continue
            records.append(measured(work, label, make, name, options))
            write_text(RESULTS, json.dumps(records, indent=1) + "\n")
    headings = ["student", "parameters", "learnt from", "steps", "minutes of one core", "top-1, %", "agreement, %"]
    print(markdown(headings, [row(record) for record in records]))


if __name__ == "__main__":
    main()
