"""What is to be trained, and the data contract that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import crossmod
from crossmod.data.contract import DataContract, slicing_in_words
from crossmod.data.dataset import Member, SliceDataset
from crossmod.data.store import Geometry, Store
from crossmod.errors import ContractError
from crossmod.hashing import hash_code, hash_file, hash_settings
from crossmod.methods import module_name
from crossmod.settings import TaskSettings, TrainingSettings

PACKAGE = Path(crossmod.__file__).parent
TRAINING_CODE = (
    "methods/base.py",
    "methods/adversarial.py",
    "data/*.py",
    "losses/*.py",
    "nets/*.py",
    "training/*.py",
)


@dataclass(frozen=True)
class TrainRequest:
    """Everything that decides one training.

    Attributes
    ----------
    task : TaskSettings
        Sources and target.
    model : dict
        `method`, `settings` and `training`, as `Study.settings_of` gives them.
    train_manifests, validation_manifests : tuple of path
        Slice stores.
    seed : int
        Seed.
    preprocess : dict
        Preprocessing settings, kept for new scans; empty takes those of the stores.
    """

    task: TaskSettings
    model: dict[str, Any]
    train_manifests: tuple[Path, ...]
    validation_manifests: tuple[Path, ...]
    seed: int
    preprocess: dict[str, Any]

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.model["method"])

    @property
    def training(self) -> TrainingSettings:
        """Training settings, defaults filled in."""
        return TrainingSettings(**self.model.get("training", {}))

    @property
    def hash(self) -> str:
        """Hash of settings, seed, data and code: a resume state is good for one request only."""
        name = module_name(self.method)
        patterns = (*TRAINING_CODE, f"methods/{name}.py", f"methods/{name}_settings.py")
        files = sorted(path for pattern in patterns for path in PACKAGE.glob(pattern))
        return hash_settings(
            {
                "task": self.task.to_dict(),
                "model": self.model,
                "seed": self.seed,
                "train": [hash_file(path) for path in self.train_manifests],
                "validation": [hash_file(path) for path in self.validation_manifests],
                "code": [hash_file(path) for path in files],
            }
        )


def make_contract(
    request: TrainRequest, training: SliceDataset, validation: SliceDataset
) -> DataContract:
    """Data contract of a model trained on these sessions.

    Raises
    ------
    ContractError
        If the stores were not all sliced and preprocessed alike.
    """
    geometry, preprocessed = _common_grid([*training.members, *validation.members])
    preprocess = request.preprocess or preprocessed["preprocess"]
    split = {
        "train": sorted(member.session for member in training.members),
        "validation": sorted(member.session for member in validation.members),
    }
    return DataContract(
        sources=request.task.sources,
        target=request.task.target,
        context=request.training.context,
        size=geometry.size,
        halvings=geometry.halvings,
        fit=geometry.fit,
        spacing_mm=preprocess["spacing_mm"],
        space=preprocess["space"],
        orientation="RAS",
        percentiles=tuple(preprocess["percentiles"]),
        cohort=_cohort(training, (*request.task.sources, request.task.target)),
        preprocess=preprocess,
        preprocess_hash=preprocessed["hash"],
        split=hash_settings(split),
        code=f"{crossmod.__version__}+{hash_code()}",
        standard={name: list(own) for name, own in (training.standard or {}).items()},
    )


def _common_grid(members: list[Member]) -> tuple[Geometry, dict[str, Any]]:
    """Geometry of the first session, as which all must be sliced, and their preprocessing."""
    stores = [Store.open(member.manifest) for member in members]
    geometry, preprocessed = stores[0].geometry, stores[0].manifest["preprocessed"]
    for store in stores[1:]:
        alike = slicing_in_words(store.geometry) == slicing_in_words(geometry)
        if not alike or store.manifest["preprocessed"] != preprocessed:
            problem = f"was sliced or preprocessed otherwise than {stores[0].session}"
            raise ContractError(store.path, problem, "make all stores with the same settings")
    return geometry, preprocessed


def _cohort(training: SliceDataset, modalities: Sequence[str]) -> dict[str, list[float]]:
    """Median over the training sessions of what was mapped to 0 and 1 in each modality."""
    ends = ("low", "high")
    scales: dict[str, list[list[float]]] = {name: [] for name in modalities}
    for member in training.members:
        normalizers = Store.open(member.manifest).normalizers
        for name in modalities:
            scales[name].append([float(normalizers[name][end]) for end in ends])
    return {
        name: [median(column) for column in zip(*found, strict=True)]
        for name, found in scales.items()
    }
