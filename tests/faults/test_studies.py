"""Every fault of a study gives one line; what is only unusual works."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import yaml

from crossmod.cli import main
from crossmod.files import write_text
from crossmod.ingest.index import Index
from crossmod.study_file import read_yaml
from tests.faults.cases import Fault
from tests.faults.data_sets import (
    BAD,
    MODALITIES,
    as_nobody,
    bids,
    convert,
    full_disk,
    index_of,
    lines,
    subject,
)
from tests.faults.headers import nifti
from tests.faults.studies import CASES


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_malformed_study_gives_one_line(case: Fault) -> None:
    if case.name.startswith("closed-") and os.geteuid() == 0:
        try:
            with as_nobody():
                pass
        except PermissionError:
            pytest.skip("NOT CHECKED without rights: root may not change its user here")
    line = case.line()
    assert case.says in line
    assert "; " in line
    assert "\n" not in line


def test_there_are_many_cases_each_with_its_own_name() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 50


IN_DATA = ["doubled", "others-name", "dangling-link", "no-bytes", "not-utf8", "label-umlaut",
           "participant-twice", "closed-file", "closed-folder", "closed-subject"]  # fmt: skip


@pytest.mark.parametrize("name", IN_DATA)
def test_the_other_subjects_are_not_left_out(name: str, tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.name == name)
    root = case.make(tmp_path)
    sessions = index_of(root).sessions
    assert {"sub-01", "sub-03"} <= {key for key, s in sessions.items() if len(s.available) == 3}


def listed(root: Path, content: bytes) -> Index:
    """Index of a data set with a table of this content."""
    nifti(root / "scan.nii.gz")
    (root / "scans.tsv").write_bytes(content)
    return index_of(root, manifest="scans.tsv")


TABLE = "participant_id\tmodality\tpath\nsub-01\tT1w\tscan.nii.gz\n"


@pytest.mark.parametrize(
    "content",
    [TABLE.encode("utf-8-sig"), TABLE.replace("\n", "\r\n").encode(), TABLE.rstrip().encode()],
    ids=["byte-order-mark", "windows-line-ends", "no-last-line-end"],
)
def test_tables_of_spreadsheets_are_read(content: bytes, tmp_path: Path) -> None:
    assert listed(tmp_path, content).sessions["sub-01"].available == ("T1w",)


@pytest.mark.parametrize("name", ["my scans", "Aufnahmen für Zoë", "脳", "a{b}c", "it's; $HOME"])
def test_folders_of_any_name_are_read(name: str, tmp_path: Path) -> None:
    subject(tmp_path / name, "sub-01")
    assert lines(tmp_path / name) == []
    assert index_of(tmp_path / name).sessions["sub-01"].available == MODALITIES


def test_links_out_of_the_tree_are_followed(tmp_path: Path) -> None:
    scan = bids(tmp_path) / f"{BAD}_T2w.nii.gz"
    scan.rename(tmp_path / "object")
    scan.symlink_to(tmp_path / "object")
    assert lines(tmp_path / "raw") == []
    assert index_of(tmp_path / "raw").sessions[BAD].available == MODALITIES


def test_aliases_in_moderation_are_read(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("a: &a {x: 1}\nb: {<<: *a, y: [*a, *a]}\n")
    assert read_yaml(path)["b"] == {"x": 1, "y": [{"x": 1}] * 2}


def test_names_that_are_no_text_reach_tables_and_terminal(tmp_path: Path, monkeypatch) -> None:
    (case,) = (case for case in CASES if case.name == "not-utf8")
    for number in range(4, 9):
        subject(tmp_path / "raw", f"sub-{number:02d}")
    case.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    study = {
        "study": "test",
        "data_dir": "raw",
        "dataset": {"name": "test"},
        "tasks": [{"sources": ["T1w", "T2w"], "target": "FLAIR"}],
        "models": {"mean": {"method": "brain-mean"}},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    with io.TextIOWrapper(io.BytesIO(), "ascii") as terminal, redirect_stdout(terminal):
        assert main(["index", "study.yaml"]) == 0
    table = (tmp_path / "results/test/index/scans.tsv").read_text()
    assert "sub-02_acq-caf\\udce9_T2w.nii.gz" in table


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("NOT CHECKED on a real full disk: no file system may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_leaves_nothing_that_looks_finished(
    tiny_disk: Path, tmp_path: Path, capsys
) -> None:
    noise = np.random.default_rng(0).integers(0, 30000, (30, 30, 30)).astype(np.int16)
    nifti(tmp_path / "sub-01 t1.nii.gz", noise)
    assert convert(tmp_path, tiny_disk) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "sub-01_T1w.nii.gz: No space left on device; free some space" in line
    assert [path for path in tiny_disk.rglob("*") if path.is_file()] == []
    assert convert(tmp_path, tmp_path / "roomy") == 0
    assert (tmp_path / "roomy/sub-01/anat/sub-01_T1w.nii.gz").is_file()


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    write_text(path, "old")
    with full_disk(), pytest.raises(OSError, match="No space left") as caught:
        write_text(path, "new")
    assert caught.value.filename == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ["table.tsv"]
    assert path.read_text() == "old"
