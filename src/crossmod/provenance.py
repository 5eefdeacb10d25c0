"""What is written beside a synthetic image: where it comes from and what its numbers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossmod.bids_dataset import dataset_description
from crossmod.hashing import hash_code, hash_settings
from crossmod.intensity import ends_in_words
from crossmod.status import Status

if TYPE_CHECKING:
    from crossmod.training.checkpoint import LoadedModel

UNITS = {"CT": "Hounsfield units"}


def cohort_scale(model: LoadedModel) -> tuple[float, float]:
    """Intensities of the target that 0 and 1 stand for, from the training cohort."""
    low, high = model.contract.cohort[model.contract.target]
    return float(low), float(high)


def sidecar(model: LoadedModel, status: Status, kind: str) -> dict[str, Any]:
    """Where a synthetic image comes from and what its numbers mean.

    Parameters
    ----------
    model : LoadedModel
        Model that made it.
    status : Status
        Preprocessing of the session it was made for.
    kind : str
        `normalized` or `synthetic`.
    """
    contract, raw = model.contract, status.details["raw"]
    sources = contract.sources_in(raw)
    low, high = (0.0, 1.0) if kind == "normalized" else cohort_scale(model)
    units = "normalized" if kind == "normalized" else UNITS.get(contract.target, "arbitrary")
    return {
        "Synthetic": True,
        "Modality": contract.target,
        "Description": f"Made by a model, not acquired: {contract.target} synthesized from "
        f"{' and '.join(sources)}",
        "Sources": [raw[name]["name"] for name in sources],
        "SourcesSHA256": [raw[name]["sha256"] for name in sources],
        "SpatialReference": "common grid"
        if kind == "normalized"
        else raw[status.details["reference"]]["name"],
        "SkullStripped": True,
        "Units": units,
        "Scale": {
            "Low": low,
            "High": high,
            "Meaning": f"intensities at {ends_in_words(contract.intensity, contract.percentiles)}"
            " inside the brain; 0 outside the brain",
        },
        "Model": {
            "Method": model.method,
            "SHA256": model.sha256,
            "SettingsHash": _settings_hash(model),
            "SplitHash": contract.split,
            "PreprocessHash": contract.preprocess_hash,
            "Code": contract.code,
        },
        "CodeHash": hash_code(),
    }


def _settings_hash(model: LoadedModel) -> str:
    """The hash in the run's path keys."""
    content = {"method": model.method, "settings": model.settings}
    return hash_settings({**content, "training": model.info.get("training", {})})


def describe_synthetic(model: LoadedModel) -> dict[str, Any]:
    """Description of the derivative; the same for every batch, as batches are made at once."""
    contract = model.contract
    name = f"Synthetic {contract.target} from {' and '.join(contract.sources)}"
    how = f"synthesized with the method {model.method}, model file SHA-256 {model.sha256}"
    return dataset_description(name, "derivative", how)
