"""File names: the only module that knows them.

Two trees. `derivatives/<dataset>/...` is keyed by data set and settings and shared by all
studies; `results/<study>/...` belongs to one study. All paths are relative to the working folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from crossmod.errors import InputError
from crossmod.hashing import hash_settings
from crossmod.settings import Modality

if TYPE_CHECKING:
    from crossmod.config import Study

DEFAULT_STUDY = Path("config/config.yaml")
DERIVATIVES = Path("derivatives")
RESULTS = Path("results")
STATE = Path(".snakemake")  # of the working folder: no result, private to who works there
TEMPLATE_SPACE = "MNI152NLin2009aSym"
AFFINE_TEMPLATE_SPACE = f"{TEMPLATE_SPACE}Affine"
"""Where an affine transform to the template leads, if a deformation follows."""
SUBJECT_SPACE = "individual"
"""Space of a participant's first usable session; the word is that of BIDS."""

# modality -> (BIDS suffix, entities that go before it, BIDS folder)
BIDS_NAMES: dict[Modality, tuple[str, str, str]] = {
    "T1w": ("T1w", "", "anat"),
    "T1ce": ("T1w", "ce-gadolinium_", "anat"),
    "T2w": ("T2w", "", "anat"),
    "FLAIR": ("FLAIR", "", "anat"),
    "PDw": ("PDw", "", "anat"),
    "CT": ("ct", "", "ct"),
    "PET": ("pet", "", "pet"),
}


def session_key(participant: str, session: str | None) -> str:
    """`sub-01` or `sub-01_ses-2`: the key of one visit everywhere."""
    return participant if not session else f"{participant}_{session}"


def split_key(key: str) -> tuple[str, str | None]:
    """Participant and session (or None) of a session key.

    Raises
    ------
    InputError
        If `key` is no session key.
    """
    participant, _, session = key.partition("_")
    if not participant.startswith("sub-") or (session and not session.startswith("ses-")):
        raise InputError(key, "is no session key", "write sub-01 or sub-01_ses-2")
    return participant, session or None


def bids_folder(key: str, folder: str = "anat") -> Path:
    """`sub-01[/ses-2]/anat`."""
    participant, session = split_key(key)
    return Path(participant, session, folder) if session else Path(participant, folder)


def raw_scan(key: str, modality: Modality) -> Path:
    """BIDS path of an acquired scan, relative to the data set."""
    suffix, entities, folder = BIDS_NAMES[modality]
    return bids_folder(key, folder) / f"{key}_{entities}{suffix}.nii.gz"


def modality_name(modality: Modality) -> str:
    """How a modality ends a file name: `ce-gadolinium_T1w` for T1ce."""
    suffix, entities, _ = BIDS_NAMES[modality]
    return entities + suffix


INGESTED_LABELS = Path("derivatives", "annotations")
"""Where an ingested data set keeps masks and label maps."""


CONVERTED = "bids"  # folder beside those of preprocessing


@dataclass(frozen=True)
class IngestedPaths:
    """Files of one session that was converted to BIDS; the status file is the stage's contract.

    Parameters
    ----------
    root : path
        The BIDS data set.
    key : str
        Session key.
    """

    root: Path
    key: str
    status_pattern: ClassVar[str] = "sub-*_desc-ingest_status.json"

    @property
    def status(self) -> Path:
        """Status file."""
        return self.root / f"{self.key}_desc-ingest_status.json"

    def scan(self, modality: Modality) -> Path:
        """Scan as BIDS names it."""
        return self.root / raw_scan(self.key, modality)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that may hold files of the session."""
        kinds = dict.fromkeys(folder for *_, folder in BIDS_NAMES.values())
        scans = tuple(self.root / bids_folder(self.key, kind) for kind in kinds)
        return (*scans, self.root / INGESTED_LABELS / bids_folder(self.key))

    def annotation(self, kind: str, number: int, *, labeled: bool) -> Path:
        """Brain mask, lesion mask or (labeled) label map of a tumor made by others.

        The second of a kind has `number` 2.
        """
        more = str(number) if number > 1 else ""
        mask = f"label-lesion{f'_desc-{more}' if more else ''}_mask"
        lesion = f"desc-tumor{more}_dseg" if labeled else mask
        ending = f"desc-brain{more}_mask" if kind == "brain" else lesion
        folder = self.root / INGESTED_LABELS / bids_folder(self.key)
        return folder / f"{self.key}_{ending}.nii.gz"


@dataclass(frozen=True)
class PreprocessedPaths:
    """Files of one preprocessed session; the status file is the stage's contract.

    Parameters
    ----------
    root : path
        Folder of the preprocessed derivative.
    key : str
        Session key.
    """

    root: Path
    key: str

    @property
    def folder(self) -> Path:
        """Folder of the session's volumes."""
        return self.root / bids_folder(self.key)

    @property
    def status(self) -> Path:
        """Status file."""
        return self.root / f"{self.key}_desc-preproc_status.json"

    def volume(self, modality: Modality, space: str) -> Path:
        """Bias-corrected volume on the common grid."""
        name = f"{self.key}_space-{space}_desc-preproc_{modality_name(modality)}.nii.gz"
        return self.folder / name

    def field_of_view(self, modality: Modality, space: str) -> Path:
        """Mask of the voxels that the scan covers, on the common grid."""
        return self.folder / f"{self.key}_space-{space}_desc-fov{modality}_mask.nii.gz"

    def brain_mask(self, space: str) -> Path:
        """Brain mask on the common grid."""
        return self.folder / f"{self.key}_space-{space}_desc-brain_mask.nii.gz"

    def lesion_mask(self, space: str) -> Path:
        """Union of all lesion labels on the common grid."""
        return self.folder / f"{self.key}_space-{space}_label-lesion_mask.nii.gz"

    def transform(self, source: str, target: str) -> Path:
        """ITK transform file (maps points of `target` to `source`, LPS, as ITK does)."""
        return self.folder / f"{self.key}_from-{source}_to-{target}_mode-image_xfm.txt"

    def warp(self, source: str, target: str) -> Path:
        """Displacement field, the same way round, in LPS as ITK has it."""
        return self.transform(source, target).with_suffix(".nii.gz")

    @property
    def quality(self) -> Path:
        """Measures and histograms for quality control."""
        return self.folder / f"{self.key}_desc-qc_measures.json"

    @property
    def figure(self) -> Path:
        """Quality-control picture of all scans, small."""
        return self.root / "figures" / f"{self.key}_desc-qc_preproc.png"

    def picture(self, modality: Modality) -> Path:
        """Quality-control picture of one scan, large."""
        return self.root / "figures" / f"{self.key}_desc-qc{modality}_preproc.webp"


@dataclass(frozen=True)
class RunPaths:
    """Files of one run (a trained model) of one study.

    Parameters
    ----------
    study : path
        Folder of the study's results.
    id : str
        Path keys of the run, as `StudyPaths.run_id` joins them.
    """

    study: Path
    id: str

    @property
    def checkpoint(self) -> Path:
        """Weights, settings and data contract."""
        return self.study / "models" / self.id / "checkpoint.pt"

    @property
    def curve(self) -> Path:
        """Losses and validation scores by epoch."""
        return self.study / "models" / self.id / "curve.tsv"

    @property
    def resume(self) -> Path:
        """Folder of the resume state: no declared output, survives an interrupted job."""
        return self.study / "resume" / self.id

    @property
    def synthetic(self) -> Path:
        """BIDS derivative of the synthetic images."""
        return self.study / "synthetic" / self.id

    @property
    def evaluation(self) -> Path:
        """Folder of the scores."""
        return self.study / "evaluation" / self.id

    def synthetic_batch(self, batch: str) -> Path:
        """Statuses of one batch of synthesized sessions."""
        return self.synthetic / f"batch-{batch}_status.json"

    def scores(self, batch: str) -> Path:
        """Scores of one batch of sessions."""
        return self.evaluation / f"batch-{batch}_scores.tsv"

    def scored_batch(self, batch: str) -> Path:
        """Statuses of one batch of scored sessions."""
        return self.evaluation / f"batch-{batch}_status.json"


def synthetic_volume(root: Path, key: str, target: Modality, description: str) -> Path:
    """Synthetic image; `description` is `synthetic` (own grid) or `normalized` (common grid)."""
    name = f"{key}_desc-{description}_{modality_name(target)}.nii.gz"
    return root / bids_folder(key) / name


@dataclass(frozen=True)
class StudyPaths:
    """Every path of a study.

    Parameters
    ----------
    study : Study
        Loaded study.
    """

    study: Study

    @property
    def root(self) -> Path:
        """Folder of the study."""
        return RESULTS / self.study.study

    @property
    def dataset(self) -> str:
        """Key of the data set."""
        return self.study.dataset.name

    @property
    def data(self) -> Path:
        """Folder of the raw data."""
        if self.study.data_dir is not None:
            return self.study.data_dir
        return Path("data") / self.dataset

    @property
    def derivatives(self) -> Path:
        """Folder of everything derived from the data set and shared by studies."""
        return DERIVATIVES / self.dataset

    @property
    def ingested_root(self) -> Path:
        """The data set as BIDS, where its own layout is another."""
        return self.derivatives / CONVERTED

    def ingested(self, key: str) -> IngestedPaths:
        """Files of one session converted to BIDS."""
        return IngestedPaths(self.ingested_root, key)

    @property
    def preprocessed_root(self) -> Path:
        """Preprocessed derivative, keyed by its settings."""
        return self.derivatives / f"preproc-{self.study.preprocess.hash}"

    def preprocessed(self, key: str) -> PreprocessedPaths:
        """Files of one preprocessed session."""
        return PreprocessedPaths(self.preprocessed_root, key)

    @property
    def slices_root(self) -> Path:
        """Slice stores, keyed by the settings of preprocessing and slicing."""
        keys = f"{self.study.preprocess.hash}-{self.study.slices.hash}"
        return self.derivatives / f"slices-{keys}"

    def slices(self, key: str) -> Path:
        """Manifest of one session's slice store; the array lies beside it as `.npy`."""
        return self.slices_root / f"{key}_slices.json"

    def index(self, table: str) -> Path:
        """Table of the index, for example `scans`; `crossmod.api.INDEX_TABLES` lists them."""
        return self.root / "index" / f"{table}.tsv"

    def run_id(self, task: str, model: str, fold: int, seed: int) -> str:
        """Path keys joined: task, method, model, hash of the settings, fold, seed."""
        settings = hash_settings(self.study.settings_of(model))
        method = self.study.models[model].method
        instance = f"method-{method}_model-{model}_settings-{settings}"
        return f"{task}/{instance}/fold-{fold}_seed-{seed}"

    def run(self, run_id: str) -> RunPaths:
        """Files of one run."""
        return RunPaths(self.root, run_id)

    def summary(self, table: str) -> Path:
        """Study-wide tables: `scores`, `summary`, `comparisons`, `experiments`, `curves`."""
        return self.root / "tables" / f"{table}.tsv"

    @property
    def metrics(self) -> Path:
        """Headline numbers for `dvc metrics`."""
        return self.root / "tables" / "metrics.json"

    @property
    def quality(self) -> Path:
        """Folder of the pages of quality control."""
        return self.root / "quality"

    @property
    def report(self) -> Path:
        """The report."""
        return self.root / "report" / "index.html"

    @property
    def overview(self) -> Path:
        """The report without movable images."""
        return self.report.with_name("overview.html")


QUALITY_PAGE = "index.html"
"""Page of all sessions in the folder of quality control."""


def session_page(key: str) -> str:
    """Page of one session in the folder of quality control."""
    return f"{key}.html"
