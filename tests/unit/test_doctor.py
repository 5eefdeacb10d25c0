"""Each check of `crossmod doctor`, for good and for bad."""

from __future__ import annotations

import fcntl
import json
import re
from pathlib import Path

import pytest

from crossmod import doctor, machine
from crossmod.cli import main
from crossmod.doctor import Finding
from crossmod.planning import make_plan

ROOT = Path(__file__).parents[2]
THREE = ["T1w", "T2w", "FLAIR"]


def versions(**found: str):
    return lambda name: found.get(name)


@pytest.mark.parametrize(
    ("found", "level", "said"),
    [
        (doctor.check_python("3.11.7", ">=3.11,<3.13"), "ok", "3.11.7"),
        (doctor.check_python("3.10.2", ">=3.11,<3.13"), "error", "3.10.2, not >=3.11"),
        (doctor.check_python("3.13.0", ">=3.11,<3.13"), "error", "3.13.0, not"),
        (doctor.check_cores(4), "ok", "4"),
        (doctor.check_cores(1), "warning", "only one"),
        (doctor.check_memory(16.0, 4), "ok", "16.0 GB"),
        (doctor.check_memory(9.0, 4), "warning", "enough for 2 jobs"),
        (doctor.check_memory(3.0, 4), "error", "a job may need 4"),
        (doctor.check_cards([("H200", 139.0)], True), "ok", "H200 (139 GB)"),
        (doctor.check_cards([], False), "ok", "none"),
        (doctor.check_cards([], True), "warning", "torch cannot use"),
        (doctor.check_conda("24.11.3"), "ok", "24.11.3"),
        (doctor.check_conda(None), "ok", "`--use-conda` alone"),
        (doctor.check_conda("23.1.0"), "warning", "older than 24.7.1"),
        (doctor.check_conda(""), "warning", "tells no version"),
        (doctor.check_program("git", "2.39", "x"), "ok", "2.39"),
        (doctor.check_program("git", None, "no commit"), "warning", "no commit"),
        (doctor.check_disk(10.0, 4.0), "ok", "10.0 GB free"),
        (doctor.check_disk(5.0, 4.0), "warning", "about 4.0 GB still to write"),
        (doctor.check_disk(3.0, 4.0), "error", "3.0 GB free"),
    ],
)
def test_a_check_of_measured_values(found: Finding, level: str, said: str) -> None:
    assert found.level == level
    assert said in found.text
    assert bool(found.remedy) == (level != "ok")


def test_the_memory_of_a_job_is_the_largest_that_a_rule_claims() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    claims = [int(claim) for claim in re.findall(r"mem_mb=(\d+)", rules)]
    assert len(claims) == 7
    assert max(claims) == doctor.JOB_GB * 1000


NEEDED = ["numpy>=2,<2.4", "colour; extra == 'plots'"]


@pytest.mark.parametrize(
    ("lock", "installed", "level", "said"),
    [
        ({"numpy": "2.1", "ruff": "1"}, {"numpy": "2.1", "ruff": "1"}, "ok", "2 as in"),
        ({"numpy": "2.1"}, {}, "error", "numpy is missing"),
        ({"numpy": "2.1"}, {"numpy": "1.26"}, "error", "numpy is 1.26, not <2.4,>=2"),
        ({"numpy": "2.1", "ruff": "1"}, {"numpy": "2.2"}, "warning", "numpy 2.2, not 2.1, ruff"),
        ({}, {"numpy": "2.2"}, "warning", "no requirements.lock here"),
    ],
)
def test_packages(lock, installed, level, said) -> None:
    found = doctor.check_packages(NEEDED, lock, versions(**installed))
    assert found.level == level
    assert said in found.text


def test_many_packages_are_told_shortly() -> None:
    lock = {f"package-{i}": "1" for i in range(9)}
    assert doctor.check_packages([], lock, versions()).text.endswith("and 6 more")


def test_the_lock_of_the_project_is_read_and_a_build_is_no_other_version(tmp_path) -> None:
    lock = doctor.read_lock(ROOT / "requirements.lock")
    assert lock["torch"] == doctor.version_of("torch")
    assert doctor.read_lock(tmp_path / "none") == {}
    assert doctor.version_of("no-such-package") is None


def test_a_project_has_a_snakefile_and_shows_progress(tmp_path) -> None:
    assert doctor.check_project(tmp_path, plugin=True).level == "error"
    (tmp_path / "Snakefile").touch()
    assert doctor.check_project(tmp_path, plugin=True).level == "ok"
    assert "pip install" in doctor.check_project(tmp_path, plugin=False).remedy


def test_folders_that_cannot_be_written(tmp_path, monkeypatch) -> None:
    (tmp_path / "results").mkdir()
    assert doctor.check_writable(tmp_path).level == "ok"
    monkeypatch.setattr("os.access", lambda path, _: path.name != "results")
    found = doctor.check_writable(tmp_path)
    assert found.level == "error"
    assert found.text == f"no permission to write {tmp_path / 'results'}"


def test_the_clock_of_the_file_system(tmp_path, monkeypatch) -> None:
    assert doctor.check_clock(tmp_path).level == "ok"
    assert "not checked" in doctor.check_clock(tmp_path / "none").text
    now = machine.time.time()
    monkeypatch.setattr(machine.time, "time", lambda: now - 90)
    found = doctor.check_clock(tmp_path)
    assert found.level == "warning"
    assert "+90 s off" in found.text


def test_runs_at_work_and_what_dead_ones_left(tmp_path) -> None:
    assert doctor.check_locks(tmp_path).text == "none"
    state = tmp_path / ".snakemake"
    (state / "incomplete").mkdir(parents=True)
    (state / "incomplete" / "mark").touch()
    assert doctor.check_locks(tmp_path).text.startswith("a run ended early")
    with open(state / "crossmod.lock", "w") as stream:
        stream.write("4711\n")
        stream.flush()
        assert doctor.check_locks(tmp_path).level == "ok"
        fcntl.flock(stream, fcntl.LOCK_EX)
        found = doctor.check_locks(tmp_path)
    assert (found.level, found.text) == ("error", "another run (process 4711) is at work here")


def test_a_study_and_its_data(bids, study_of, monkeypatch) -> None:
    study = study_of(bids({f"sub-{i}": THREE for i in range(8)}))
    found, plan = doctor.check_study(study.model_dump_json(), None)
    assert (found.level, found.text) == ("ok", "test: 8 sessions, 2 runs")
    assert doctor.check_data(plan) == Finding("data", "ok", f"24 scans in {plan.paths.data}")
    monkeypatch.setattr("os.access", lambda path, _: "sub-3" not in str(path))
    found = doctor.check_data(plan)
    assert found.level == "error"
    assert found.text.startswith("3 of 24 scans cannot be read: ")


def test_a_study_that_cannot_be_planned(tmp_path) -> None:
    found, plan = doctor.check_study(str(tmp_path / "none.yaml"), None)
    assert plan is None
    assert (found.level, found.remedy) == ("error", "check the path")
    found, _ = doctor.check_study("{not JSON", None)
    assert "is no JSON" in found.text


def test_disk_counts_what_is_written_already(bids, study_of, tmp_path, monkeypatch) -> None:
    plan = make_plan(study_of(bids({f"sub-{i}": THREE for i in range(8)})))
    before = doctor.check_disk_of(plan, tmp_path)
    assert before.level == "ok"
    plan.paths.derivatives.mkdir(parents=True, exist_ok=True)
    with open(plan.paths.derivatives / "large", "wb") as stream:
        stream.truncate(10**12)
    assert doctor.check_disk_of(plan, tmp_path).text.endswith("about 0.0 GB still to write")
    assert not before.text.endswith("about 0.0 GB still to write")


def test_memory_is_that_of_the_container(tmp_path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("2000000000\n")
    whole = machine.memory_gb([])
    assert machine.memory_gb([limit]) == 2.0
    limit.write_text("max\n")
    assert machine.memory_gb([limit, tmp_path / "none"]) == whole > 0.1


def test_versions_of_programs(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, body in (("conda", "echo conda 24.9.2"), ("broken", "exit 3")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    found = [machine.program_version(name) for name in ("conda", "broken", "none")]
    assert found == ["24.9.2", "", None]


def test_the_command_ends_with_1_only_where_a_study_would_stop(
    bids, study_of, tmp_path, monkeypatch, capsys
) -> None:
    study = study_of(bids({f"sub-{i}": THREE for i in range(8)})).model_dump_json()
    (tmp_path / "Snakefile").touch()
    assert main(["doctor", study]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("nothing would stop a study")
    assert main(["doctor", "none.yaml", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False
    assert [c["check"] for c in found["checks"] if c["level"] == "error"] == ["study"]
    assert main(["-q", "doctor", "none.yaml"]) == 1
    quiet = capsys.readouterr()
    assert quiet.err == ""
    assert "none.yaml: does not exist" in quiet.out
    assert quiet.out.endswith("would stop a study\n")
