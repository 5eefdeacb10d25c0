"""Settings of the stages that score synthetic images and compare models. No torch here."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from crossmod.checking import Section

Protocol = Literal[
    "brain-v1",
    "brain-v1-deploy",
    "seed-v1",
    "resvit-v1",
    "syndiff-v1",
    "hinet-v1",
    "brasyn-v1",
    "synthrad-v1",
]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


class PrimaryEndpoint(Section):
    """The one comparison that is named before the results are seen."""

    model: str | None = None
    """Model of interest; by default the first gradient model."""
    control: str | None = None
    """Model it is compared with; by default the null with the best mean of the metric."""
    metric: str = "psnr"
    """Metric id."""
    region: Literal["brain", "lesion", "healthy"] = "brain"
    """Region."""
    protocol: str = "brain-v1"
    """Protocol id."""


class ExperimentRow(Section):
    """One row of an experiment: a model on a task, and what was published for it."""

    model: str
    """Name in `models`."""
    task: str
    """Id of the task, as `T1w+T2w-to-FLAIR`."""
    label: str = ""
    """Name of the row; by default the model's."""
    published: dict[str, tuple[float, float]] = Field({})
    """Published mean and standard deviation by metric (`psnr`, `ssim`, `nrmse`)."""

    @property
    def name(self) -> str:
        """Label or model."""
        return self.label or self.model


class ExperimentSettings(Section):
    """One experiment: rows scored on the same subjects and compared with one of them."""

    title: str = Field(min_length=1)
    """What is compared."""
    rows: tuple[ExperimentRow, ...] = Field(min_length=2)
    """In the order in which they are shown."""
    control: str
    """Name of the row that all others are compared with."""
    baseline: str | None = None
    """Model, such as the constant brain, whose height above is told for every row."""
    without: tuple[str, ...] = ()
    """Participants left out, to see whether a result hangs on them; the models stay the same."""
    margin: float | None = Field(None, gt=0, exclude_if=lambda value: value is None)
    """PSNR in dB: a row whose interval of the difference in brain-v1 lies within it either way
    counts as equal to the control."""
    publication: str = ""
    """Where the published numbers are from."""
    publication_slices: int | None = Field(None, ge=1)
    """Slices that each published training saw; models that saw far fewer are marked."""

    @model_validator(mode="after")
    def _names_are_clear(self) -> ExperimentSettings:
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.title!r} names a row twice; give labels")
        if self.control not in names:
            raise ValueError(f"{self.title!r}: no row is named {self.control!r}")
        return self


class EvaluationSettings(Section):
    """How synthetic images are scored."""

    protocols: tuple[Protocol, ...] = PROTOCOLS
    """Protocol ids; see docs/explanation/protocol.md."""
    primary: PrimaryEndpoint = PrimaryEndpoint()
    """Primary endpoint."""
    experiments: tuple[ExperimentSettings, ...] = ()
    """Tables that put certain models and tasks side by side, beside published numbers."""
    sensitivity: str | None = None
    """Model whose images are shifted, blurred and scaled; by default the primary model."""
    bootstrap: int = Field(2000, ge=100)
    """Bootstrap samples of the confidence intervals."""
    seed: int = Field(0, ge=0)
    """Seed of the bootstrap."""

    @model_validator(mode="after")
    def _endpoint_is_scored(self) -> EvaluationSettings:
        if self.primary.protocol not in self.protocols:
            raise ValueError(f"primary.protocol {self.primary.protocol!r} is not in protocols")
        return self
