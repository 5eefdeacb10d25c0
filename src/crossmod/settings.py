"""Settings that reach a training, which must need torch, Fabric and numpy alone.

They are plain dataclasses. Where a study is read, `crossmod.checking` checks their values with
pydantic, which finds the limits in the annotations and the descriptions below the fields.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, get_args

Modality = Literal["T1w", "T1ce", "T2w", "FLAIR", "PDw", "CT", "PET"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
# What a method that is fitted at once reads of the training settings: what slices it sees.
CLASSICAL_TRAINING_KEYS = ("context", "slices", "brain_fraction", "middle", "standardization")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Range of a number or least length of a list, written `Annotated[int, Limits(ge=1)]`."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    min_length: int | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Add the limits to pydantic's own schema of the value."""
        limits = {key: limit for key, limit in vars(self).items() if limit is not None}
        return {**handler(source), **limits}


Fraction = Annotated[float, Limits(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of these settings; pydantic refuses unknown keys."""

    __pydantic_config__ = {  # noqa: RUF012
        "extra": "forbid",
        "use_attribute_docstrings": True,
        "allow_inf_nan": False,
    }

    later: ClassVar[tuple[str, ...]] = ()
    """Keys that came later: left out at their defaults, so that older hashes stay valid."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        defaults = {field.name: field.default for field in fields(self)}
        unused = {key for key in self.later if values[key] == defaults[key]}
        return {key: value for key, value in values.items() if key not in unused}


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    """One direction of synthesis."""

    sources: Annotated[tuple[Modality, ...], Limits(min_length=1)]
    """Modalities that are available."""
    target: Modality
    """Modality that is synthesized."""

    def __post_init__(self) -> None:
        if len(set(self.sources)) < len(self.sources):
            raise ValueError("names a source twice")
        if self.target in self.sources:
            raise ValueError(f"{self.target} is both source and target")

    @property
    def id(self) -> str:
        """Name in paths, for example `T1w+T2w-to-FLAIR`."""
        return f"{'+'.join(self.sources)}-to-{self.target}"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Settings):
    """What every gradient method shares; ignored by methods that are fitted at once."""

    epochs: Annotated[int, Limits(ge=1)] = 200
    """Passes over the training slices."""
    batch_size: Annotated[int, Limits(ge=1)] = 4
    """Slices per step."""
    context: Annotated[int, Limits(ge=0, le=5)] = 0
    """Neighboring slices on each side given as extra channels (2.5D); 0 is 2D."""
    slices: Literal["brain", "middle"] = "brain"
    """Which slices are trained on, judged on the source modalities only."""
    brain_fraction: Fraction = 0.2
    """`brain`: least occupied area, relative to the fullest slice of the volume."""
    middle: Annotated[int, Limits(ge=1)] = 80
    """`middle`: number of slices from the middle of the non-empty run."""
    steps_per_epoch: Annotated[int, Limits(ge=1)] | None = None
    """Steps that count as one epoch; by default one pass."""
    validate_every: Annotated[int, Limits(ge=1)] = 5
    """Epochs between validations on whole volumes."""
    keep: Literal["last", "best"] = "last"
    """Which weights are kept: of the last epoch, or of the best validation."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic, as Lightning Fabric names it."""
    channels_last: bool = False
    """Memory layout of the convolutions."""
    compile: bool = False
    """torch.compile the networks; ignored on a CPU."""
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    """Device kind."""
    devices: Annotated[int, Limits(ge=1)] = 1
    """Number of devices for one training."""
    augment_flip: bool = False
    """Flip left and right at random."""
    standardization: Literal["none", "nyul"] = "none"
    """`nyul` maps percentiles of every volume to their means over the training sessions, for
    methods that are fitted at once, too."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; a key that came later is left out at its default: hashes stay."""
        values = super().to_dict()
        if self.standardization == "none":
            del values["standardization"]
        return values
