"""The public Python API: study files, results of a study, synthesis of one new scan.

Everything here is also reached from `crossmod` itself. Nothing here writes into a study; studies
are run by Snakemake.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossmod.config import Study
from crossmod.data.splits import fold_count
from crossmod.errors import CrossmodError, InputError
from crossmod.files import read_json, read_table
from crossmod.paths import DEFAULT_STUDY, RunPaths, StudyPaths, synthetic_volume
from crossmod.settings import MODALITIES, Modality, TaskSettings
from crossmod.status import read_status
from crossmod.study_file import load_study as read_study

if TYPE_CHECKING:
    import nibabel as nib
    import pandas as pd

__all__ = ["CrossmodError", "Results", "TrainedModel", "load_study", "open_study", "synthesize"]

INDEX_TABLES = (
    "layout",
    "files",
    "participants",
    "scans",
    "sessions",
    "annotations",
    "remarks",
    "split",
    "unserved",
)
RESULT_TABLES = ("scores", "summary", "comparisons", "curves")


def load_study(path: Path | str = DEFAULT_STUDY, **changes: Any) -> Study:
    """Load, complete and check a study file.

    Parameters
    ----------
    path : path
        Study file, YAML.
    **changes
        Top-level keys that replace those of the file, whole: `data_dir="/data"`.

    Returns
    -------
    Study
        Immutable; every key of `config/README.md` is an attribute.

    Raises
    ------
    CrossmodError
        With the full key path of the first fault, in one line.
    """
    return read_study(changes, path)


def open_study(study: Study | Path | str = DEFAULT_STUDY, folder: Path | str = ".") -> Results:
    """Open the results of a study that has run.

    Parameters
    ----------
    study : Study or path
        The study, or its file (relative to the current folder).
    folder : path
        Folder the study ran in, where `results` and `derivatives` lie.

    Raises
    ------
    CrossmodError
        If the study file cannot be used, or the study has no results in `folder`.
    """
    loaded = study if isinstance(study, Study) else load_study(study)
    results = Results(loaded, Path(folder))
    if not results.table_file("summary").is_file():
        problem = f"holds no results of the study {loaded.study!r}"
        remedy = "run it there with snakemake, or name the folder it ran in"
        raise InputError(Path(folder).resolve(), problem, remedy)
    return results


@dataclass(frozen=True)
class TrainedModel:
    """A model of a study, trained for one task with one fold and seed.

    Attributes
    ----------
    name, method : str
        Key of the model in the study file, and its method.
    task : str
        `T1w+T2w-to-FLAIR`.
    sources, target : modalities
        What it needs and what it makes.
    fold, seed : int
        Part of the cross-validation, seed of everything random.
    checkpoint : path
        Weights, settings and data contract, for `crossmod.synthesize`.
    images : path
        BIDS derivative of the images it made in the study.
    """

    name: str
    method: str
    task: str
    sources: tuple[Modality, ...]
    target: Modality
    fold: int
    seed: int
    checkpoint: Path
    images: Path

    def image(self, session: str, kind: str = "synthetic") -> Path:
        """Image this model made of a session of the study.

        Parameters
        ----------
        session : str
            Session key, `sub-01` or `sub-01_ses-2`.
        kind : {"synthetic", "normalized"}
            On the grid and in the scale of an acquired scan, or on the common grid in [0, 1].

        Returns
        -------
        path
            NIfTI file, float32, shape (X, Y, Z).

        Raises
        ------
        CrossmodError
            If there is none: the session was not tested, or was left out.
        """
        path = synthetic_volume(self.images, session, self.target, kind)
        if not path.is_file():
            problem = f"the model {self.name} made no {kind} image of {session}"
            raise InputError(self.images, problem, "see `sessions` and the report for the reason")
        return path


@dataclass(frozen=True)
class Results:
    """What a study left on disk. Files are read when asked for; nothing is written.

    Attributes
    ----------
    study : Study
        Its settings.
    folder : path
        Folder it ran in.
    """

    study: Study
    folder: Path

    @cached_property
    def _paths(self) -> StudyPaths:
        return StudyPaths(self.study)

    @property
    def report(self) -> Path:
        """The report, an HTML file."""
        return self.folder / self._paths.report

    def table_file(self, name: str) -> Path:
        """Path of a table; `docs/reference/outputs.md` says what each holds.

        Raises
        ------
        CrossmodError
            If no table has that name.
        """
        if name in RESULT_TABLES:
            return self.folder / self._paths.summary(name)
        if name in INDEX_TABLES:
            return self.folder / self._paths.index(name)
        known = ", ".join(RESULT_TABLES + INDEX_TABLES)
        raise InputError(name, "is no table of a study", f"choose one of {known}")

    def table(self, name: str) -> pd.DataFrame:
        """A table of the study: `summary`, `scores`, `comparisons`, `split`, ..."""
        return read_table(self.table_file(name))

    @property
    def metrics(self) -> dict[str, dict[str, dict[str, float]]]:
        """Headline scores in the brain by task, model and metric (`psnr` in dB, `ssim`)."""
        content: dict[str, dict[str, dict[str, float]]] = read_json(
            self.folder / self._paths.metrics
        )
        return content

    @property
    def sessions(self) -> tuple[str, ...]:
        """Keys of the sessions that were preprocessed, in the order of the index."""
        keys = self.table("sessions")["session_key"]
        return tuple(key for key in keys if self._status_file(key).is_file())

    def scans(self, session: str) -> dict[str, Path]:
        """Acquired scans of a session by modality, those that could be used.

        Where the data set was converted to BIDS first, its files there.
        """
        table = self.table("scans")
        rows = table[(table["session_key"] == session) & (table["status"] == "present")]
        status_file = self.folder / self._paths.ingested(session).status
        if status_file.is_file():
            status = read_status(status_file)
            found = [name for name in rows["modality"] if name in status.outputs]
            return {name: status.path(name, status_file) for name in found}
        root = self.folder / self._paths.data
        return {
            name: root / path for name, path in zip(rows["modality"], rows["path"], strict=True)
        }

    def volumes(self, session: str) -> dict[str, Path]:
        """Preprocessed files of a session by name; empty if it was left out.

        Returns
        -------
        dict of str to path
            Modalities (float32, shape (X, Y, Z), zero outside the brain), `brain` and, where
            there are any, `lesion` masks, all on the session's common grid; transforms; figure.
        """
        file = self._status_file(session)
        status = read_status(file)
        return {name: status.path(name, file) for name in status.outputs}

    @cached_property
    def runs(self) -> tuple[TrainedModel, ...]:
        """Every trained model with the study's present settings: task x model x fold x seed."""
        found = []
        for task in self.study.tasks:
            for name in self.study.models:
                for fold in range(fold_count(self.study.split)):
                    for seed in self.study.seeds:
                        paths = self._paths.run(self._paths.run_id(task.id, name, fold, seed))
                        if (self.folder / paths.checkpoint).is_file():
                            found.append(self._model(task, name, (fold, seed), paths))
        return tuple(found)

    @property
    def models(self) -> dict[str, TrainedModel]:
        """The first run of each model by name; all of them are in `runs`."""
        first: dict[str, TrainedModel] = {}
        for run in self.runs:
            first.setdefault(run.name, run)
        return first

    def _model(
        self, task: TaskSettings, name: str, key: tuple[int, int], paths: RunPaths
    ) -> TrainedModel:
        return TrainedModel(
            name=name,
            method=self.study.models[name].method,
            task=task.id,
            sources=task.sources,
            target=task.target,
            fold=key[0],
            seed=key[1],
            checkpoint=self.folder / paths.checkpoint,
            images=self.folder / paths.synthetic,
        )

    def _status_file(self, session: str) -> Path:
        return self.folder / self._paths.preprocessed(session).status


def synthesize(
    checkpoint: Path | str,
    scans: Mapping[str, Path | str],
    output: Path | str | None = None,
) -> nib.Nifti1Image:
    """Make the missing scan of a new subject with a trained model.

    The scans are preprocessed as the model's training data were: bias field, registration,
    brain extraction, normalization. That takes most of the time, about a minute.

    Parameters
    ----------
    checkpoint : path
        Trained model, `TrainedModel.checkpoint`.
    scans : mapping of modality to path
        Acquired scans, NIfTI; exactly the sources that the model needs. Some methods (MILR) are
        content with some of them.
    output : path, optional
        NIfTI file to write as well, with a `.json` sidecar that names model and code.

    Returns
    -------
    nibabel.Nifti1Image
        Shape (X, Y, Z), orientation and affine of the reference scan (the study's
        `preprocess.reference`), float32; intensities of the training cohort (HU for CT), 0
        outside the brain.

    Raises
    ------
    CrossmodError
        If the model or a scan cannot be used, or the scans are not those it needs.
    """
    from crossmod.io import read_image, to_nifti
    from crossmod.locks import stage_lock
    from crossmod.new_scans import synthesize_scans

    unknown = [name for name in scans if name not in MODALITIES]
    if unknown:
        raise InputError(unknown[0], "is no modality", f"choose from {', '.join(MODALITIES)}")
    given: Any = {name: Path(path) for name, path in scans.items()}
    with tempfile.TemporaryDirectory(prefix="crossmod-") as work:
        path = Path(work) / "synthetic.nii.gz" if output is None else Path(output)
        with stage_lock(path):
            synthesize_scans(Path(checkpoint), given, path)
        image = read_image(path)
    return to_nifti(image)
