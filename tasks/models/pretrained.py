"""Models initialised with ImageNet weights, from disk or downloaded."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from huggingface_hub import constants

from compress.errors import UsageError

from . import create_model
from .normalised import NormalisedModel

SECONDS_TO_ANSWER = 3.0


def create_pretrained(task: str, name: str, num_classes: int, image_size: tuple[int, int]) -> NormalisedModel:
    """The model with ImageNet weights; raises `UsageError` if these are neither on disk nor downloadable."""
    reachable = _hub_answers()
    with _offline_if(not reachable):
        try:
            return create_model(task, name, num_classes, image_size, pretrained=True)
        except UsageError as error:
            if reachable:
                raise
            raise UsageError("its ImageNet weights are not on disk, and the hub cannot be reached") from error


def _hub_answers() -> bool:
    """Whether the hub can be reached. It is tested here because the hub's library retries for minutes."""
    address = urlsplit(constants.ENDPOINT)
    try:
        with socket.create_connection((address.hostname, address.port or 443), timeout=SECONDS_TO_ANSWER):
            return True
    except OSError:
        return False


@contextmanager
def _offline_if(offline: bool) -> Iterator[None]:
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
