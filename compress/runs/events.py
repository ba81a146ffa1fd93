"""The numbers and pictures of a run as event files, which TensorBoard shows."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from compress.errors import UsageError
from compress.storage.files import room_for


def require_tensorboard() -> None:
    """Raise `UsageError` unless event files can be written here."""
    if find_spec("tensorboard") is None:
        raise UsageError("`tensorboard` needs TensorBoard, which is not installed: pip install tensorboard")


class EventFiles:
    """A writer of event files; the step of an event is the round's number in metrics.jsonl."""

    def __init__(self, folder: Path, next_round: int) -> None:
        """In `folder`; TensorBoard forgets what earlier files there hold of `next_round` and of those after it."""
        self._folder = folder
        self._begin(next_round)

    def _begin(self, next_round: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=next_round)

    def go_back(self, next_round: int) -> None:
        """What is added next takes the place of that round and of those after it."""
        self.close()
        self._begin(next_round)

    def add(self, row: Mapping[str, float]) -> None:
        """The numbers of one round, which can be seen at once."""
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
        """Nothing follows."""
        self._writer.close()
