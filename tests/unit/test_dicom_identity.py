"""Who was scanned: one person is one participant, under a name that tells nobody."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from crossmod.errors import InputError
from crossmod.ingest.dicom.headers import read_header
from crossmod.ingest.dicom.identity import label, pseudonym
from crossmod.ingest.dicom.reader import find
from tests.dicom_files import T2W, write_series

UTF8 = {"SpecificCharacterSet": "ISO_IR 192"}
SMITH = {"PatientName": "Smith^John", "PatientID": "MRN1234567"}


@pytest.fixture
def raw(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "raw"


def named(folder: str, tmp_path: Path, elements: dict[str, Any]) -> bool:
    (path,) = write_series(tmp_path / "series", slices=1, **elements)
    found = read_header(path, folder)
    assert not isinstance(found, str)
    return found[0].named


@pytest.mark.parametrize(
    ("folder", "elements"),
    [
        ("sub-01", {"PatientID": "sub-01"}),
        ("P012", {"PatientID": "P012", "PatientName": "P012"}),
        ("Patient 7", {"PatientName": "Patient^Some"}),
        ("sub-control01", SMITH),
        ("sub-NDARINV00CY2MDM", {**SMITH, "InstitutionName": "Charity Berlin"}),
        ("sub-anonymous1001", {"PatientName": "Anonymous"}),
        ("TCGA-06-1802", {"PatientID": "TCGA-06-1802", "PatientIdentityRemoved": "YES"}),
    ],
)
def test_plain_labels_of_a_study_are_kept(folder, elements, tmp_path: Path) -> None:
    assert not named(folder, tmp_path, elements)


@pytest.mark.parametrize("folder", ["Smith", "14031970", "control01", "sub-01 John", "sub-", "X-9"])
def test_other_names_are_not_kept_whatever_headers_say(folder: str, tmp_path: Path) -> None:
    assert named(folder, tmp_path, {})
    assert named(folder, tmp_path, {"PatientIdentityRemoved": "YES"})


@pytest.mark.parametrize(
    ("folder", "elements"),
    [
        ("smithjohn", SMITH),
        ("JohnSmith", SMITH),
        ("JSmith2", SMITH),
        ("Smith", {"PatientName": "SMITHJOHN"}),
        ("WuLi", {"PatientName": "Li^Wu"}),
        ("Li07", {"PatientName": "Li^Wu"}),
        ("MUELLER", {**UTF8, "PatientName": "Müller^Eva"}),
        ("garcon1", {**UTF8, "PatientName": "Garçon^Eva"}),
        ("1234567", SMITH),
        ("xMRN1234567", {"PatientID": "1234567"}),
        ("case47110815", {"PatientID": "4711-0815"}),
        ("7654321", {"PatientID": "0007654321"}),
        ("0007654321", {"PatientID": "7654321"}),
        ("MRN7654321", {"PatientID": "MRN-0007654321"}),
        ("MRN0007654321", {"PatientID": "MRN-7654321"}),
        ("TCGA061802", {"PatientID": "TCGA-06-1802"}),
        ("X977Q", {"OtherPatientIDs": ["y", "X9-77Q"]}),
        ("Mayer", {"OtherPatientNames": "Mayer^Anna"}),
        ("Mayer", {"PatientBirthName": "Mayer"}),
        ("Mayer", {"PatientMotherBirthName": "Mayer"}),
        ("A99812", {"AccessionNumber": "A99812"}),
        ("HEAD9081", {"StudyID": "HEAD9081"}),
        ("CharityBerlin", {"InstitutionName": "Charity Berlin"}),
        ("berlin12", {"InstitutionName": "Charity Berlin"}),
        ("mrzeta9", {"StationName": "MRZETA9"}),
        ("Schmidt2", {"ReferringPhysicianName": "Schmidt^K"}),
        ("Schmidt2", {"PerformingPhysicianName": "Schmidt^K", "PatientIdentityRemoved": "YES"}),
        ("03051961", {"PatientBirthDate": "19610503"}),
        ("b610503", {"PatientBirthDate": "19610503"}),
        ("20190314", {}),
        ("201903", {}),
        ("20180203", {"AcquisitionDate": "20180203"}),
        ("20180203", {"SeriesDate": "20180203", "PatientIdentityRemoved": "YES"}),
        ("02032018", {"AcquisitionDateTime": "20180203101500"}),
    ],
)
def test_a_label_that_agrees_with_the_header_is_not_kept(folder, elements, tmp_path: Path) -> None:
    assert named(f"sub-{folder}", tmp_path, elements)
    assert not named("sub-glioma12", tmp_path, elements)


def test_identifiers_in_a_sequence_count(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset

    other = Dataset()
    other.PatientID = "QX773311"
    assert named("sub-QX773311", tmp_path, {"OtherPatientIDsSequence": [other]})


def test_names_of_participants() -> None:
    assert label("sub-01") == "sub-01"
    assert label("anna 1.2") == "sub-anna12"
    assert label("患者") == ""
    one, other = pseudonym("smith", "study-1"), pseudonym("smith", "study-2")
    assert one != other  # salted
    assert one == pseudonym("smith", "study-1")
    assert len(one) == len("sub-") + 8


def test_a_pseudonym_is_salted_also_without_a_study(raw: Path) -> None:
    for root in (raw / "a", raw / "b"):
        write_series(root / "Smith", StudyInstanceUID=None)
    names = [set(find(root).participants) for root in (raw / "a", raw / "b")]
    assert names[0] != names[1]


def test_one_person_in_two_folders_is_left_out_and_others_are_used(raw: Path) -> None:
    write_series(raw / "sub-1", **SMITH)
    write_series(raw / "sub-2", **{**SMITH, "PatientID": " mrn1234567"}, StudyDate="20200101")
    write_series(raw / "sub-3", PatientID="Z999999")
    found = find(raw)
    assert set(found.participants) == {key.split("_")[0] for key, _ in found.scans} == {"sub-3"}
    told = {remark.participant: remark.text for remark in found.remarks}
    assert set(told) == {"sub-1", "sub-2"}
    assert told["sub-1"] == told["sub-2"]
    assert told["sub-1"].startswith("not used, folders 1 and 2 (in the order of names) hold one")
    assert "Smith" not in told["sub-1"]


def test_folders_that_share_in_a_row_are_all_left_out(raw: Path) -> None:
    write_series(raw / "sub-1/a", **SMITH)
    write_series(raw / "sub-2/a", **SMITH, study="1.2.3")
    write_series(raw / "sub-3/a", study="1.2.3")
    write_series(raw / "sub-4/a")
    found = find(raw)
    assert list(found.participants) == ["sub-4"]
    told = {remark.participant: remark.text for remark in found.remarks}
    assert "folders 1, 2 and 3 (" in told["sub-2"]
    assert "folders 2 and 3 (" in told["sub-3"]


def test_one_examination_in_two_folders_is_left_out(raw: Path) -> None:
    write_series(raw / "sub-1")
    shutil.copytree(raw / "sub-1", raw / "sub-2")
    with pytest.raises(
        InputError, match="no participant that can be used; sub-1 not used, folders"
    ):
        find(raw)
    write_series(raw / "sub-3")
    assert list(find(raw).participants) == ["sub-3"]


@pytest.mark.parametrize(
    "unknown",
    [
        {"PatientID": None, "PatientName": None, "StudyInstanceUID": None},
        {"PatientID": "", "PatientName": "^", "StudyInstanceUID": ""},
        {"PatientID": "0000", "PatientName": "Anonymized"},
    ],
)
def test_what_is_unknown_is_not_the_same(unknown: dict[str, Any], raw: Path) -> None:
    for name in ("sub-1", "sub-2"):
        write_series(raw / name / "a", **unknown)
        write_series(raw / name / "b", study="1.2.3" + name[-1], SeriesNumber=4, **T2W)
    found = find(raw)
    assert list(found.participants) == ["sub-1", "sub-2"]
    assert found.remarks == []


def test_without_an_identifier_the_name_tells_who_it_is(raw: Path) -> None:
    for name in ("sub-1", "sub-2"):
        write_series(raw / name, PatientID="anonymous", PatientName="Smith^John")
    with pytest.raises(InputError, match="folders 1 and 2 "):
        find(raw)
