"""Study files: their schema. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crossmod.checking import Section, check, nearest
from crossmod.evaluation_settings import EvaluationSettings, ExperimentSettings
from crossmod.hashing import hash_settings
from crossmod.methods import declaration, settings_class
from crossmod.settings import (
    CLASSICAL_TRAINING_KEYS,
    MODALITIES,
    Fraction,
    Modality,
    TaskSettings,
    TrainingSettings,
)

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]


def _added(default: Any) -> Any:
    """A key that came later: left out at its default, so that older hashes stay valid."""
    return Field(default, exclude_if=lambda value: value == default)


class PhantomSettings(Section):
    """The embedded data set: synthetic heads with known truth."""

    subjects: int = Field(24, ge=1, le=9999)
    """Number of subjects."""
    seed: int = Field(0, ge=0)
    """Seed of everything random; subject i depends on (seed, i) only."""
    modalities: tuple[Modality, ...] = ("T1w", "T2w", "FLAIR")
    """Modalities that are simulated."""
    missing: Fraction = 0.1
    """Fraction of subjects that lack one modality other than the first."""
    resolution_mm: float = Field(1.5, ge=0.8, le=4)
    """Voxel size of the simulated anatomy and of 3-D acquisitions."""
    slice_thickness_mm: float = Field(4.0, ge=0.8, le=8)
    """Slice thickness of 2-D acquisitions (T2w, FLAIR, PDw)."""

    def of_one_subject(self) -> dict[str, Any]:
        """What decides a subject: all but how many subjects there are."""
        return self.model_dump(mode="json", exclude={"subjects"})


class DatasetSettings(Section):
    """Which scans there are."""

    name: Name
    """Names the folder of the shared derivatives; one name stands for one data folder."""
    layout: Literal["auto", "bids", "brats", "msd", "ixi", "dicom", "manifest", "phantom"] = "auto"
    """How the data folder is laid out; `auto` tells by names, and a `manifest` is one."""
    manifest: Path | None = None
    """Table of scans (layout `manifest`), relative to the data folder."""
    entities: dict[str, str | tuple[str | None, ...] | None] = Field({})
    """Entities that a scan's name must have (layout `bids`): `{space: MNI152NLin2009cAsym, desc:
    preproc}`; of a list (`{run: ["2", "1", null]}`) the first there is, null for names without."""
    phantom: PhantomSettings | None = None
    """Settings of the phantom (layout `phantom`)."""
    deface: bool = False
    """Work on copies of the scans, written as BIDS, from which the face was taken."""
    include: tuple[str, ...] | None = None
    """Participants to use; by default all."""
    exclude: dict[str, str] = Field({})
    """Session key (`sub-01` or `sub-01_ses-2`) to the reason why it is left out."""
    exclusions: Path | None = _added(None)
    """Table (session, reason) of more sessions or participants to leave out."""

    @model_validator(mode="after")
    def _layout_has_its_settings(self) -> DatasetSettings:
        if self.layout == "manifest" and self.manifest is None:
            raise ValueError("layout 'manifest' needs the key 'manifest'")
        if (self.layout == "phantom") != (self.phantom is not None):
            raise ValueError("the key 'phantom' belongs to layout 'phantom', and is needed there")
        return self


class SplitSettings(Section):
    """Division of the subjects into train, validation and test."""

    mode: Literal["holdout", "kfold"] = "holdout"
    """One division, or cross-validation in which every subject is tested once."""
    test: Fraction = 0.25
    """Fraction of test subjects (holdout)."""
    validation: Fraction = 0.1
    """Fraction of validation subjects (of those not tested, in kfold)."""
    folds: int = Field(5, ge=2, le=20)
    """Number of folds (kfold)."""
    stratify: str | None = None
    """Column of participants.tsv whose values are spread evenly."""
    seed: int = 0
    """Seed of the division."""
    external: tuple[str, ...] = ()
    """Participants kept out of training and reported apart."""
    file: Path | None = None
    """Table (participant_id, fold, role) to use as it is instead."""

    @model_validator(mode="after")
    def _leaves_some_to_train(self) -> SplitSettings:
        if self.mode == "holdout" and self.test + self.validation >= 1:
            raise ValueError("test and validation leave nobody to train on")
        return self


class PreprocessSettings(Section):
    """From raw scans to aligned, bias-corrected, brain-extracted volumes."""

    modalities: tuple[Modality, ...] = MODALITIES
    """Modalities to process; others are left alone."""
    reference: tuple[Modality, ...] = MODALITIES
    """Order of preference for the modality that the others are registered to."""
    space: Literal["native", "template", "subject"] = "native"
    """Common space of a session: the reference scan's own; the ICBM 2009a template; or that of the
    participant's first usable session, to which the later ones are registered rigidly."""
    template_registration: Literal["rigid", "affine", "deformable"] = _added("affine")
    """Registration of the reference to the template (space `template`); `rigid` keeps sizes."""
    spacing_mm: float | None = Field(1.0, gt=0.3, le=8)
    """Isotropic voxel size of the common grid; null keeps the grid of the reference scan, of the
    template (1 mm) or of the first session."""
    bias_field: Literal["n4", "none"] = "n4"
    """Bias-field correction."""
    registration: Literal["rigid", "auto", "none"] = "rigid"
    """Registration within the session; `auto` trusts scans on the reference's grid, `none` all."""
    brain_extraction: Literal[
        "auto", "provided", "nonzero", "surface", "template", "bet", "robex", "hd-bet", "synthstrip"
    ] = "auto"
    """Backend; `auto`: a provided mask, else nonzero voxels of brain-only scans, else surface.
    The last four are programs that you install (docs/how-to/own-data.md)."""
    brain_consensus: bool = _added(True)
    """A mask that is estimated is estimated in every MR scan, and most of them decide."""
    interpolation: Literal["linear", "bspline"] = "linear"
    """Interpolation of the one resampling."""
    intensity: Literal["percentiles", "maximum", "z-score", "white-stripe"] = _added("percentiles")
    """Intensities inside the brain that are mapped to 0 and 1: two percentiles; zero and the
    maximum, as published scores of the FD-GAN paper imply; multiples of the standard deviation
    around the mean; or of the white stripe's width around the level of white matter."""
    percentiles: tuple[float, float] = (0.5, 99.5)
    """The percentiles (intensity `percentiles`)."""

    @field_validator("percentiles")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 100:
            raise ValueError("must be two increasing numbers from 0 to 100")
        return value

    @model_validator(mode="after")
    def _percentiles_are_used(self) -> PreprocessSettings:
        default = type(self).model_fields["percentiles"].default
        if self.intensity != "percentiles" and self.percentiles != default:
            raise ValueError("the key 'percentiles' belongs to intensity 'percentiles' alone")
        return self

    @model_validator(mode="after")
    def _template_is_used(self) -> PreprocessSettings:
        if self.template_registration != "affine" and self.space != "template":
            raise ValueError("the key 'template_registration' belongs to space 'template' alone")
        return self

    @property
    def hash(self) -> str:
        """Key of the shared derivatives."""
        return hash_settings(self.model_dump(mode="json"))


class SliceSettings(Section):
    """From volumes to the axial slices that networks see."""

    size: int = Field(256, ge=16, le=512, multiple_of=8)
    """Height and width in pixels after halving; a U-Net is as deep as it can be halved exactly."""
    fit: Literal["pad", "resize"] = _added("pad")
    """How a section becomes a slice: padded or cut around the brain, voxels as they are, or its
    whole field of view, padded to a square, interpolated bilinearly (as in the FD-GAN paper)."""
    halvings: int = Field(0, ge=0, le=3)
    """How often a padded slice of `size * 2**halvings` pixels is halved (fit `pad`)."""
    dtype: Literal["float32", "float16"] = "float32"
    """Stored type."""

    @model_validator(mode="after")
    def _resized_at_once(self) -> SliceSettings:
        if self.fit == "resize" and self.halvings:
            raise ValueError("fit 'resize' gives slices of 'size' at once; leave out 'halvings'")
        return self

    @property
    def hash(self) -> str:
        """Key of the shared slice stores."""
        return hash_settings(self.model_dump(mode="json"))


class ModelSettings(BaseModel):
    """One configured method: its name, what it is trained for, and the method's own keys."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    method: str
    """Name in `crossmod methods`."""
    training: dict[str, Any] = {}
    """Overrides of the study's `training`."""
    tasks: tuple[str, ...] | None = None
    """Tasks it is trained for, as `T1w+T2w-to-FLAIR`; by default all."""
    folds: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Folds it is trained in; by default all."""

    @property
    def own(self) -> dict[str, Any]:
        """The method's own keys."""
        return dict(self.model_extra or {})


class ReportSettings(Section):
    """What the report shows."""

    subjects: int = Field(4, ge=1, le=24)
    """Subjects per task whose images are shown; the others are listed by name and score."""


class Study(Section):
    """One study file."""

    study: Name
    """Name of the study; its results lie in `results/<study>`."""
    title: str = ""
    """One line for the report."""
    data_dir: Path | None = None
    """Folder of the raw data; also `--config data_dir=...` or `CROSSMOD_DATA_DIR`."""
    dataset: DatasetSettings
    """Data set."""
    split: SplitSettings = SplitSettings()
    """Division of the subjects."""
    preprocess: PreprocessSettings = PreprocessSettings()
    """Preprocessing, shared by all studies with the same settings."""
    slices: SliceSettings = SliceSettings()
    """Slice stores."""
    tasks: tuple[TaskSettings, ...] = Field(min_length=1)
    """Directions of synthesis."""
    training: TrainingSettings = TrainingSettings()
    """Defaults of all gradient models."""
    models: dict[Name, ModelSettings] = Field(min_length=1)
    """Models to train, by name."""
    nulls: bool = True
    """Add the null models that are not listed: brain mean, affine copy of each source, linear
    regression, and that one at full resolution where slices are halved or resized."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0,), min_length=1)
    """Seeds; every gradient model is trained once per seed and fold."""
    batch: int = Field(8, ge=1)
    """Sessions synthesized and scored by one job."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Scores and statistics."""
    report: ReportSettings = ReportSettings()
    """The page that tells of it all."""

    @model_validator(mode="before")
    @classmethod
    def _with_nulls(cls, content: Any) -> Any:
        """Null models belong into every table; those listed keep their names."""
        wanted = isinstance(content, Mapping) and content.get("nulls", True) is True
        if wanted and "models" in content:
            return {**content, "models": _add_nulls(content)}
        return content

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        for name, model in self.models.items():
            check(TrainingSettings, model.training, where=f"models.{name}.training")
            check(settings_class(model.method), model.own, where=f"models.{name}")
        allowed = set(self.preprocess.modalities)
        for task in self.tasks:
            unknown = {*task.sources, task.target} - allowed
            if unknown:
                raise ValueError(f"task {task.id} needs {sorted(unknown)}, not preprocessed")
            self._refuse_target_as_reference(task)
        if len({task.id for task in self.tasks}) < len(self.tasks):
            raise ValueError("names a task twice")
        for name, model in self.models.items():
            self._refuse_unknown_parts(name, model)
        for role in (self.evaluation.primary.model, self.evaluation.sensitivity):
            if role is not None and role not in self.models:
                raise ValueError(f"evaluation names the model {role!r}, which is not in models")
        for experiment in self.evaluation.experiments:
            self._refuse_unknown_rows(experiment)
        return self

    def _refuse_unknown_rows(self, experiment: ExperimentSettings) -> None:
        """A row of a model that is not trained for its task would stay empty."""
        known = [task.id for task in self.tasks]
        where = f"evaluation.experiments, {experiment.title!r}"
        names = [row.model for row in experiment.rows]
        for model in (*names, *([experiment.baseline] if experiment.baseline else ())):
            if model not in self.models:
                raise ValueError(f"{where}: model {model}; {nearest(model, list(self.models))}")
        for row in experiment.rows:
            if row.task not in known:
                raise ValueError(f"{where}: task {row.task}; {nearest(row.task, known)}")
            if row.task not in (self.models[row.model].tasks or known):
                raise ValueError(f"{where}: {row.model} is not trained for {row.task}")

    def _refuse_unknown_parts(self, name: str, model: ModelSettings) -> None:
        """A model restricted to a task or fold that does not exist would be trained nowhere."""
        known = [task.id for task in self.tasks]
        for task in model.tasks or ():
            if task not in known:
                raise ValueError(f"models.{name}.tasks: {task}; {nearest(task, known)}")
        count = self.split.folds if self.split.mode == "kfold" else 1
        for fold in model.folds or ():
            if fold >= count:
                raise ValueError(f"models.{name}.folds: {fold}, but there are {count} folds from 0")

    def _refuse_target_as_reference(self, task: TaskSettings) -> None:
        """Brain mask, grid and slices come from the reference: it must not be the target."""
        order = [m for m in self.preprocess.reference if m in (*task.sources, task.target)]
        if order and order[0] == task.target:
            first = f"[{task.sources[0]}, {task.target}, ...]"
            problem = f"task {task.id} would take its target {task.target} as reference"
            raise ValueError(f"{problem}; write preprocess.reference: {first}")

    @property
    def task_modalities(self) -> tuple[Modality, ...]:
        """Sources and targets of all tasks, in canonical order."""
        used = {m for task in self.tasks for m in (*task.sources, task.target)}
        return tuple(m for m in MODALITIES if m in used)

    def training_of(self, model: str) -> TrainingSettings:
        """Training settings of one model: the study's, overridden by the model's own."""
        merged = {**self.training.to_dict(), **self.models[model].training}
        return check(TrainingSettings, merged, where=f"models.{model}.training")

    def settings_of(self, model: str) -> dict[str, Any]:
        """Everything that decides one model's training, as plain JSON values.

        Methods that are fitted at once read of `training` only what selects their slices.
        """
        entry = self.models[model]
        training = self.training_of(model).to_dict()
        if declaration(entry.method).fitting == "classical":
            training = {key: v for key, v in training.items() if key in CLASSICAL_TRAINING_KEYS}
        own = check(settings_class(entry.method), entry.own, where=f"models.{model}")
        return {"method": entry.method, "settings": own.to_dict(), "training": training}


def _add_nulls(content: Mapping[str, Any]) -> Any:
    """The models, and the null models that a study lacks; content of wrong form is left alone."""
    models, tasks, slices = (content.get(key) for key in ("models", "tasks", "slices"))
    if not isinstance(models, Mapping) or not isinstance(tasks, list | tuple):
        return models
    entries = [m if isinstance(m, Mapping) else {} for m in models.values()]
    lists = [task.get("sources") for task in tasks if isinstance(task, Mapping)]
    sources = [s for names in lists if isinstance(names, list | tuple) for s in names]
    wanted: dict[str, dict[str, Any]] = {"null-mean": {"method": "brain-mean"}}
    for source in dict.fromkeys(str(source) for source in sources):
        wanted[f"null-copy-{source.lower()}"] = {"method": "copy-source", "source": source}
    wanted["null-linear"] = {"method": "linear-regression"}
    if isinstance(slices, Mapping) and (slices.get("halvings") or slices.get("fit") == "resize"):
        native = {"method": "linear-regression", "resolution": "native"}
        wanted["null-linear-native"] = native
    keys = ("method", "source", "resolution")
    known = [tuple(entry.get(key) for key in keys) for entry in entries]
    missing = {n: w for n, w in wanted.items() if tuple(w.get(key) for key in keys) not in known}
    return {**models, **{name: entry for name, entry in missing.items() if name not in models}}
