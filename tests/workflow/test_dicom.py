"""A study on a folder of DICOM files: converted, and converted again where files change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydicom import dcmread

from crossmod.files import read_rows
from tests.dicom_files import FLAIR, T2W, write_series
from tests.workflow.conftest import STUDY, Project, copy_project


def write_participant(folder: Path) -> None:
    study = f"1.2.3.{len(list(folder.parent.glob('*'))) + 1}"
    for number, times in enumerate(({}, T2W, FLAIR)):
        write_series(folder / str(number), study=study, SeriesNumber=number + 1, **times)


def planned(project: Project) -> int:
    """Number of sessions to convert."""
    done = project.snakemake("-n", "data")
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    (count,) = {int(n) for n in re.findall(r"^ingest +(\d+)$", text, flags=re.MULTILINE)} or {0}
    return count


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Six participants, converted."""
    project = Project(tmp_path_factory.mktemp("dicom") / "project")
    copy_project(project.root)
    for number in range(6):
        write_participant(project.root / f"raw/sub-{number:02d}")
    (project.root / "config/studies").mkdir(exist_ok=True)
    (project.root / "config/studies/small.yaml").write_text(yaml.safe_dump(STUDY))
    done = project.snakemake("--cores", "2", "data")
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_series_are_converted_once_and_again_where_files_change(project: Project) -> None:
    bids = project.root / "derivatives/small/bids"
    (row,) = read_rows(project.root / "results/small/index/layout.tsv")
    assert (row["layout"], row["evidence"]) == ("dicom", "144 files whose content says so")
    assert len(list(bids.glob("sub-*/ses-1/anat/*.nii.gz"))) == 18
    assert planned(project) == 0
    path = project.root / "raw/sub-03/1/2-004"
    ds = dcmread(path)
    ds.PixelData = ds.PixelData[::-1]
    ds.save_as(path)
    assert planned(project) == 1
    write_participant(project.root / "raw/sub-06")
    assert planned(project) == 2
