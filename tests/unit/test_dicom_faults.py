"""Each fault of a DICOM folder gives one clear line; the participant beside it is converted."""

from pathlib import Path

import pytest

from crossmod.errors import InputError
from crossmod.ingest.dicom.conversion import read_series
from crossmod.ingest.dicom.reader import find
from crossmod.ingest.names import Found
from tests.dicom_files import T2W, write_series
from tests.faults.dicom import CASES, Case, copy_of


def lines(found: Found) -> list[str]:
    """Everything that is told: remarks, and what reading the scans of sub-bad says."""
    told = [f"{remark.path} {remark.text}" for remark in found.remarks]
    for (key, modality), sources in found.scans.items():
        if not key.startswith("sub-bad"):
            continue
        if len(sources) > 1:
            told.append(f"{len(sources)} series claim to be {modality}")
            continue
        try:
            read_series(sources[0])
        except InputError as error:
            told.append(str(error))
    return told


def test_the_cases_are_many_and_named_once() -> None:
    assert len({case.id for case in CASES}) == len(CASES) == 25


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_fault_is_told_in_one_line(case: Case, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_series(tmp_path / "raw/sub-good", **T2W)
    case.make(tmp_path / "raw/sub-bad")
    found = find(tmp_path / "raw")
    told = lines(found)
    assert [line for line in told if case.expected in line], told
    assert all("\n" not in line for line in told)
    ((source,),) = [s for (key, _), s in found.scans.items() if key.startswith("sub-good")]
    image = read_series(source).image
    assert image.data.shape == (12, 14, 8)


def test_one_examination_under_two_names_is_a_leak(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_series(tmp_path / "raw/sub-1")
    copy_of(tmp_path / "raw/sub-1", tmp_path / "raw/sub-2")
    with pytest.raises(InputError, match="one examination under sub-1 and sub-2"):
        find(tmp_path / "raw")


def test_files_beside_the_folders_of_participants_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_series(tmp_path / "raw")
    with pytest.raises(InputError, match="none of its folders has DICOM images"):
        find(tmp_path / "raw")
