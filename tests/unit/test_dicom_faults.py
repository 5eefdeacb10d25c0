"""Each fault of a DICOM folder gives one clear line; the participant beside it is converted."""

import shutil
from pathlib import Path

import pytest

from crossmod.errors import InputError
from crossmod.ingest.detect import detect
from crossmod.ingest.dicom.conversion import read_series
from crossmod.ingest.dicom.reader import find
from tests.dicom_files import write_series
from tests.faults.cases import Fault
from tests.faults.dicom import CASES, GOOD, lines


def test_the_cases_are_many_and_named_once() -> None:
    assert len({case.name for case in CASES}) == len(CASES) == 26


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_told_in_one_line(case: Fault, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = case.make(tmp_path / "raw")
    line = case.run(root)
    assert case.says in line, lines(root)
    assert "\n" not in line
    ((source,),) = [s for (key, _), s in find(root).scans.items() if key.startswith(GOOD)]
    assert read_series(source)[0].data.shape == (12, 14, 8)


LOOSE = "holds 8 DICOM files in no participant's folder; put each participant's files in a folder"


@pytest.mark.parametrize("read", [find, detect])
def test_files_in_no_folder_of_a_participant_are_refused(read, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_series(tmp_path / "raw")
    shutil.copy(tmp_path / "raw/3-000", tmp_path / "raw/DICOMDIR")
    (tmp_path / "raw/notes.txt").write_text("nothing")
    with pytest.raises(InputError, match=LOOSE):
        read(tmp_path / "raw")


def test_files_beside_the_folders_of_participants_are_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_series(tmp_path / "raw", slices=1)
    write_series(tmp_path / "raw/sub-01")
    found = find(tmp_path / "raw")
    assert list(found.participants) == ["sub-01"]
    assert ["not used, 1 DICOM file in no" in remark.text for remark in found.remarks] == [True]


def test_a_folder_without_dicom_is_of_another_layout(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="has no layout that is known"):
        detect(tmp_path)
    with pytest.raises(InputError, match="none of its folders has DICOM images"):
        find(tmp_path)
