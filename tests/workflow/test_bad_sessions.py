"""Several bad sessions at once: each is left out with its reason, the others complete."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from crossmod.files import read_rows
from tests.workflow.conftest import STUDY, Project, copy_project, write_subject
from tests.workflow.test_faults import start, wait_for

RAW = "Aufnahmen für Zoë"
GOOD = ("sub-00", "sub-01", "sub-02", "sub-03")
REASONS = {
    "sub-10": "2 files claim to be T2w",
    "sub-11": "is a link to nothing",
    "sub-12": "empty file",
    "sub-13": "its path is no UTF-8 text",
}


def scan(raw: Path, number: int, modality: str = "T2w") -> Path:
    return raw / f"sub-{number}/anat/sub-{number}_{modality}.nii.gz"


def break_subjects(raw: Path) -> None:
    """One fault each; sub-14 is damaged inside, where only its job sees it."""
    for number in range(10, 15):
        write_subject(raw, number)
    scan(raw, 10).with_name("sub-10_run-2_T2w.nii.gz").write_bytes(scan(raw, 10).read_bytes())
    scan(raw, 11).unlink()
    scan(raw, 11).symlink_to("../../annex/object")
    scan(raw, 12).write_bytes(b"")
    name = os.fsencode(scan(raw, 13))
    os.rename(name, name.replace(b"_T2w", b"_acq-caf\xe9_T2w"))
    for modality in ("T1w", "T2w", "FLAIR"):
        scan(raw, 14, modality).write_bytes(scan(raw, 14, modality).read_bytes()[:2000])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """The study, and the good subject whose T2w vanishes while others are at work.

    That stops the run; the next one indexes anew.
    """
    project = Project(tmp_path_factory.mktemp("bad") / "project")
    copy_project(project.root)
    raw = project.root / RAW
    for number in range(len(GOOD)):
        write_subject(raw, number)
    break_subjects(raw)
    (project.root / "config/studies").mkdir(exist_ok=True)
    study = {**STUDY, "data_dir": RAW}
    (project.root / "config/studies/small.yaml").write_text(yaml.safe_dump(study))
    process = start(project, "1", "preprocessed")
    wait_for(project, "logs/small/preprocess-*/*.log", 1, process)
    begun = {path.stem for path in project.root.glob("logs/small/preprocess-*/*.log")}
    vanished = next(name for name in GOOD if name not in begun)
    (raw / vanished / "anat" / f"{vanished}_T2w.nii.gz").unlink()
    assert process.wait(timeout=400) != 0
    again = project.snakemake("--cores", "1", "preprocessed")
    assert again.returncode == 0, again.stdout + again.stderr
    return project, vanished


def status(project: Project, key: str) -> dict:
    (path,) = project.root.glob(f"derivatives/small/preproc-*/{key}_desc-preproc_status.json")
    content: dict = json.loads(path.read_text())
    return content


def test_each_bad_scan_is_in_the_index_with_its_reason(done: tuple[Project, str]) -> None:
    rows = read_rows(done[0].root / "results/small/index/scans.tsv")
    reasons = {row["session_key"]: row["reason"] for row in rows if row["modality"] == "T2w"}
    for key, reason in REASONS.items():
        assert reason in reasons[key]
        assert status(done[0], key)["outputs"].keys().isdisjoint({"T2w"})


def test_a_damaged_session_is_left_out_by_its_job(done: tuple[Project, str]) -> None:
    found = status(done[0], "sub-14")
    assert (found["verdict"], found["outputs"]) == ("failed", {})
    assert "sub-14_T1w.nii.gz: is damaged" in found["reason"]


def test_a_scan_that_vanishes_is_told_and_left_out_by_the_next_run(
    done: tuple[Project, str],
) -> None:
    project, vanished = done
    logs = [path.read_text() for path in project.root.glob(".snakemake/log/*.log")]
    assert any(f"{vanished}_T2w.nii.gz (missing locally" in text for text in logs)
    found = status(project, vanished)
    assert found["verdict"] == "ok"
    assert {"T1w", "FLAIR"} <= found["outputs"].keys()
    assert "T2w" not in found["outputs"]


def test_the_others_complete(done: tuple[Project, str]) -> None:
    project, vanished = done
    for key in set(GOOD) - {vanished}:
        assert {"T1w", "T2w", "FLAIR"} <= status(project, key)["outputs"].keys()
