"""The schema of the files in a run directory, which are validated like any other input.

More may stand in them than the page shows; what it shows has these types and ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from compress.errors import UsageError, first_complaint

Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Duration = Annotated[float, Field(ge=0, allow_inf_nan=False, lt=1e12)]
ByClass = dict[str, Number]
NUMBERS: TypeAdapter[dict[str, Number | ByClass]] = TypeAdapter(dict[str, Number | ByClass])
Schema = TypeVar("Schema", bound=BaseModel)


class _Open(BaseModel):
    """May hold more than is listed."""

    model_config = ConfigDict(extra="allow", strict=True)


class Network(_Open):
    """A row of the table. The scores are further keys, by the names of the metrics."""

    name: str | None = None
    parameters: Annotated[int, Field(ge=1, lt=1 << 63)] = 1
    macs: Count = 1
    bytes: Count

    @model_validator(mode="after")
    def _scores(self) -> Network:
        """What stands beside the listed fields are numbers, or numbers by class."""
        scores = {
            name: value for name, value in (self.model_extra or {}).items() if name not in ("precision", "sha256")
        }
        NUMBERS.validate_python(scores, strict=True)
        return self


class Exported(Network):
    """A file in `export/`."""

    precision: str = "fp32"
    sha256: str = ""
    fits: list[str] = []
    """Names of the runtimes that support it according to their documentation."""
    notes: list[str] = []
    """Notes for users of the file."""


class Source(_Open):
    """A file of the data set."""

    official: bool


class Check(_Open):
    """One comparison of a file with its network."""

    passed: bool


class Shown(_Open):
    """A held-out image; its picture is one that the run wrote."""

    picture: Annotated[str, Field(pattern=r"^held-out/[0-9]{1,6}\.png$")]
    right: Number | None = None
    label: str | None = None
    teacher: str | None = None
    student: str | None = None


class Latency(_Open):
    """Milliseconds by network."""

    milliseconds: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]


class Results(_Open):
    """report.json."""

    schema_version: Literal[1]
    task: str
    data: str | None
    n: Count
    scored_on: str
    kept: Number | None
    seconds: dict[Literal["inversion", "distillation", "evaluation"], Duration]
    teacher: Network
    student: Network
    onnx: Network
    parity: list[Check]
    embedded: bool = False
    worthless: str = ""
    finished: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+00:00|Z)?$")] | None = None
    files: dict[str, Source] = {}
    exported: dict[str, Exported] = {}
    latency: Latency | None = None
    classes: list[str] = []
    palette: list[Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]] = []
    confusion: dict[str, dict[str, Count]] = {}
    shown: Annotated[list[Shown], Field(max_length=1000)] = []

    @model_validator(mode="after")
    def _consistent(self) -> Results:
        """The score of the student is the teacher's, too, and what is confused are classes."""
        scores = [name for name, value in (self.student.model_extra or {}).items() if isinstance(value, float)]
        if not scores or not isinstance((self.teacher.model_extra or {}).get(scores[0]), float):
            raise ValueError("teacher and student have no score in common")
        named = {*self.confusion, *(name for row in self.confusion.values() for name in row)}
        if not named <= set(self.classes):
            raise ValueError(f"it confuses {sorted(named - set(self.classes))[0]!r:.80}, which is no class")
        if len(self.seconds) < 3:
            raise ValueError("its seconds are not those of inversion, distillation and evaluation")
        by_class = [v for v in (self.teacher.model_extra or {}).values() if isinstance(v, Mapping)]
        mine = [v for v in (self.student.model_extra or {}).values() if isinstance(v, Mapping)]
        if len(by_class) != len(mine):
            raise ValueError("teacher and student are not scored by class alike")
        if self.latency and not {"teacher", "student"} <= self.latency.milliseconds.keys():
            raise ValueError("its latency is not that of teacher and student")
        return self


class Surroundings(_Open):
    """environment.json."""

    threads: Count = 0
    platform: str = ""
    cuda: str | None = None


class Distillation(_Open):
    """The number of rounds."""

    rounds: Annotated[int, Field(ge=1, lt=1 << 31)]
    warmup: Annotated[int, Field(ge=0, lt=1 << 31)] = 0


class Settings(_Open):
    """config.yaml."""

    task: str
    method: str
    seed: int
    teacher: str | None = None
    student: str | None = None
    teacher_weights: str | None = None
    data_root: str | None = None
    collected: str | None = None
    distillation: Distillation


def require(schema: type[Schema], content: Any, place: str) -> dict[str, Any]:
    """The content as it is; raises `UsageError` that names the file and what in it is not as a run writes it."""
    try:
        schema.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{place} is broken: {first_complaint(error)}; run it anew with `overwrite`") from error
    checked: dict[str, Any] = content
    return checked
