"""Nothing that tells who was scanned, where or when leaves a DICOM folder."""

import gzip
import logging
import subprocess
from pathlib import Path

import dcm2niix
import pytest
import yaml
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from crossmod.cli import main
from crossmod.ingest.index import index_study
from tests.dicom_files import FLAIR, T2W, write_series

ROOT = "1.2.826.0.1.3680043.8.498."
SECRETS = {
    "PatientName": "Quixote^Alonso",
    "PatientID": "QX-773311",
    "PatientBirthDate": "19470623",
    "PatientAddress": "Calle Mancha 17",
    "PatientComments": "brings windmills",
    "OtherPatientNames": "Quijano",
    "AccessionNumber": "ACC5551234",
    "StudyID": "STUDY90817",
    "InstitutionName": "Hospital Zarzuela",
    "InstitutionAddress": "Barataria 99",
    "InstitutionalDepartmentName": "Ward Toboso",
    "StationName": "MRZETA9",
    "DeviceSerialNumber": "SN884422",
    "ManufacturerModelName": "Rocinante 3000",
    "SoftwareVersions": "Clavileno 4.2",
    "OperatorsName": "Panza^Sancho",
    "ReferringPhysicianName": "Carrasco^Sanson",
    "PerformingPhysicianName": "Maese^Nicolas",
    "RequestingPhysician": "Altisidora",
    "StudyDescription": "knee of Quixote, QX-773311",
    "ProtocolName": "Dulcinea special",
    "ImageComments": "seen by Cardenio",
    "DerivationDescription": "by Ginesillo",
    "SequenceName": "Micomicona",
    "ScanOptions": "BACIYELMO",
    "ContrastBolusAgent": "",
    "StudyDate": "20180917",
    "SeriesDate": "20180918",
    "AcquisitionDate": "20180919",
    "ContentDate": "20180920",
    "StudyTime": "142233.517",
    "SeriesTime": "142334.618",
    "AcquisitionTime": "142435.719",
}
DESCRIPTIONS = {"T1w": "T1 Quixote Alonso", "T2w": "T2 QX-773311", "FLAIR": "FLAIR Marcela"}
NESTED, PRIVATE = "Trifaldi order", "Malambruno notes"
# What a search must not find, in small letters; names also in parts, dates and times also as ISO.
FORBIDDEN = sorted(
    {
        *(part.lower() for value in SECRETS.values() for part in value.split("^") if part),
        *("1947-06-23", "2018-09-17", "2018-09-19", "14:22:33", "14:24:35", "142435", "142233"),
        *("quixote", "mancha", "windmills", "zarzuela", "toboso", "rocinante", "dulcinea"),
        *("marcela", "trifaldi", "malambruno", ROOT, "visit-of-lepanto", "77-4711"),
    }
)
THREE = {"T1w": {}, "T2w": T2W, "FLAIR": FLAIR}


def plant(folder: Path, **more: str) -> None:
    """A session of three series whose headers hold every secret, in a folder named by them."""
    study = generate_uid(prefix=ROOT)
    elements = {**SECRETS, **more}
    for number, (modality, times) in enumerate(THREE.items()):
        uid = generate_uid(prefix=ROOT)
        described = {"SeriesDescription": DESCRIPTIONS[modality], "SeriesNumber": number + 1}
        inside = folder / "visit-of-Lepanto 20180917" / f"{DESCRIPTIONS[modality]} ACC5551234"
        write_series(inside, study=study, SeriesInstanceUID=uid, **elements, **times, **described)
        for path in inside.iterdir():
            plant_deeper(path)


def plant_deeper(path: Path) -> None:
    ds = dcmread(path)
    order = Dataset()
    order.RequestedProcedureDescription = NESTED
    ds.RequestAttributesSequence = [order]
    ds.private_block(0x0029, "Avellaneda", create=True).add_new(1, "LO", PRIVATE)
    ds.save_as(path)


def found_in(folder: Path) -> set[str]:
    """Forbidden words in names and contents of files, decompressed where they are compressed."""
    told = set()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        told |= forbidden(path.relative_to(folder).as_posix().encode() + content)
    return told


def forbidden(content: bytes) -> set[str]:
    return {word for word in FORBIDDEN if word.encode() in content.lower()}


@pytest.fixture
def study_file(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.yaml"
    content = {
        "study": "private",
        "data_dir": str(tmp_path / "raw"),
        "dataset": {"name": "clinic"},
        "tasks": [{"sources": ["T1w", "T2w"], "target": "FLAIR"}],
        "models": {"mean": {"method": "brain-mean"}},
        "split": {"test": 0, "validation": 0},
    }
    path.write_text(yaml.safe_dump(content))
    return path


def ingest_all(study_file: Path) -> list[str]:
    """Index and convert through the command line; the commands' own words."""
    from crossmod.study_file import load_study

    assert main(["index", str(study_file)]) == 0
    commands = []
    for key, session in index_study(load_study({}, study_file)).sessions.items():
        sources = session.request.to_json()
        commands.append(f"{key} {sources}")
        output = ["--output-dir", "derivatives/clinic/bids"]
        main(["ingest", "--session", key, "--sources", sources, *output])
    table = "results/private/index/participants.tsv"
    assert main(["ingest", "--participants", table, "--output-dir", "derivatives/clinic/bids"]) == 0
    return commands


def test_no_secret_of_the_headers_reaches_an_output(
    study_file: Path, tmp_path: Path, capfd, caplog
) -> None:
    caplog.set_level(logging.DEBUG)
    plant(tmp_path / "raw/Quixote_Alonso")
    faulty = tmp_path / "raw/QX-773311"
    plant(faulty, PatientID="77-4711")
    for path in list(faulty.rglob("*-003")):
        path.unlink()
    (faulty / "Quixote.txt").write_text("Quixote")
    (faulty / "broken").write_bytes(path_of_a_header(tmp_path)[:500])
    commands = ingest_all(study_file)
    printed = "".join(capfd.readouterr()) + caplog.text + "".join(commands)
    assert len(commands) == 2
    assert len(list(tmp_path.glob("derivatives/clinic/bids/sub-*/ses-1/anat/*.nii.gz"))) == 3
    assert "lacks 1 slice in 1 gap" in printed
    assert found_in(tmp_path / "derivatives") == set()
    assert found_in(tmp_path / "results") == set()
    assert forbidden(printed.encode()) == set()


def path_of_a_header(folder: Path) -> bytes:
    return next((folder / "raw/Quixote_Alonso").rglob("1-000")).read_bytes()


def test_the_search_would_find_them(tmp_path: Path) -> None:
    plant(tmp_path / "raw/Quixote_Alonso")
    assert found_in(tmp_path / "raw") >= {"quixote", "malambruno", "trifaldi", "20180917", ROOT}
    output = tmp_path / "output"
    output.mkdir()
    command = [dcm2niix.bin, "-b", "y", "-ba", "n", "-z", "y", "-o", str(output)]
    subprocess.run([*command, str(tmp_path / "raw")], check=True, capture_output=True)
    assert found_in(output) >= {"quixote", "alonso", "zarzuela", "20180917", "sn884422", ROOT}


def test_a_name_chosen_for_the_study_is_kept(study_file: Path, tmp_path: Path) -> None:
    plant(tmp_path / "raw/sub-07")
    ingest_all(study_file)
    assert found_in(tmp_path / "derivatives") == set()
    assert list(tmp_path.glob("derivatives/clinic/bids/sub-07/ses-1/anat/*.nii.gz"))
