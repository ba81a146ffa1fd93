"""TensorBoard event files with the numbers and pictures of a run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from compress.errors import UsageError
from compress.storage.files import room_for


def require_tensorboard() -> None:
    """Raise `UsageError` unless TensorBoard is installed."""
    if find_spec("tensorboard") is None:
        raise UsageError("`tensorboard` needs TensorBoard, which is not installed: pip install tensorboard")


class EventFiles:
    """A writer of event files; the step of an event is the round's number in metrics.jsonl."""

    def __init__(self, folder: Path, next_round: int) -> None:
        """Write to `folder`. TensorBoard drops events of earlier files there from `next_round` on."""
        self._folder = folder
        self._begin(next_round)

    def _begin(self, next_round: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=next_round)

    def go_back(self, next_round: int) -> None:
        """Replace the events from that round on."""
        self.close()
        self._begin(next_round)

    def add(self, row: Mapping[str, float]) -> None:
        """Write the numbers of one round and flush them."""
        with room_for(self._folder):
            for name, value in row.items():
                if name != "round":
                    self._writer.add_scalar(name, value, int(row["round"]))
            self._writer.flush()

    def add_picture(self, picture: Tensor, index: int) -> None:
        """Samples of a round, a uint8 RGB picture `[3, H, W]`."""
        with room_for(self._folder):
            self._writer.add_image("samples", picture, index)
            self._writer.flush()

    def close(self) -> None:
        """Close the writer."""
        self._writer.close()
