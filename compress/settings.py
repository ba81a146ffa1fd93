"""The schema of all settings. The Python API, YAML files, flags and help pages are derived from these models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from compress.data_settings import HeldOutSettings, LabelSettings, ReadingSettings
from compress.setting_types import (
    DATA,
    HARDWARE,
    LABELLED_DATA,
    MODELS,
    TRAINING,
    Count,
    CropSize,
    Device,
    Fraction,
    Heading,
    ImageSize,
    Number,
    Portion,
    Positive,
    Section,
    Seed,
    Shift,
    Weight,
    Width,
)
from compress.student_settings import StudentSettings

__all__ = [
    "DistillSettings", "DistillationSettings", "GanSettings", "Heading", "HeldOutSettings", "InversionSettings",
    "LabelSettings", "ReplaySettings", "ResolvedSettings", "Section", "TeachSettings",
]  # fmt: skip


class InversionSettings(Section):
    """How samples are synthesised."""

    samples: Count = Field(256, description="New samples per round.")
    steps: Count = Field(5, description="Steps per round that adapt generator and latents.")
    lr_generator: Positive = Field(5e-3, description="Adam's learning rate for the generator.")
    lr_latent: Positive = Field(1.5e-2, description="Adam's learning rate for latents or pixels.")
    latent: Width = Field(256, description="Length of a latent vector.")
    width: Width = Field(128, description="Channels of the generator.")
    conditional: bool | None = Field(
        None,
        description="Make the target an input of the generator, by default if it is a label map. Otherwise only the "
        "latents are optimised for it.",
    )
    targets: Literal["balanced", "independent", "blobs", "voronoi", "noise", "layouts", "answers"] | None = Field(
        None,
        description="Targets of the inversion. Labels: balanced within a round (the default) or independent. Label "
        "maps: blobs (the default), voronoi cells, noise, or layouts that the teacher predicts on earlier samples. "
        "Both: answers, the teacher's own prediction on each image.",
    )
    bn: Weight = Field(10.0, description="Weight of the batch-normalisation statistics term.")
    one_hot: Weight = Field(1.0, description="Weight of the cross-entropy to the targets.")
    adversarial: Weight = Field(1.0, description="Weight of the student's disagreement, after the warm-up.")
    balance: Weight = Field(0.0, description="Weight of the class balance within a batch.")
    patch_entropy: Weight | None = Field(
        None,
        description="Weight of the entropy of patch similarities, for teachers with patches (ViT). By default a tenth "
        "of bn without batch normalisation, 0 with it.",
    )
    variation: Weight = Field(0.0, description="Weight of the total variation of synthetic images.")
    shift: Shift = Field(4, description="Largest random shift of a synthetic image, in pixels.")


class ReplaySettings(Section):
    """Which samples are kept and which are drawn."""

    capacity: Count = Field(5000, description="Largest number of samples in memory.")
    phi: bool = Field(
        True, description="Weight new samples by φ and keep those with the highest φ. Otherwise keep the newest."
    )
    delta: bool = Field(True, description="Draw samples by their priority δ. Otherwise draw uniformly.")
    gamma: Weight = Field(2.0, description="Focal exponent γ of the difficulty in φ.")
    beta: Fraction = Field(0.5, description="Exponent β of the importance weights that correct for sampling by δ.")


class GanSettings(Section):
    """How a GAN trains on collected images and generates more."""

    iterations: Count = Field(
        500, description="Iterations of both networks per warm-up round. They are not trained afterwards."
    )
    batch: Count = Field(100, description="Images per iteration.")
    latent: Width = Field(128, description="Length of a latent vector.")
    width: Width = Field(256, description="Channels of generator and discriminator.")
    lr: Positive = Field(2e-4, description="Adam's learning rate for both networks.")
    decay: Fraction = Field(
        0.9999, description="Decay of the moving average of the generator's weights, which generates the samples."
    )
    average_from: Number = Field(1000, description="Iteration at which the moving average starts.")
    shift: Shift = Field(4, description="Largest random shift of the input of both networks, in pixels.")
    integration: Weight = Field(0.1, description="Weight of feature integration, transfer and blend.")
    smoothing: Weight = Field(0.1, description="Weight of category frequency smoothing.")
    samples: Count = Field(5000, description="Images generated per round after the warm-up.")
    capacity: Count = Field(50000, description="Largest number of generated images in memory. The oldest are dropped.")
    inflation: Count = Field(10, description="Weight of a collected image relative to a generated one.")


class DistillationSettings(Section):
    """How the student is trained."""

    rounds: Count = Field(220, description="Total number of rounds. Each synthesises samples, then trains the student.")
    warmup: Number = Field(20, description="Rounds at the start that only synthesise samples.")
    steps: Count = Field(100, description="Student steps per round.")
    batch: Count = Field(256, description="Samples per student step.")
    temperature: Positive = Field(20.0, description="Temperature τ of the Kullback-Leibler loss.")
    hints: Weight = Field(
        0.0, description="Weight of the feature-map loss (hints), relative to the loss of the logits."
    )
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="SGD with momentum 0.9, or AdamW.")
    lr: Positive = Field(0.2, description="Peak learning rate. The schedule is a short warm-up, then a cosine.")
    weight_decay: Weight = Field(1e-4, description="Weight decay. Normalisation weights and biases are exempt.")
    shift: Shift = Field(4, description="Largest random shift of a drawn image, in pixels.")
    zoom: Annotated[float, Field(ge=1, le=8)] = Field(
        1.0, description="Scale each drawn image by a random factor of up to this, or its inverse."
    )
    shuffle_channels: bool = Field(False, description="Shuffle the colour channels of each drawn image.")
    mix: Literal["none", "cutmix", "mixup"] = Field(
        "none", description="Mix each batch with itself in reverse order; the teacher answers the mixed images."
    )
    collected_share: Fraction = Field(
        0.5, description="Share of each batch that is drawn from `collected` photographs, beside synthesised samples."
    )
    collected_even: bool = Field(True, description="Draw photographs evenly over the classes that the teacher sees.")
    collected_confident: Portion = Field(
        1.0, description="Share of the photographs of each class that is drawn: those the teacher is surest of."
    )
    dropout: bool = Field(False, description="Keep the student's dropout active. It learns sooner without.")
    sync_batch_norm: bool = Field(
        False, description="With several processes on GPUs, normalise the student's batches over all of them."
    )
    inherit: bool = Field(
        False, description="Begin the student with the teacher's weights wherever name and shape of both are the same."
    )


class DistillSettings(StudentSettings):
    """All settings of `compress distill`, except where it writes and whether it resumes."""

    task: Annotated[Literal["classification", "segmentation"] | str, MODELS] = Field(
        "classification", description="Task of both models: `compress list tasks`."
    )
    teacher: Annotated[str | None, MODELS] = Field(None, description="Teacher by name: `compress list teachers`.")
    teacher_weights: Annotated[Path | None, MODELS] = Field(
        None,
        description="The teacher's weights, .safetensors or torch. They need no data beside them. Without weights a "
        "teacher of the embedded data is trained and cached.",
    )
    student: Annotated[str | None, MODELS] = Field(None, description="Student by name: `compress list students`.")
    method: Annotated[str, MODELS] = Field("fast-dfkd", description="Method by name: `compress list methods`.")
    data: Annotated[str | None, DATA] = Field(
        None, description="Data set by name, which scores the result: `compress list data`."
    )
    data_root: Annotated[Path | None, DATA] = Field(
        None, description="The data set's folder or its parent, for data on your disk."
    )
    image_size: Annotated[ImageSize, DATA] = None
    crop_size: Annotated[CropSize, DATA] = None
    collected: Annotated[Path | None, DATA] = Field(
        None,
        description="Folder of real images: a folder per class for hidfd, any photographs for kd, and to learn from "
        "beside synthesised samples.",
    )
    seed: Annotated[Seed, HARDWARE] = Field(
        0, description="Random seed. On a CPU the same seed gives the same student."
    )
    device: Annotated[Device, HARDWARE] = "auto"
    precision: Annotated[Literal["auto", "fp32", "bf16"], HARDWARE] = Field(
        "auto", description="Number format of convolutions."
    )
    capture: Annotated[Literal["auto", "on", "off"], HARDWARE] = Field(
        "auto",
        description="Run the steps of student and inversion as CUDA graphs. auto runs plain steps where a graph gives "
        "another result; on fails there.",
    )
    inversion: InversionSettings = Field(
        default_factory=InversionSettings, description="Inversion: how samples are synthesised"
    )
    replay: ReplaySettings = Field(
        default_factory=ReplaySettings, description="Replay buffer: which samples are kept and drawn"
    )
    distillation: DistillationSettings = Field(
        default_factory=DistillationSettings, description="Distillation: how the student is trained"
    )
    gan: GanSettings = Field(default_factory=GanSettings, description="GAN on collected images, for hidfd")


class ResolvedSettings(DistillSettings):
    """The settings of a run, complete: teacher and student are named, by a user, a recipe or the task's defaults."""

    teacher: str
    student: str
    chosen: tuple[str, ...] = Field((), exclude=True, description="Settings by which a user said how long the run is.")


class TeachSettings(ReadingSettings):
    """All settings of `compress teach`. Values that are left out come from the task's default recipe."""

    task: Annotated[Literal["classification", "segmentation"] | str, MODELS] = Field(
        "classification", description="Task of the model: `compress list tasks`."
    )
    teacher: Annotated[str | None, MODELS] = Field(None, description="Network by name: `compress list teachers`.")
    pretrained: Annotated[bool, MODELS] = Field(
        True, description="Start from ImageNet weights if they are on disk or can be downloaded; never for digits."
    )
    data: Annotated[str | None, LABELLED_DATA] = Field(
        None, description="Labelled data set by name: `compress list data`."
    )
    data_root: Annotated[Path | None, LABELLED_DATA] = Field(
        None, description="The data set's folder or its parent, for data on your disk."
    )
    image_size: Annotated[ImageSize, LABELLED_DATA] = None
    crop_size: Annotated[CropSize, LABELLED_DATA] = None
    steps: Annotated[Count | None, TRAINING] = Field(None, description="Training steps.")
    batch: Annotated[Count | None, TRAINING] = Field(None, description="Images per step.")
    lr: Annotated[Positive | None, TRAINING] = Field(None, description="Peak learning rate.")
    weight_decay: Annotated[Weight | None, TRAINING] = Field(
        None, description="Weight decay. Normalisation weights and biases are exempt."
    )
    optimizer: Annotated[Literal["adamw", "sgd"], TRAINING] = Field(
        "adamw", description="AdamW, or SGD with momentum 0.9."
    )
    schedule: Annotated[Literal["cosine", "poly"], TRAINING] = Field(
        "cosine", description="Decay of the learning rate after its warm-up."
    )
    loss: Annotated[Literal["cross-entropy", "focal"], TRAINING] = Field(
        "cross-entropy", description="Cross-entropy, or the focal loss with γ = 2."
    )
    class_weights: Annotated[bool, TRAINING] = Field(
        False, description="Give classes that are rare in the training labels a higher weight in the loss."
    )
    zoom: Annotated[Annotated[float, Field(ge=1, le=8)] | None, TRAINING] = Field(
        None,
        description="For label maps: train on crops of images scaled by a random factor of up to this, or its inverse.",
    )
    seed: Annotated[Seed, HARDWARE] = Field(
        0, description="Random seed. On a CPU the same seed gives the same teacher."
    )
    device: Annotated[Device, HARDWARE] = "auto"
    precision: Annotated[Literal["auto", "fp32", "bf16"], HARDWARE] = Field(
        "auto", description="Number format of convolutions."
    )
