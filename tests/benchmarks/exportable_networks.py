"""Which networks can be exported: segmenters of every architecture with five encoders, and classifiers of every family.

    python tests/benchmarks/exportable_networks.py

Each has random weights, batch normalisation that is no identity, answers that differ from image to image, and a
process of its own with a time limit. It is exported with free height and width where it can, checked, compared with
torch at five shapes and quantised. Results lie in `tests/benchmarks/results/coverage/`, one small JSON a network; a
network that has one is not tried again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tables import markdown
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from compress.errors import CompressError
from compress.export import Order, export_verified
from compress.runs.models import card_of
from compress.storage.files import write_text
from compress.task import Deployable, TaskSpec
from compress.tasks.data import DataSource, LabelledImages
from compress.tasks.models import create_model, model_names, takes_encoder

RESULTS = Path(__file__).parent / "results" / "coverage"
SECONDS = 600
ENCODERS = ("resnet18", "mobilenet_v2", "efficientnet-b0", "mit_b0", "tu-convnext_atto")
LOUDEST = 1000
"""Times that random logits are enlarged at most: more would enlarge torch's own rounding to a fault of the file."""
SIDE = 128
"""Of what segmenters are tried on."""
TIMM = [
    "bat_resnext26ts", "beit_base_patch16_224", "botnet26t_256", "cait_xxs24_224", "coat_lite_tiny",
    "coatnet_nano_rw_224", "convit_tiny", "convmixer_768_32", "convnext_atto", "convnextv2_atto",
    "crossvit_tiny_240", "cspresnet50", "davit_tiny", "deit_tiny_patch16_224", "densenet121", "dla34", "dpn48b",
    "eca_nfnet_l0", "edgenext_xx_small", "efficientformer_l1", "efficientformerv2_s0", "efficientnet_b0",
    "efficientnet_lite0", "efficientvit_b0", "efficientvit_m0", "eva02_tiny_patch14_224", "fastvit_t8",
    "fbnetc_100", "focalnet_tiny_srf", "gcvit_xxtiny", "gernet_s", "ghostnet_050", "hardcorenas_a", "hgnet_tiny",
    "hrnet_w18_small", "inception_next_tiny", "inception_v3", "lcnet_050", "levit_128s", "maxvit_rmlp_pico_rw_256",
    "mixer_s16_224", "mixnet_s", "mnasnet_small", "mobilenetv2_050", "mobilenetv3_small_050",
    "mobilenetv4_conv_small", "mobileone_s0", "mobilevit_xxs", "mobilevitv2_050", "mvitv2_tiny", "nest_tiny",
    "pit_ti_224", "poolformer_s12", "pvt_v2_b0", "regnetx_002", "regnety_002", "repghostnet_050", "repvgg_a0",
    "repvit_m0_9", "res2net50_14w_8s", "resmlp_12_224", "resnest14d", "resnet18", "resnext50_32x4d", "rexnet_100",
    "selecsls42b", "seresnet18", "sequencer2d_s", "skresnet18", "spnasnet_100", "starnet_s1",
    "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "tinynet_e", "tiny_vit_5m_224", "tnt_s_patch16_224",
    "tresnet_m", "twins_pcpvt_small", "vgg11", "visformer_tiny", "vit_tiny_patch16_224", "volo_d1_224", "vovnet39a",
    "xception41", "xcit_nano_12_p16_224",
]  # fmt: skip


def networks() -> list[tuple[str, str]]:
    """Task and name of each."""
    segmenters = [
        (architecture + encoder)
        for architecture in model_names("segmentation")
        for encoder in ([f":{encoder}" for encoder in ENCODERS] if takes_encoder(architecture) else [""])
    ]
    return [*(("segmentation", name) for name in segmenters), *(("classification", name) for name in TIMM)]


def side_of(task: str, name: str) -> int:
    """Pixels; some classifiers are made for one size alone, and timm says which."""
    return int(get_pretrained_cfg(name).input_size[-1]) if task == "classification" else SIDE


def tried(task: str, name: str) -> dict[str, Any]:
    """What came of a network, or the one line that said why nothing did."""
    started, side = time.perf_counter(), side_of(task, name)
    nothing = LabelledImages(torch.empty(0, 3, side, side, dtype=torch.uint8), torch.empty(0, dtype=torch.long))
    names = tuple(f"class {index}" for index in range(10))
    source = DataSource(
        name="none",
        task=task,
        class_names=names,
        image_shape=(3, side, side),
        training=lambda: nothing,
        held_out=lambda: nothing,
        image_size=side,
    )
    torch.manual_seed(0)
    images = varied_images(32, side)
    shown = images / 255
    try:
        network = create_model(task, name, len(names), (side, side))
        perturb(network, shown)
        spec, spread = card_of(name, source, network).spec, Spread(network, shown)
        with TemporaryDirectory() as folder:
            facts, results = export_verified(spread, spec, Path(folder) / "model.onnx", images=shown)
            free = facts.card.dynamic_size
            outcome = {"dynamic_size": free, "reason": facts.reason, "parity": list(map(str, results))}
            outcome |= {"passed": all(result.passed for result in results)}
            spread.gain /= 100
            order = Order(precision="int8", dynamic_size=free)
            outcome |= {"int8": in_int8(spread, spec, Path(folder) / "int8.onnx", order, shown, images[:8])}
    except CompressError as error:
        outcome = {"refusal": str(error)}
    return {"task": task, "network": name, **outcome, "seconds": round(time.perf_counter() - started, 1)}


def varied_images(count: int, side: int) -> Tensor:
    """Coloured clouds in noise, uint8 `[count, 3, side, side]`.

    Noise alone looks the same to a network whatever its draw; clouds alone leave channels without variance, and what
    batch normalisation makes of those is rounding.
    """
    clouds = nn.functional.interpolate(torch.rand(count, 3, 4, 4) * torch.rand(count, 3, 1, 1), side, mode="bicubic")
    noise = 0.3 * (torch.rand(count, 3, side, side) - 0.5)
    return (clouds + noise).clamp(0, 1).mul(255).round().to(torch.uint8)


@torch.no_grad()
def perturb(network: nn.Module, images: Tensor) -> None:
    """Gains, biases and statistics as training leaves them: with the initial ones a broken fusion is invisible."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        if norm.affine:
            norm.weight.copy_(0.5 + torch.rand_like(norm.weight))
            norm.bias.copy_(0.2 * torch.randn_like(norm.bias))
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches, not one that still remembers 0 and 1
    network.train()
    for batch in images.split(8):
        network(batch)
    network.eval()


class Spread(Deployable):
    """A network with random weights whose logits are spread as a trained one's.

    Left alone it answers every image nearly alike, and a file that answered each with the same class would pass.
    """

    centre: Tensor
    gain: Tensor

    @torch.no_grad()
    def __init__(self, network: Deployable, images: Tensor) -> None:
        super().__init__()
        self.network, self.stride = network, network.stride
        by_class = torch.cat([network(batch) for batch in images.split(8)]).transpose(0, 1).flatten(1)
        self.register_buffer("centre", by_class.mean(dim=1))
        self.register_buffer("gain", (1 / by_class.std()).clamp(max=LOUDEST))

    def forward(self, images: Tensor) -> Tensor:
        """Its logits `[n, k, *s]`, each class's moved to a mean of 0, all together to a deviation of 1 at most."""
        logits: Tensor = self.network(images)
        return (logits - self.centre.view(1, -1, *[1] * (logits.ndim - 2))) * self.gain


def in_int8(tied: Deployable, spec: TaskSpec, path: Path, order: Order, shown: Tensor, calibration: Tensor) -> str:
    """Whether a file with all layers in INT8 runs at the five shapes, or why there is none.

    All classes are nearly tied, so that no decision counts: what INT8 keeps of random weights says nothing.
    """
    try:
        _, results = export_verified(tied, spec, path, order, images=shown, calibration=calibration)
    except CompressError as error:
        return f"no: {error}"
    return next((f"no: {result}" for result in results if not result.passed), "runs")


def file_of(name: str) -> Path:
    """Where what is known of it is kept."""
    return RESULTS / f"{name.replace(':', '-').replace('/', '-')}.json"


def try_apart(task: str, name: str) -> None:
    """Find out in a new process, which may hang or crash, and keep it."""
    print(name, flush=True)
    try:
        words = [sys.executable, __file__, "--one", task, name]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=SECONDS)
        why = next(iter(reversed(done.stderr.strip().splitlines())), f"exit code {done.returncode}")
    except subprocess.TimeoutExpired:
        why = f"not done in {SECONDS} seconds"
    if not file_of(name).is_file():
        keep({"task": task, "network": name, "refusal": why})


def keep(result: dict[str, Any]) -> None:
    """One small JSON."""
    write_text(file_of(result["network"]), json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def outcome(result: dict[str, Any]) -> str:
    """In one word or two."""
    if "passed" not in result:
        return "refused"
    if not result["passed"]:
        return "differs"
    return "any size" if result["dynamic_size"] else "one size"


def table(results: list[dict[str, Any]]) -> str:
    """Counts, then a line for each network that has less than all."""
    counts = Counter((result["task"], outcome(result)) for result in results)
    counts.update((result["task"], "INT8 runs") for result in results if result.get("int8") == "runs")
    said = "".join(f"- {task}, {word}: {count}\n" for (task, word), count in sorted(counts.items()))
    rows = []
    for result in results:
        int8, why = result.get("int8", ""), result.get("refusal") or result["reason"]
        if (outcome(result), int8) != ("any size", "runs"):
            if outcome(result) == "differs":
                why = "; ".join(result["parity"])
            rows.append([result["network"], outcome(result), int8, why.replace("|", "/")[:200]])
    return f"{said}\n{markdown(['network', 'file', 'INT8', 'why not'], rows)}"


def main() -> None:
    """Try every network that was not, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-only", action="store_true", help="write the table of what was tried so far")
    parser.add_argument("--one", nargs=2, metavar=("TASK", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        keep(tried(*options.one))
        return
    for task, name in networks():
        if not options.write_only and not file_of(name).is_file():
            try_apart(task, name)
    results = [json.loads(file_of(name).read_text()) for _, name in networks() if file_of(name).is_file()]
    written = table(results)
    write_text(RESULTS.parent / "coverage.md", written)
    print(written)


if __name__ == "__main__":
    main()
