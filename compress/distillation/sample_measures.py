"""What the new samples of a round are like, measured in the same way for every method."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from compress.replay.balance import evenness
from compress.synthesis.feature_hooks import FeatureHooks
from compress.synthesis.priors import batch_norm_layers, channel_moments, statistics_distance
from compress.task import Samples
from compress.training.compute import Compute

MOST_IMAGES, MOST_PIXELS = 128, 1 << 22  # that the teacher answers for a measurement


class SampleMeasures:
    """Confidence of the teacher, evenness of its answers, and distance to its statistics of batch normalisation."""

    def __init__(self, teacher: nn.Module, compute: Compute) -> None:
        self._teacher, self._compute = teacher, compute
        layers = batch_norm_layers(teacher)
        self._layers = FeatureHooks(layers, channel_moments) if layers else None

    @torch.no_grad()
    def __call__(self, samples: Samples, parts: int) -> dict[str, float]:
        """The three numbers; `bn_distance` is left out for a teacher that runs no layer with statistics.

        It is FastDFKD's L_bn of up to 128 of the samples as they are, without the moving average and the random shifts
        of the term that an inversion minimises, so that methods without that term have it too. `parts` says in how many
        parts the samples had to be made for lack of memory. Nothing random is drawn, and the device is waited for once.
        """
        statistics = samples.statistics
        measured = {
            "confidence": statistics.confidence.mean(),
            "evenness": evenness(statistics.histogram.mean(dim=0)),
            **self._bn_distance(samples.images, parts),
        }
        values = torch.stack([value.float() for value in measured.values()]).tolist()
        return dict(zip(measured, values, strict=True))

    def _bn_distance(self, images: Tensor, parts: int) -> dict[str, Tensor]:
        if self._layers is None:
            return {}
        height, width = images.shape[-2:]
        most = max(min(MOST_IMAGES, MOST_PIXELS // (height * width), len(images) // parts), 2)
        with self._layers, self._compute.autocast():
            self._teacher(self._compute.images(images[:: -(-len(images) // most)]))
            layers = self._layers.reached()
            return {"bn_distance": statistics_distance(layers, self._layers.each())} if layers else {}
