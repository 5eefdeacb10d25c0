"""A study on a folder laid out as in BraTS: converted, preprocessed, rerun after changes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from crossmod.files import read_rows
from tests.workflow.conftest import STUDY, Project, copy_project, write_subject

TARGETS = ("preprocessed", "data")
NAMES = {"T1w": "t1", "T2w": "t2", "FLAIR": "flair"}
INGESTED = "derivatives/small/bids"


def write_brats(raw: Path, number: int) -> Path:
    """One subject in BraTS 2020's names, with a tumor of labels 1, 2 and 4."""
    name = f"BraTS20_Training_{number:03d}"
    write_subject(raw.with_name("heads"), number)
    (raw / name).mkdir(parents=True)
    for modality, kind in NAMES.items():
        head = f"heads/sub-{number:02d}/anat/sub-{number:02d}_{modality}.nii.gz"
        shutil.move(raw.with_name("heads").parent / head, raw / name / f"{name}_{kind}.nii.gz")
    affine = nib.load(raw / name / f"{name}_t1.nii.gz").affine
    labels = np.zeros((36, 42, 34), np.uint8)
    labels[20:26, 20:26, 18:24] = 2
    labels[21:25, 21:25, 19:23] = 4
    labels[22:24, 22:24, 20:22] = 1
    nib.save(nib.Nifti1Image(labels, affine), raw / name / f"{name}_seg.nii.gz")
    return raw / name


def planned(project: Project) -> dict[str, int]:
    """Rule to number of jobs up to the slices."""
    done = project.snakemake("-n", *TARGETS)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    table = re.findall(r"^(\w+) +(\d+)$", text, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in table if rule not in ("total", *TARGETS)}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Six subjects, one of them damaged, converted and preprocessed."""
    project = Project(tmp_path_factory.mktemp("brats") / "project")
    copy_project(project.root)
    for number in range(6):
        write_brats(project.root / "raw", number)
    for path in (project.root / "raw/BraTS20_Training_005").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    (project.root / "config/studies").mkdir(exist_ok=True)
    (project.root / "config/studies/small.yaml").write_text(yaml.safe_dump(STUDY))
    done = project.snakemake("--cores", "2", *TARGETS)
    assert done.returncode == 0, done.stdout + done.stderr
    return project


@pytest.fixture
def project(converted: Project, tmp_path: Path) -> Project:
    """A copy to change at will."""
    return converted.copy(tmp_path / "project")


def status(project: Project, stage: str, number: int) -> dict:
    (path,) = project.root.glob(f"derivatives/small/*/sub-*{number:03d}_desc-{stage}_status.json")
    content: dict = json.loads(path.read_text())
    return content


def test_a_brats_folder_is_told_converted_and_preprocessed(converted: Project) -> None:
    (row,) = read_rows(converted.root / "results/small/index/layout.tsv")
    assert (row["layout"], row["converted"]) == ("brats", "yes")
    for number in range(5):
        done = status(converted, "preproc", number)
        assert done["verdict"] == "ok"
        assert {"T1w", "T2w", "FLAIR", "brain", "lesion"} <= done["outputs"].keys()
    name = "sub-BraTS20Training000"
    folder = converted.root / INGESTED / "derivatives/annotations" / name / "anat"
    labels = nib.load(folder / f"{name}_desc-tumor_dseg.nii.gz")
    values, counts = np.unique(np.asarray(labels.dataobj), return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {
        0: 36 * 42 * 34 - 216, 1: 8, 2: 216 - 64, 3: 64 - 8,
    }  # fmt: skip


def test_a_damaged_subject_is_left_out_with_its_reason(converted: Project) -> None:
    reasons = [status(converted, stage, 5)["reason"] for stage in ("ingest", "preproc")]
    assert reasons[0] == reasons[1]
    assert reasons[0].startswith("sub-BraTS20Training005 T1w: is ")
    (log,) = converted.root.glob("logs/small/ingest/*005.log")
    assert "BraTS20_Training_005_t1.nii.gz: is " in log.read_text()
    rows = read_rows(converted.root / INGESTED / "participants.tsv")
    assert [row["participant_id"][-3:] for row in rows] == ["000", "001", "002", "003", "004"]


def test_a_second_run_converts_nothing(converted: Project) -> None:
    assert planned(converted) == {}


def test_touched_and_remarked_files_convert_nothing(project: Project) -> None:
    for path in (project.root / "raw").rglob("*.nii.gz"):
        path.touch()
    (project.root / "raw/notes.txt").write_text("seen")
    assert planned(project) == {}


def test_a_new_subject_costs_its_own_jobs(project: Project) -> None:
    write_brats(project.root / "raw", 6)
    assert planned(project) == {
        "ingest": 1, "ingest_participants": 1, "preprocess": 1, "quality": 1, "slices": 1
    }  # fmt: skip


def test_a_changed_file_costs_its_session_alone(project: Project) -> None:
    before = status(project, "ingest", 2), status(project, "ingest", 3)
    path = project.root / "raw/BraTS20_Training_002/BraTS20_Training_002_t2.nii.gz"
    image = nib.load(path)
    data = np.asarray(image.dataobj)
    nib.save(nib.Nifti1Image(np.where(data > 0, data + 7, 0).astype(np.int16), image.affine), path)
    assert planned(project)["ingest"] == 1
    done = project.snakemake("--cores", "2", *TARGETS)
    assert done.returncode == 0, done.stdout + done.stderr
    after = status(project, "ingest", 2), status(project, "ingest", 3)
    assert after[0]["outputs"]["T2w"] != before[0]["outputs"]["T2w"]
    assert after[0]["outputs"]["T1w"] == before[0]["outputs"]["T1w"]
    assert after[1] == before[1]


def test_editing_a_reader_converts_nothing(project: Project) -> None:
    path = project.root / "src/crossmod/ingest/brats.py"
    path.write_text(path.read_text() + "\n# a change\n")
    assert planned(project) == {}
    path = project.root / "src/crossmod/ingest/labels.py"
    path.write_text(path.read_text() + "\n# a change\n")
    assert planned(project)["ingest"] == 6


def test_a_study_file_that_names_the_layout_goes_on(project: Project) -> None:
    project.change_study(lambda study: study["dataset"].update(layout="brats"))
    assert planned(project) == {}


def test_a_subject_that_is_excluded_leaves_the_list(project: Project) -> None:
    name = "sub-BraTS20Training002"
    project.change_study(lambda study: study["dataset"].update(exclude={name: "withdrew"}))
    assert planned(project) == {"ingest_participants": 1, "quality": 1}
    done = project.snakemake("--cores", "2", *TARGETS)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read_rows(project.root / INGESTED / "participants.tsv")
    assert [row["participant_id"][-3:] for row in rows] == ["000", "001", "003", "004"]
    assert name in (project.root / INGESTED / "README.md").read_text()
