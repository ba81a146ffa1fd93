"""The teacher of the embedded scenes that comes with the package, so that the first command trains no teacher.

`python tests/benchmarks/packaged_teacher.py` makes its file anew; its weights are rounded to 16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "teachers"


@dataclass(frozen=True, kw_only=True)
class PackagedTeacher:
    """A trained network that comes with the package, and the data sets for which it is used."""

    name: str
    """The short name for these data sets; for other data, the same name is the library's network."""
    network: str
    """The full name of the network."""
    data: tuple[str, ...]
    """The data sets for which it was trained."""
    folder: Path
    """Its model directory."""
    sha256: str
    """Checksum of its weights."""
    score: float
    """Its mIoU on the held-out split of the first of them."""


PACKAGED = (
    PackagedTeacher(
        name="deeplabv3",
        network="deeplabv3:tu-resnet10t:4x64",
        data=("digit-scenes", "digit-scenes-tuning"),
        folder=FOLDER / "digit-scenes",
        sha256="d053a470416d5b6fdbfe7ed16478a5f353206374a1f43e4790e497041b63fd90",
        score=0.7371,
    ),
)


def packaged_teacher(name: str, data: str) -> PackagedTeacher | None:
    """The teacher that comes with the package for a data set, by its short or its full name, if there is one."""
    return next((one for one in PACKAGED if data in one.data and name in (one.name, one.network)), None)
