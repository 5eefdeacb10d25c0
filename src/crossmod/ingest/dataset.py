"""The files above the sessions that make what ingest writes a valid BIDS data set."""

from __future__ import annotations

from pathlib import Path

from crossmod.bids_dataset import IGNORED, dataset_description
from crossmod.files import read_rows, write_json, write_rows, write_text
from crossmod.paths import INGESTED_LABELS, IngestedPaths, split_key
from crossmod.privacy import PARTICIPANT_COLUMNS
from crossmod.status import read_status

README = """\
# {name}

Scans of the data set {name}, converted by crossmod: voxel values, orientation and positions are
those of the files they came from. Of headers and sidecars only what crossmod allows was kept;
names, dates and places stayed behind. `*_status.json` tells what came of each session.

Masks and label maps made by others lie in `{labels}`. Label maps of tumors have the numbers of
BraTS 2023, whatever the source used.
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


def write_data_set(root: Path, table: Path) -> Path:
    """Write the files above the sessions, after their jobs.

    Listed are the participants with a scan. A PET scan whose sidecar lacks what BIDS requires goes
    to .bidsignore, as CT does.

    Parameters
    ----------
    root : path
        The data set.
    table : path
        What is known of participants; columns that are not allowed are left out.

    Returns
    -------
    path
        participants.tsv.

    Raises
    ------
    InputError
        If the table or a status file cannot be read.
    """
    known = {row["participant_id"]: row for row in read_rows(table, ("participant_id",))}
    statuses = [read_status(path) for path in sorted(root.glob(IngestedPaths.status_pattern))]
    present = dict.fromkeys(split_key(status.session)[0] for status in statuses if status.ok)
    rows = [{**known.get(name, {}), "participant_id": name} for name in present]
    columns = [name for name in PARTICIPANT_COLUMNS if any(row.get(name) for row in rows)]
    output = root / "participants.tsv"
    write_json(output.with_suffix(".json"), {name: _MEANINGS[name] for name in columns})
    write_rows(output, ("participant_id", *columns), rows)
    scans = [s.outputs["PET"]["path"] for s in statuses if "pet_lacks" in s.details]
    incomplete = [scan.removesuffix(".nii.gz") + ".*" for scan in scans]
    _describe(root, incomplete)
    return output


def _describe(root: Path, ignored: list[str]) -> None:
    """Write descriptions and what a validator is to ignore."""
    name = root.parent.name or root.name
    write_json(root / "dataset_description.json", dataset_description(name))
    write_text(root / "README.md", README.format(name=name, labels=INGESTED_LABELS))
    write_text(root / ".bidsignore", "\n".join([*IGNORED, *ignored]) + "\n")
    labels = root / INGESTED_LABELS
    title = f"{name}: masks and label maps"
    write_json(labels / "dataset_description.json", dataset_description(title, "derivative"))
    write_text(labels / "README.md", LABELS_README.format(name=name))
