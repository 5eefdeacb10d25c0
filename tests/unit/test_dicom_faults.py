"""Each fault of a DICOM folder gives one clear line; the participant beside it is converted."""

from pathlib import Path

import pytest

from crossmod.errors import InputError
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


def test_files_beside_the_folders_of_participants_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_series(tmp_path / "raw")
    with pytest.raises(InputError, match="none of its folders has DICOM images"):
        find(tmp_path / "raw")
