"""The files that make a folder a BIDS data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from crossmod import __version__

BIDS_VERSION = "1.10.0"
IGNORED = ("**/ct", "**/ct/**", "*_status.json")
"""Lines of .bidsignore: CT has no BIDS standard yet; statuses tell what a job made of a session."""

# What BIDS requires of a PET scan: words, for which "unknown" is one, and the rest.
_PET_WORDS = """
Manufacturer ManufacturersModelName Units TracerName TracerRadionuclide ModeOfAdministration
AcquisitionMode ReconMethodName AttenuationCorrection InjectedRadioactivityUnits InjectedMassUnits
SpecificRadioactivityUnits
""".split()  # noqa: SIM905
_PET_NUMBERS = """
InjectedRadioactivity InjectedMass SpecificRadioactivity InjectionStart FrameDuration
ImageDecayCorrected ImageDecayCorrectionTime ReconFilterType ReconFilterSize
ReconMethodParameterLabels ReconMethodParameterUnits ReconMethodParameterValues
""".split()  # noqa: SIM905
_PET_TIMES = ("ScanStart", "InjectionStart", "ImageDecayCorrectionTime")


def sidecar_path(image: Path) -> Path:
    """`x.json` of `x.nii.gz` or `x.nii`; of a transform, `x.txt`."""
    stem = image.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".txt")
    return image.with_name(f"{stem}.json")


def dataset_description(
    name: str, kind: Literal["raw", "derivative"] = "raw", how: str = "", **more: Any
) -> dict[str, Any]:
    """Content of dataset_description.json.

    Parameters
    ----------
    name : str
        Name of the data set.
    kind : {"raw", "derivative"}
        Whether its images were acquired or computed.
    how : str
        How crossmod made it.
    **more
        Further keys.
    """
    maker = {"Name": "crossmod", "Version": __version__}
    return {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": kind,
        **more,
        "GeneratedBy": [{**maker, "Description": how} if how else maker],
    }


def pet_sidecar(known: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Sidecar of a PET scan of one frame with what BIDS requires, and what of it is not known.

    Unknown words are said to be; an unknown number is not made up. Times count from the start of
    the scan, which is called zero, whatever `known` counts from: the time of day is not told.
    """
    start = {"TimeZero": "00:00:00", "ScanStart": 0, "FrameTimesStart": [0]}
    times = {key: known[key] for key in _PET_TIMES if isinstance(known.get(key), int | float)}
    moved = {key: time - times.get("ScanStart", 0) for key, time in times.items()}
    others = {key: value for key, value in known.items() if key not in _PET_TIMES}
    content = {**dict.fromkeys(_PET_WORDS, "unknown"), **others, **moved, **start}
    return content, [key for key in _PET_NUMBERS if key not in content]
