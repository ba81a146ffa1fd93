"""The rounds of a run as the command line sees them: shown, recorded, and stopped when the user asks."""

from __future__ import annotations

import time
from contextlib import suppress

import torch

from compress.cli.stopping import StopSignal
from compress.distiller import Distiller, Round
from compress.errors import Interrupted
from compress.progress import Steps
from compress.run_directory import RunDirectory
from compress.task import Batch

SECONDS_BETWEEN_CHECKPOINTS = 60.0
SHOWN = 24  # samples in a picture
SHOWN_NUMBERS = ("one_hot", "bn", "hinge", "recognised", "kl", "l1", "alignment", "agreement")


def lead(distiller: Distiller, run: RunDirectory, history: list[dict[str, float]]) -> None:
    """All rounds, recorded in `run` and `history`; raises `Interrupted` after a checkpoint if asked to stop."""
    stopping, saved = StopSignal("round"), time.monotonic()
    total = distiller.plan.rounds
    drawn = {0, distiller.plan.warmup_rounds - 1, total // 2, total - 1}

    def after_round(done: Round) -> None:
        nonlocal saved
        asked = distiller.workers.any(stopping.asked)
        history.append({"round": done.index, **done.numbers})
        run.log(f"round {done.index + 1}/{total} " + " ".join(f"{k} {v:.4f}" for k, v in done.numbers.items()))
        steps.update(done.index + 1, {k: v for k, v in done.numbers.items() if k in SHOWN_NUMBERS})
        if done.index in drawn:
            run.write_picture(f"round-{done.index + 1:04d}", _picture(distiller, done))
        if asked or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS or done.index + 1 == total:
            run.write_checkpoint({**distiller.state_dict(), "history": history})
            run.write_metrics(history)
            saved = time.monotonic()
        if asked and done.index + 1 < total:
            raise Interrupted(f"stopped after round {done.index + 1} of {total}: --resume --out {run.path} continues")

    with stopping, Steps("distilling", total, distiller.next_round) as steps:
        distiller.run(after_round)


def follow(distiller: Distiller) -> None:
    """The rounds of every worker but the first: its share of the work; it stops when any is asked to."""
    stopping = StopSignal("round")

    def after_round(_: Round) -> None:
        if distiller.workers.any(stopping.asked):
            raise Interrupted("the first worker says how to continue")

    with stopping, suppress(Interrupted):
        distiller.run(after_round)


@torch.no_grad()
def _picture(distiller: Distiller, done: Round) -> torch.Tensor:
    samples = done.samples
    images = distiller.compute.images(samples.images[:SHOWN])
    was_training = distiller.student.training
    with distiller.compute.autocast():
        answers = [network(images).float() for network in (distiller.teacher, distiller.student.eval())]
    distiller.student.train(was_training)
    return distiller.task.picture(Batch(images, samples.targets[:SHOWN]), *answers)
