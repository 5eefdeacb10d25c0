"""Killed runs, live and stale locks, bad subjects."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflow.conftest import Project, make_project


def start(project: Project, cores: str, *targets: str) -> subprocess.Popen[bytes]:
    """Start the study in a process group of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["snakemake", "--configfile", "config/studies/small.yaml", "--cores", cores, *targets],
        cwd=project.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PATH": path},
        start_new_session=True,
    )


def wait_for(project: Project, pattern: str, count: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until `count` files match."""
    deadline = time.monotonic() + 240
    while len(list(project.root.glob(pattern))) < count:
        assert process.poll() is None, "the study ended before it could be killed"
        assert time.monotonic() < deadline, f"no {count} files {pattern}"
        time.sleep(0.05)


def kill_process(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)


MOMENTS: list[tuple[str, int, Callable[[subprocess.Popen[bytes]], None]]] = [
    ("derivatives/small/preproc-*/sub-*/anat/*_T1w.nii.gz", 2, kill_process),
    ("results/small/models/*/*unet*/*/.checkpoint.pt.lock", 1, kill_process),
    ("results/small/synthetic/*/*/*/sub-*/anat/*_FLAIR.nii.gz", 1, kill_group),
]


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The study, killed at three moments, then run to its end on one core."""
    project = make_project(tmp_path_factory.mktemp("killed") / "project")
    for pattern, count, kill in MOMENTS:
        process = start(project, cores="2")
        wait_for(project, pattern, count, process)
        if pattern == MOMENTS[0][0]:
            refused = project.snakemake("--cores", "1")
            assert refused.returncode != 0
            assert f"another run (process {process.pid}) is at work here" in refused.stderr
        kill(process)
        process.wait()
    done = project.snakemake("--cores", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_a_killed_study_ends_with_the_same_tables_on_any_number_of_cores(
    survivor: Project, finished: Project
) -> None:
    tables = survivor.tables()
    assert set(tables) == {
        "comparisons.tsv", "curves.tsv", "experiments.tsv", "metrics.json", "scores.tsv",
        "summary.tsv",
    }  # fmt: skip
    assert tables == finished.tables()


def test_nothing_half_written_is_left(survivor: Project) -> None:
    names = [path.name for path in survivor.root.rglob(".tmp-*") if "snakemake" not in str(path)]
    killed_writers = len(MOMENTS) * 2
    assert len(names) <= killed_writers
    assert survivor.planned() == {}


def test_bad_subjects_are_results_and_in_the_report(finished: Project) -> None:
    page = (finished.root / "results/small/report/index.html").read_text()
    for subject, reason in (
        ("sub-90", "is damaged"),
        ("sub-91", "1 values that are no finite number"),
        ("sub-92", "has 4 dimensions"),
    ):
        assert subject in page
        assert reason in page


def test_experiments_of_the_study_are_in_table_and_report(finished: Project) -> None:
    rows = finished.tables()["experiments.tsv"].decode().splitlines()
    assert len(rows) == 1 + 2 * 8
    assert all(row.startswith("Learned or fitted\t") for row in rows[1:])
    page = (finished.root / "results/small/report/index.html").read_text()
    assert "unet against linear: published" not in page  # the control has no published number
    assert "Differences from linear" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(taks=1), "unknown key taks; did you mean 'tasks'"),
        (lambda s: s.update(data_dir="nowhere"), "nowhere: does not exist"),
        (lambda s: s["models"].update(x={"method": "gan"}), "unknown method 'gan'"),
        (lambda s: s.update(tasks=[]), "tasks"),
    ],
)
def test_a_wrong_study_is_one_clear_line(change, message: str, project: Project) -> None:
    project.change_study(change)
    done = project.snakemake("-n")
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert len([line for line in text.splitlines() if message in line]) == 1, text
    assert "Traceback" not in text
    done = project.run("crossmod", "index", "config/studies/small.yaml")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_a_subject_in_two_parts_of_the_split_is_refused(project: Project) -> None:
    table = project.root / "results/small/index/split.tsv"
    table.write_text(table.read_text() + "sub-00\t0\ttest\nsub-00\t0\ttrain\n")
    done = project.snakemake("-n")
    assert done.returncode != 0
    assert "the split leaks" in done.stdout + done.stderr
