"""What readers share: where a scan comes from, what was found, what BIDS file names mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from crossmod.settings import Modality
from crossmod.volume_names import volume_files, volume_suffix

Kind = Literal["brain", "lesion"]
"""Kind of annotation: a brain mask, or a map of lesions."""
KINDS: tuple[Kind, ...] = get_args(Kind)

_SUFFIXES: dict[str, Modality] = {
    "T1w": "T1w",
    "T2w": "T2w",
    "FLAIR": "FLAIR",
    "PDw": "PDw",
    "ct": "CT",
    "CT": "CT",
    "pet": "PET",
}
# BIDS gives masks a label, label maps (dseg) a description.
_LESION = re.compile(r"_(label|desc)-(lesions?|tumou?rs?)\d*(_|$)", re.IGNORECASE)
_BRAIN = re.compile(r"_desc-brain\d*(_|$)")


@dataclass(frozen=True)
class Source:
    """Where one volume comes from.

    Attributes
    ----------
    path : path
        File of any format that `crossmod.io` reads; of a DICOM series the record of headers.
    volume : int or None
        Which volume of a 4-D file, from 0.
    series : str or None
        Which series of the record.
    labels : str or None
        Convention of a label map, a key of `crossmod.ingest.labels.CONVENTIONS`.
    sidecar : path or None
        JSON file that describes the scan.
    """

    path: Path
    volume: int | None = None
    series: str | None = None
    labels: str | None = None
    sidecar: Path | None = None

    @property
    def name(self) -> str:
        """File name, and which volume of it; of a DICOM series no name, which may be a person's."""
        if self.series is not None:
            return f"series {self.series}"
        return self.path.name if self.volume is None else f"{self.path.name} volume {self.volume}"

    def place(self, root: Path) -> str:
        """Path below `root` if it lies there; of a DICOM series its name, as paths name people."""
        if self.series is not None:
            return self.name
        path = self.path
        return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that decides the volume: of a pair both, and the sidecar."""
        return (*volume_files(self.path), *((self.sidecar,) if self.sidecar else ()))


@dataclass(frozen=True)
class Remark:
    """What a reader came across and could not use.

    Attributes
    ----------
    participant : str
        `sub-01`, or the name of the folder that is none; empty if nothing tells whose it is.
    path : str
        File or folder relative to the data folder; empty for a line of participants.tsv.
    text : str
        Why it is not used; the same words for the same fault.
    """

    participant: str
    path: str
    text: str


@dataclass
class Found:
    """What a reader found.

    Attributes
    ----------
    participants : dict of str to dict
        Participant to the row of participants.tsv (possibly empty).
    scans : dict of (session key, modality) to list of Source
        More than one means that the name is ambiguous.
    annotations : list of (session key, kind, Source)
        Brain masks and lesion labels made by others.
    remarks : list of Remark
        What looks like a scan or a participant, and is none to the reader.
    """

    participants: dict[str, dict[str, str]] = field(default_factory=dict)
    scans: dict[tuple[str, Modality], list[Source]] = field(default_factory=dict)
    annotations: list[tuple[str, Kind, Source]] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def stem(name: str) -> str | None:
    """File name without `.nii` or `.nii.gz`; None for other files."""
    for suffix in (".nii.gz", ".nii"):
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return None


def sidecar_of(image: Path) -> Path | None:
    """JSON file of the same name beside an image, None if there is none."""
    sidecar = image.with_name(f"{stem(image.name) or image.stem}.json")
    return sidecar if sidecar.is_file() else None


def entities_of(name: str) -> dict[str, str]:
    """Entities of a BIDS name: `{"sub": "01", "run": "1"}`; numbers without leading zeros."""
    pairs = (part.split("-", 1) for part in (stem(name) or "").split("_") if "-" in part)
    return {key: plain_number(value) for key, value in pairs}


def plain_number(value: str) -> str:
    """`1` for `01`, anything else as it is."""
    return str(int(value)) if value.isdecimal() else value


def modality_of(name: str) -> Modality | None:
    """Modality that a BIDS name says, None if it says none that crossmod knows.

    Phases, real and imaginary parts are no magnitude images, and have none.
    """
    base = stem(name)
    if base is None or _part(name):
        return None
    modality = _SUFFIXES.get(base.split("_")[-1])
    if modality == "T1w" and entities_of(name).get("ce", "none").lower() != "none":
        return "T1ce"
    return modality


def _part(name: str) -> str:
    """Which part of a complex image a BIDS name says; empty for a magnitude."""
    part = entities_of(name).get("part", "mag")
    return "" if part == "mag" else part


def looks_like_image(name: str) -> bool:
    """Whether a file is an image by its ending, in any case; else it is a sidecar of one."""
    return volume_suffix(name) is not None or name.lower().endswith(".dcm")


def why_no_scan(name: str) -> str | None:
    """Why a file without a modality is not used; None if it does not look like a scan."""
    if not looks_like_image(name):
        return None
    base = stem(name)
    if base is None:
        return "not used, no .nii or .nii.gz file"
    if part := _part(name):
        return f"not used, part-{part} is no magnitude image"
    ending = base.rsplit("_", 1)[-1]
    near = next((known for known in _SUFFIXES if known.lower() == ending.lower()), None)
    if near:
        return f"not used, the name ends on {ending} instead of {near}"
    return f"not used, the name ends on none of {', '.join(_SUFFIXES)}"


def plain_label(text: str) -> str:
    """Letters and digits of a text, which alone may be in a BIDS label; perhaps none."""
    return re.sub(r"[^A-Za-z0-9]", "", text)


def is_mask(name: str) -> bool:
    """Whether a derivative is a mask or a label map of any kind, by its name."""
    return (stem(name) or "").endswith(("_mask", "_dseg"))


def annotation_of(name: str) -> Kind | None:
    """Whether a derivative is a brain mask or a lesion label map, by its name."""
    base = stem(name)
    if base is None or not is_mask(name):
        return None
    base = base.rsplit("_", 1)[0]
    if _BRAIN.search(base):
        return "brain"
    return "lesion" if _LESION.search(base) else None
