"""The files above the sessions that make what ingest writes a valid BIDS data set."""

from __future__ import annotations

import logging
from pathlib import Path

from crossmod.bids_dataset import IGNORED, dataset_description
from crossmod.files import read_rows, write_json, write_rows, write_text
from crossmod.paths import INGESTED_LABELS, IngestedPaths, bids_folder, split_key
from crossmod.privacy import PARTICIPANT_COLUMNS
from crossmod.status import read_status
from crossmod.text import some

log = logging.getLogger(__name__)

README = """\
# {name}

Scans of the data set {name}, converted by crossmod: voxel values, orientation and positions are
those of the files they came from. Of headers and sidecars only what crossmod allows was kept;
names, dates and places stayed behind. `*_status.json` tells what came of each session.

Masks and label maps made by others lie in `{labels}`. Label maps of tumors have the numbers of
BraTS 2023, whatever the source used.
"""
STALE_README = """
Files of {stale} are left from earlier runs and no part of the data set, as the end of `.bidsignore`
says: the study that wrote it last does not use them. Remove them before you pass this folder on.
"""
LABELS_README = """\
# Masks and label maps of {name}

Made by others, converted by crossmod. Each lies on the grid of one of the session's scans.

`desc-brain_mask` is a brain mask, `label-lesion_mask` a mask of lesions of any kind.
`desc-tumor_dseg` is a label map of a tumor with the numbers of BraTS 2023, which the
`.tsv` beside it names.
"""
_MEANINGS = {
    "age": {"Description": "Age", "Units": "year"},
    "sex": {"Description": "Sex"},
    "handedness": {"Description": "Handedness"},
    "group": {"Description": "Group, as the source says"},
    "diagnosis": {"Description": "Diagnosis, as the source says"},
    "grade": {
        "Description": "Grade of the glioma",
        "Levels": {"HGG": "high-grade glioma", "LGG": "low-grade glioma"},
    },
}


def write_data_set(root: Path, table: Path, planned: Path | None = None) -> Path:
    """Write the files above the sessions, after their jobs.

    Listed are the participants with a scan. A PET scan whose sidecar lacks what BIDS requires goes
    to .bidsignore, as CT does. So do sessions that were converted and are planned no more, because
    the subject withdrew, for instance; README.md and a warning tell of them. Nothing is removed:
    other studies may share the data set.

    Parameters
    ----------
    root : path
        The data set.
    table : path
        What is known of participants; columns that are not allowed are left out.
    planned : path, optional
        Table of the index with the sessions that belong to the data set, those with the status
        `present`; by default all that were converted do.

    Returns
    -------
    path
        participants.tsv.

    Raises
    ------
    InputError
        If a table or a status file cannot be read.
    """
    known = {row["participant_id"]: row for row in read_rows(table, ("participant_id",))}
    every = [read_status(path) for path in sorted(root.glob(IngestedPaths.status_pattern))]
    wanted = _sessions(planned) if planned else {status.session for status in every}
    statuses = [status for status in every if status.session in wanted]
    present = dict.fromkeys(split_key(status.session)[0] for status in statuses if status.ok)
    rows = [{**known.get(name, {}), "participant_id": name} for name in present]
    columns = [name for name in PARTICIPANT_COLUMNS if any(row.get(name) for row in rows)]
    output = root / "participants.tsv"
    write_json(output.with_suffix(".json"), {name: _MEANINGS[name] for name in columns})
    write_rows(output, ("participant_id", *columns), rows)
    scans = [s.outputs["PET"]["path"] for s in statuses if "pet_lacks" in s.details]
    incomplete = [scan.removesuffix(".nii.gz") + ".*" for scan in scans]
    stale = [s.session for s in every if s.ok and s.session not in wanted]
    if stale:
        log.warning("%s: no part of the data set any more: %s", root, some(stale))
    _describe(root, incomplete, stale)
    return output


def _sessions(table: Path) -> set[str]:
    """Keys of the sessions that a table of the index calls present."""
    rows = read_rows(table, ("session_key", "status"))
    return {row["session_key"] for row in rows if row["status"] == "present"}


def _describe(root: Path, incomplete: list[str], stale: list[str]) -> None:
    """Write descriptions and what a validator is to ignore."""
    name = root.parent.name or root.name
    write_json(root / "dataset_description.json", dataset_description(name))
    readme = README.format(name=name, labels=INGESTED_LABELS)
    readme += STALE_README.format(stale=some(stale)) if stale else ""
    write_text(root / "README.md", readme)
    old = [f"{bids_folder(key).parent.as_posix()}/" for key in stale]
    write_text(root / ".bidsignore", "\n".join([*IGNORED, *incomplete, *old]) + "\n")
    labels = root / INGESTED_LABELS
    title = f"{name}: masks and label maps"
    write_json(labels / "dataset_description.json", dataset_description(title, "derivative"))
    write_text(labels / "README.md", LABELS_README.format(name=name))
