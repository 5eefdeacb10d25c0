"""The files that make a folder a BIDS data set."""

from __future__ import annotations

from typing import Any, Literal

from crossmod import __version__

BIDS_VERSION = "1.10.0"
# CT has no BIDS standard yet; status files tell what a job made of a session.
BIDSIGNORE = "**/ct/\n*_status.json\n"
_PET_WORDS = """
Manufacturer ManufacturersModelName Units TracerName TracerRadionuclide ModeOfAdministration
AcquisitionMode ReconMethodName AttenuationCorrection
"""


def dataset_description(
    name: str, kind: Literal["raw", "derivative"] = "raw", **more: Any
) -> dict[str, Any]:
    """Content of dataset_description.json: BIDS version, kind and maker, and what else is given."""
    return {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": kind,
        **more,
        "GeneratedBy": [{"Name": "crossmod", "Version": __version__}],
    }


def unknown_pet_fields() -> dict[str, Any]:
    """Fields that BIDS asks of a PET scan, for one of which nothing is known.

    Times count from the start of the scan, which is called zero: the time of day is not told.
    """
    return {**dict.fromkeys(_PET_WORDS.split(), "unknown"), "TimeZero": "00:00:00", "ScanStart": 0}
