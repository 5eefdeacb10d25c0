"""Reader of the IXI data set."""

from __future__ import annotations

import re
from pathlib import Path

from crossmod.ingest.folders import check_folder, files_below, refuse_empty
from crossmod.ingest.names import Found, Remark, Source, looks_like_image
from crossmod.settings import Modality

EXAMPLE = "IXI002-Guys-0828-T1.nii.gz"
_NAME = re.compile(r"IXI(?P<subject>\d+)-(?P<site>\w+)-\d+-(?P<kind>\w+)(?:-\d+)?\.nii(?:\.gz)?")
_MODALITIES: dict[str, Modality] = {"T1": "T1w", "T2": "T2w", "PD": "PDw"}


def matches(path: Path, root: Path) -> bool:
    """Whether a file is named as in IXI."""
    return _NAME.fullmatch(path.name) is not None


def find(root: Path) -> Found:
    """Find scans by name, in one folder or in IXI-T1, IXI-T2 and IXI-PD.

    The column `site` tells the hospital; it serves `split.stratify` and is written nowhere
    unless asked for there.

    Raises
    ------
    InputError
        If the folder does not exist or no file is named as in IXI.
    """
    check_folder(root)
    found = Found()
    for path in files_below(root, found):
        match = _NAME.fullmatch(path.name)
        place = path.relative_to(root).as_posix()
        if match is None:
            if looks_like_image(path.name):
                found.remarks.append(Remark("", place, "not used, the name is none of IXI's"))
            continue
        participant = f"sub-{match['subject']}"
        if modality := _MODALITIES.get(match["kind"]):
            found.scans.setdefault((participant, modality), []).append(Source(path))
            found.participants.setdefault(participant, {"site": match["site"]})
        else:
            why = f"not used, {match['kind']} is no modality of crossmod"
            found.remarks.append(Remark(participant, place, why))
    refuse_empty(found, root, EXAMPLE)
    return found
