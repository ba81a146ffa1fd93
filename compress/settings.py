"""The one schema: Python API, YAML files, command-line flags and their help are all made from these models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=100_000_000)]
Number = Annotated[int, Field(ge=0, le=100_000_000)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Shift = Annotated[int, Field(ge=0, le=4096)]
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Side = Annotated[int, Field(ge=1, le=4096)]
ImageSize = Annotated[
    Side | None,
    Field(description="Shorter side to bring images on your disk to, pixels; 224 for image-folder if not given."),
]
CropSize = Annotated[
    Side | None,
    Field(description="Side of the squares that segmenters are trained on, pixels; whole images if not given."),
]


class Section(BaseModel):
    """Closed and frozen: a misspelt key is an error. Files are validated strictly, flags arrive as text."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InversionSettings(Section):
    """How synthetic samples are made."""

    samples: Count = Field(256, description="New samples a round.")
    steps: Count = Field(5, description="Adaptation steps of generator and latents a round.")
    lr_generator: Positive = Field(5e-3, description="Adam's learning rate for the generator.")
    lr_latent: Positive = Field(1.5e-2, description="Adam's learning rate for the latents, or for pixels.")
    latent: Width = Field(256, description="Length of a latent vector.")
    width: Width = Field(128, description="Channels of the generator.")
    conditional: bool = Field(
        True, description="Show the target to the generator; otherwise the latents alone are bent to it."
    )
    meta: Literal["sum", "reptile"] = Field("sum", description="Meta-update: summed first-order gradients, or Reptile.")
    targets: Literal["balanced", "independent", "blobs", "voronoi", "noise", "layouts", "answers"] | None = Field(
        None,
        description="What is aimed at. Labels: balanced within a round (if not given) or independent. Label maps: "
        "blobs (if not given), voronoi cells, noise, or layouts that the teacher sees in earlier samples. Either: "
        "answers, the teacher's own to each image.",
    )
    bn: Weight = Field(10.0, description="Weight of the batch-normalisation term.")
    one_hot: Weight = Field(1.0, description="Weight of the cross-entropy to the drawn targets.")
    adversarial: Weight = Field(1.0, description="Weight of the teacher-student disagreement, after the warm-up.")
    balance: Weight = Field(0.0, description="Weight of the evenness of the classes in a batch.")
    shift: Shift = Field(4, description="Largest random shift of a synthetic image, pixels.")


class ReplaySettings(Section):
    """Which samples are kept and drawn."""

    capacity: Count = Field(5000, description="Most samples held in memory.")
    phi: bool = Field(True, description="φ weights what is made and decides what stays; otherwise the newest stay.")
    delta: bool = Field(True, description="δ decides what is drawn; otherwise all samples are as likely.")
    gamma: Weight = Field(2.0, description="Focal exponent of the difficulty term of φ.")
    beta: Fraction = Field(0.5, description="How far importance weights undo the bias of δ's draw.")


class GanSettings(Section):
    """How a GAN learns from collected images and makes more of them."""

    iterations: Count = Field(500, description="Iterations of both networks a warm-up round; then they are done.")
    batch: Count = Field(100, description="Images an iteration.")
    latent: Width = Field(128, description="Length of a latent vector.")
    width: Width = Field(256, description="Channels of generator and discriminator.")
    lr: Positive = Field(2e-4, description="Adam's learning rate for both.")
    decay: Fraction = Field(0.9999, description="Decay of the moving average of the generator that makes the samples.")
    average_from: Number = Field(1000, description="Iteration at which that average begins.")
    shift: Shift = Field(4, description="Largest random shift of what both networks see, pixels.")
    integration: Weight = Field(0.1, description="Weight of feature integration, transfer and blend.")
    smoothing: Weight = Field(0.1, description="Weight of category frequency smoothing.")
    samples: Count = Field(5000, description="Images made a round after the warm-up.")
    capacity: Count = Field(50000, description="Most made images held in memory; the oldest leave.")
    inflation: Count = Field(10, description="How often a collected image counts beside the made ones.")


class DistillationSettings(Section):
    """How the student learns."""

    rounds: Count = Field(220, description="Rounds in all: each makes samples, then trains the student.")
    warmup: Number = Field(20, description="Rounds at the start that only make samples.")
    steps: Count = Field(100, description="Student steps a round.")
    batch: Count = Field(256, description="Samples a student step.")
    temperature: Positive = Field(20.0, description="Softening τ of the Kullback-Leibler loss.")
    hints: Weight = Field(0.0, description="Weight of the likeness of feature maps, beside that of answers.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="SGD with momentum 0.9, or AdamW.")
    lr: Positive = Field(0.2, description="Peak learning rate; a short rise, then half a cosine.")
    weight_decay: Weight = Field(1e-4, description="Weight decay; gains and biases are exempt.")
    shift: Shift = Field(4, description="Largest random shift of a drawn image, pixels.")
    zoom: Annotated[float, Field(ge=1, le=8)] = Field(
        1.0, description="Enlarge or reduce each drawn image by up to this, at random."
    )
    shuffle_channels: bool = Field(False, description="Show each drawn image with its colour channels in random order.")


class DistillSettings(Section):
    """Everything that `compress distill` can be told, but for where it writes and whether it resumes."""

    task: Literal["classification", "segmentation"] = Field("classification", description="What the models do.")
    teacher: str | None = Field(None, description="Teacher by name: `compress list teachers`.")
    teacher_weights: Path | None = Field(
        None, description="Its weights, .safetensors or torch; without them a teacher is trained on the embedded data."
    )
    student: str | None = Field(None, description="Student by name: `compress list students`.")
    method: str = Field("ssd-kd", description="Method by name: `compress list methods`.")
    data: str | None = Field(None, description="Data set by name, for evaluation only: `compress list data`.")
    data_root: Path | None = Field(None, description="The data set's folder or its parent, for data on your disk.")
    image_size: ImageSize = None
    crop_size: CropSize = None
    collected: Path | None = Field(
        None, description="Folder of real images for hidfd and kd: CLASS/*.png|jpg, for segmenters *.png|jpg."
    )
    seed: Seed = Field(0, description="Same seed, same student, bit for bit on a CPU.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to run.")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="Number format of convolutions.")
    inversion: InversionSettings = Field(default_factory=InversionSettings, description="How samples are made.")
    gan: GanSettings = Field(default_factory=GanSettings, description="How a GAN learns from collected images.")
    replay: ReplaySettings = Field(default_factory=ReplaySettings, description="Which samples are kept and drawn.")
    distillation: DistillationSettings = Field(
        default_factory=DistillationSettings, description="How the student learns."
    )


class TeachSettings(Section):
    """Everything that `compress teach` can be told; what is not given comes from the task's default recipe."""

    task: Literal["classification", "segmentation"] = Field("classification", description="What the model does.")
    teacher: str | None = Field(None, description="Network by name: `compress list teachers`.")
    data: str | None = Field(None, description="Labelled data set by name: `compress list data`.")
    data_root: Path | None = Field(None, description="The data set's folder or its parent, for data on your disk.")
    image_size: ImageSize = None
    crop_size: CropSize = None
    steps: Count | None = Field(None, description="Training steps.")
    batch: Count | None = Field(None, description="Images a step.")
    lr: Positive | None = Field(None, description="Peak learning rate.")
    weight_decay: Weight | None = Field(None, description="Weight decay; gains and biases are exempt.")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="AdamW, or SGD with momentum 0.9.")
    schedule: Literal["cosine", "poly"] = Field("cosine", description="How the learning rate falls after its rise.")
    loss: Literal["cross-entropy", "focal"] = Field("cross-entropy", description="Or the focal loss, with γ = 2.")
    class_weights: bool = Field(False, description="Weigh classes that are rare in the training labels more.")
    zoom: Annotated[float, Field(ge=1, le=8)] | None = Field(
        None, description="Label maps: show windows of images that were enlarged or reduced by up to this."
    )
    pretrained: bool = Field(
        True, description="Begin with ImageNet weights if they are on disk or can be downloaded; never for digits."
    )
    seed: Seed = Field(0, description="Same seed, same teacher on a CPU.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to run.")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="Number format of convolutions.")
