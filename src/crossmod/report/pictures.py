"""Slices of single subjects: sources, acquired target, synthetic images and their errors."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crossmod.intensity import scored_by, to_scored
from crossmod.io import read_image, read_section
from crossmod.report.figures import endpoint_values
from crossmod.report.inputs import Made, StudyFiles, Task
from crossmod.report.picture import Picture, data_uri
from crossmod.report.tables import metric_of
from crossmod.report.volumes import Viewer, make_viewer
from crossmod.status import Status

if TYPE_CHECKING:
    import pandas as pd

ERROR_COLORS = "RdBu_r"
MARGIN = 3
WIDTH = 150
"""Width of a shown slice in CSS pixels."""

Slice = NDArray[np.float32]


@dataclass(frozen=True)
class ModelSlices:
    """What one model made of a subject's slice."""

    model: str
    null: bool
    score: str
    synthetic: Picture
    error: Picture | None


@dataclass(frozen=True)
class Panel:
    """One subject."""

    session: str
    why: str
    where: str
    acquired: tuple[tuple[str, Picture], ...]
    made: tuple[ModelSlices, ...]
    viewer: Viewer

    def score(self, model: str) -> str:
        """Primary metric of one model's image."""
        return next((m.score for m in self.made if m.model == model), "")


@dataclass(frozen=True)
class Gallery:
    """The subjects shown for a task, with the common limit of the error maps."""

    limit: float
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Strip:
    """One slice of one subject by the rows of an experiment."""

    session: str
    why: str
    where: str
    limit: float
    acquired: tuple[tuple[str, Picture], ...]
    made: tuple[ModelSlices, ...]


@dataclass(frozen=True)
class Choice:
    """A participant to show, and why."""

    participant: str
    why: str


def choose(values: pd.Series, external: set[str], up: bool, number: int) -> list[Choice]:
    """Best, median and worst subject by the primary model, then the first external one.

    Parameters
    ----------
    values : series
        Participant to score of the primary model.
    external : set of str
        Participants kept apart.
    up : bool
        Whether higher is better.
    number : int
        How many to choose; ranks in between are filled evenly.
    """
    values = values.dropna()
    outside = sorted(external & set(values.index))[:1] if number > 1 else []
    inside = values[~values.index.isin(list(external))]
    # Ties are broken by name, so that the choice does not depend on the order of rows.
    ranked = inside.sort_index().sort_values(ascending=not up, kind="stable").index.tolist()
    last, wanted = len(ranked) - 1, number - len(outside)
    places = np.linspace(0, last, wanted) if wanted > 1 else np.array([last // 2])
    ranks = sorted({int(place) for place in places}) if ranked and wanted > 0 else []
    chosen = [Choice(ranked[rank], _rank_name(rank, last)) for rank in ranks]
    return chosen + [Choice(name, "external subject") for name in outside]


def _rank_name(rank: int, last: int) -> str:
    if last == 0:
        return "only test subject"
    named = {0: "best test subject", last: "worst test subject", last // 2: "median test subject"}
    if rank in (0, last):
        return named[rank]
    return named.get(rank, f"rank {rank + 1} of {last + 1} test subjects")


def gallery(study: StudyFiles, task: Task) -> Gallery | None:
    """Slices of the chosen subjects of a task; None if nothing was scored."""
    values = endpoint_values(study.subjects, task.id, study.endpoint)
    model = study.endpoint.model
    if model not in values:
        return None
    external = {name for name, roles in study.roles.items() if "external" in roles.values()}
    up = metric_of(study.endpoint.metric).up
    chosen = choose(values[model], external, up, study.request.examples)
    subjects = [found for choice in chosen if (found := _Subject.find(study, task, choice))]
    if not subjects:
        return None
    limit = _limit([pair for subject in subjects for pair in subject.errors()])
    return Gallery(limit, tuple(subject.panel(study, limit) for subject in subjects))


def _limit(errors: Sequence[tuple[Slice, NDArray[np.bool_]]]) -> float:
    """Common limit of error maps: round ones read better and hardly depend on one image."""
    sizes = [np.abs(error[mask]) for error, mask in errors]
    largest = max((float(np.percentile(size, 99)) for size in sizes if size.size), default=0.1)
    return float(np.clip(np.ceil(largest * 10) / 10, 0.1, 1))


def strip(
    study: StudyFiles, rows: Sequence[tuple[str, str, str]], participant: str, why: str
) -> Strip | None:
    """One slice of a participant by several models of several tasks, with common error colors.

    Parameters
    ----------
    study : StudyFiles
        What there is.
    rows : sequence of (str, str, str)
        Name, task and model.
    participant : str
        Whose slice.
    why : str
        Why this one.

    Returns
    -------
    Strip or None
        None where the participant has no images. Rows without an image are left out.
    """
    choice = Choice(participant, why)
    tasks = {task.id: task for task in study.tasks}
    named = dict.fromkeys(task for _, task, _ in rows)
    found = {name: _Subject.find(study, tasks[name], choice) for name in named}
    subjects = {name: subject for name, subject in found.items() if subject is not None}
    if not subjects:
        return None
    wanted = {(task, model) for _, task, model in rows}
    errors = [
        pair
        for name, subject in subjects.items()
        for entry, pair in zip(subject.made, subject.errors(), strict=False)
        if (name, entry.run.model) in wanted
    ]
    limit = _limit(errors)
    made = [
        replace(shown, model=label)
        for label, task, model in rows
        if task in subjects
        for shown in subjects[task].model_slices(study, limit, (model,))
    ]
    first = next(iter(subjects.values()))
    shown = [subject.shown_acquired() for subject in subjects.values()]
    acquired = dict([pair for some in shown for pair in some[:-1]] + [some[-1] for some in shown])
    where = f"slice z = {first.height_mm:.0f} mm ({first.chosen_by})"
    return Strip(first.status.session, why, where, limit, tuple(acquired.items()), tuple(made))


class _Subject:
    """One axial slice of one session: everything needed to draw it.

    Parameters
    ----------
    task : Task
        Direction of synthesis.
    choice : Choice
        Why it is shown.
    session : tuple of Status and path
        Preprocessing.
    made : list of Made
        One synthetic image per model.
    """

    def __init__(self, task: Task, choice: Choice, session: tuple, made: list[Made]) -> None:
        self.task, self.choice = task, choice
        self.status: Status = session[0]
        self.file = session[1]
        self.made = made
        brain = read_image(self.status.path("brain", self.file))
        self.brain = brain.data > 0.5
        self.place, self.chosen_by = self._slice()
        self.height_mm = float((brain.affine @ [0, 0, self.place, 1])[2])
        spacing = brain.spacing_mm
        self.aspect = spacing[1] / spacing[0]
        inside = np.argwhere(self.brain.any(axis=2))
        low = np.maximum(inside.min(axis=0) - MARGIN, 0)
        high = inside.max(axis=0) + MARGIN + 1
        self.box = (slice(low[0], high[0]), slice(low[1], high[1]))
        self.mask = self.brain[..., self.place][self.box]
        self.acquired = {name: self._normalized(name) for name in (*task.sources, task.target)}
        self.synthetic = [self._made(m) for m in made]
        self.covered = self.mask
        if f"fov-{task.target}" in self.status.outputs:
            cover = self._section(self.status.path(f"fov-{task.target}", self.file))
            self.covered = self.mask & (cover > 0.5)

    @classmethod
    def find(cls, study: StudyFiles, task: Task, choice: Choice) -> _Subject | None:
        """The participant's first session with images; None if there is none."""
        sessions = {
            key: entry
            for key, entry in sorted(study.preprocessed.items())
            if key.partition("_")[0] == choice.participant
        }
        for key, entry in sessions.items():
            if not entry[0].ok or task.target not in entry[0].outputs:
                continue
            first: dict[str, Made] = {}
            for made in study.made:
                if made.run.task == task.id and made.status.session == key and made.status.ok:
                    first.setdefault(made.run.model, made)
            if first:
                ordered = [first[m.name] for m in study.models if m.name in first]
                return cls(task, choice, entry, ordered)
        return None

    def _slice(self) -> tuple[int, str]:
        """Index of the slice with most lesion, else with most brain."""
        if "lesion" in self.status.outputs:
            lesion = read_image(self.status.path("lesion", self.file)).data > 0.5
            areas = (lesion & self.brain).sum(axis=(0, 1))
            if areas.any():
                return int(areas.argmax()), "most lesion"
        return int(self.brain.sum(axis=(0, 1)).argmax()), "most brain"

    def _section(self, path: object) -> Slice:
        """The slice of a volume, cropped; what is behind it is not read."""
        return read_section(str(path), self.place)[self.box]

    def _normalized(self, modality: str) -> Slice | None:
        if modality not in self.status.outputs:
            return None
        plane = self._section(self.status.path(modality, self.file))
        scale = scored_by(self.status.details["normalizers"][modality])
        return np.where(self.mask, scale.apply(plane), 0)

    def _made(self, made: Made) -> Slice:
        """The slice of a synthetic volume, on the scale of scores."""
        plane = self._section(made.status.path("normalized", made.batch))
        record = self.status.details["normalizers"][self.task.target]
        return np.where(self.mask, to_scored(plane, record), 0)

    def errors(self) -> list[tuple[Slice, NDArray[np.bool_]]]:
        """Synthetic minus acquired, with the voxels where both are known."""
        truth = self.acquired[self.task.target]
        return [] if truth is None else [(image - truth, self.covered) for image in self.synthetic]

    def panel(self, study: StudyFiles, limit: float) -> Panel:
        """Pictures of the subject."""
        made = self.model_slices(study, limit, [entry.run.model for entry in self.made])
        where = f"slice z = {self.height_mm:.0f} mm ({self.chosen_by})"
        viewer = make_viewer(self.task, (self.status, self.file), self.made, self.place)
        shown = (tuple(self.shown_acquired()), tuple(made), viewer)
        return Panel(self.status.session, self.choice.why, where, *shown)

    def shown_acquired(self) -> list[tuple[str, Picture]]:
        """Sources, then the acquired target."""
        shown = []
        for name, plane in self.acquired.items():
            if plane is not None:
                kind = "acquired" if name == self.task.target else "source"
                shown.append((f"{name}, {kind}", self._gray(plane, f"{name}, {kind}")))
        return shown

    def model_slices(
        self, study: StudyFiles, limit: float, models: Sequence[str]
    ) -> list[ModelSlices]:
        """Synthetic images and errors of some models."""
        errors, made = self.errors(), []
        for place, (entry, image) in enumerate(zip(self.made, self.synthetic, strict=True)):
            name = entry.run.model
            if name in models:
                alt = f"synthetic {self.task.target} by {name}"
                error = self._signed(*errors[place], limit, name) if errors else None
                score = _score(study, entry, self.task.id)
                null = entry.run.null
                made.append(ModelSlices(name, null, score, self._gray(image, alt), error))
        return made

    def _gray(self, plane: Slice, alt: str) -> Picture:
        return self._png(np.rint(np.clip(plane, 0, 1) * 255).astype(np.uint8), alt)

    def _signed(self, error: Slice, mask: NDArray[np.bool_], limit: float, name: str) -> Picture:
        """Error map with the common colors; outside the covered brain it is transparent white."""
        from matplotlib import colormaps

        level = np.clip((error / limit + 1) / 2, 0, 1)
        colored = (colormaps[ERROR_COLORS](level)[..., :3] * 255).astype(np.uint8)
        colored[~mask] = 255
        return self._png(colored, f"error of {name}")

    def _png(self, plane: NDArray[np.uint8], alt: str) -> Picture:
        """PNG, upright: anterior up, left on the left (neurological), as the QC pictures are."""
        from PIL import Image

        upright = np.ascontiguousarray(np.swapaxes(plane, 0, 1)[::-1])
        stream = io.BytesIO()
        image = Image.fromarray(upright)
        if upright.ndim == 3:
            image = image.quantize(64, dither=Image.Dither.NONE)
        image.save(stream, format="PNG", optimize=True)
        height = round(WIDTH * upright.shape[0] * self.aspect / upright.shape[1])
        return Picture(data_uri(stream.getvalue(), "png"), alt, WIDTH, height)


def _score(study: StudyFiles, made: Made, task: str) -> str:
    """The primary metric of exactly the image that is shown."""
    table, endpoint = study.scores, study.endpoint
    part = table[
        (table["session"] == made.status.session)
        & (table["task"] == task)
        & (table["model"] == made.run.model)
        & (table["fold"] == made.run.fold)
        & (table["seed"] == made.run.seed)
        & (table["variant"] == "")
        & (table["region"] == endpoint.region)
        & (table["protocol"] == endpoint.protocol)
        & (table["metric"] == endpoint.metric)
    ]
    if part.empty:
        return ""
    metric = metric_of(endpoint.metric)
    return f"{metric.value(float(part['value'].iloc[0]))} {metric.unit or metric.name}"
