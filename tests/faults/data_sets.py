"""Small data sets to break, and the conditions to meet them in: no rights, a full disk."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from crossmod.cli import main
from crossmod.errors import CrossmodError
from crossmod.ingest.index import Index, index_study
from crossmod.ingest.tables import file_rows, remark_rows
from crossmod.study_file import parse_study
from tests.faults.headers import nifti

MODALITIES = ("T1w", "T2w", "FLAIR")
NAMES = ("t1", "t2", "flair")
NOBODY = 65534
GOOD = ("sub-01", "sub-03")
BAD = "sub-02"


def subject(root: Path, name: str) -> Path:
    """Three tiny scans named as in BIDS; returns their folder."""
    folder = root / name / "anat"
    folder.mkdir(parents=True)
    for modality in MODALITIES:
        nifti(folder / f"{name}_{modality}.nii.gz")
    return folder


def bids(folder: Path) -> Path:
    """A data set of three subjects; returns the folder of the scans of `BAD`."""
    folder.chmod(0o755)
    for name in GOOD:
        subject(folder / "raw", name)
    return subject(folder / "raw", BAD)


def index_of(root: Path, **dataset: Any) -> Index:
    """Index of a data set."""
    content: dict[str, Any] = {
        "study": "test",
        "data_dir": str(root),
        "dataset": {"name": "test", **dataset},
        "tasks": [{"sources": ["T1w", "T2w"], "target": "FLAIR"}],
        "models": {"mean": {"method": "brain-mean"}},
    }
    return index_study(parse_study(content, "test"))


def lines(root: Path, **dataset: Any) -> list[str]:
    """What crossmod says of a data set: that it cannot be used, or what of it is left out."""
    try:
        index = index_of(root, **dataset)
    except CrossmodError as error:
        return [str(error)]
    files = [row for row in file_rows(index, root) if row["status"] == "left out"]
    told = [f"{row['path']}: {row['reason']}" for row in files]
    remarks = [row for row in remark_rows(index.remarks) if not row["path"]]
    return told + [f"{row['participant_id']}: {row['remark']}" for row in remarks]


def table(folder: Path, text: str | bytes | None = None, **paths: str) -> Path:
    """A data set of any names with a table `scans.tsv`; `paths` are of `BAD`, by modality."""
    root = folder / "raw"
    root.mkdir()
    head = "participant_id\tmodality\tpath"
    listed = [head]
    for name in GOOD:
        for modality, kind in zip(MODALITIES, NAMES, strict=True):
            nifti(root / f"{name} {kind}.nii.gz")
            listed.append(f"{name}\t{modality}\t{name} {kind}.nii.gz")
    listed += [f"{BAD}\t{modality}\t{path}" for modality, path in paths.items()]
    if text is None:
        text = "\n".join(listed) + "\n"
    content = text if isinstance(text, bytes) else text.encode()
    (root / "scans.tsv").write_bytes(content)
    return root


def rows(*lines: str) -> str:
    """Text of a table with these lines."""
    return "\n".join(["participant_id\tmodality\tpath", *lines]) + "\n"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Do without the rights of root, which may read anything.

    Raises
    ------
    PermissionError
        If root may not change to another user here.
    """
    user = os.getresuid()
    if user[1] != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(*user)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let every file that crossmod writes run out of space, as `/dev/full` does."""

    def make(prefix: str, suffix: str, dir: Path) -> tuple[int, str]:
        path = Path(dir, f"{prefix}full{suffix}")
        path.symlink_to("/dev/full")
        return os.open("/dev/null", os.O_RDONLY), str(path)

    with patch.object(tempfile, "mkstemp", make):
        yield


def convert(root: Path, output: Path) -> int:
    """`crossmod ingest` on a scan of `root`; its exit code."""
    sources = json.dumps({"scans": {"T1w": {"path": str(root / "sub-01 t1.nii.gz")}}})
    arguments = ["--session", "sub-01", "--sources", sources, "--output-dir", str(output)]
    return main(["-q", "ingest", *arguments])
