"""`--use-conda`: the same results, from environments that Snakemake makes itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.conda.installation import Installation
from tests.workflow.conftest import Project, make_project
from tests.workflow.test_replanning import append_comment

# Enough to start Snakemake and its shell; no conda there.
BARE_PATH = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
OLD_CONDA = """\
#!/bin/sh
case "$1" in
  --version) echo "conda 23.1.0" ;;
  *) echo '{"conda_prefix": "/", "platform": "linux-64", "get": {"channel_priority": "strict"}}' ;;
esac
"""


@pytest.fixture(scope="module")
def conda(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation.make(tmp_path_factory.mktemp("conda"), ["analysis"])


def with_conda(project: Project, variables: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run the small study with `--use-conda`; exit code and everything it printed."""
    command = ("snakemake", "--configfile", "config/studies/small.yaml", "--use-conda")
    done = project.run(*command, *arguments, **variables)
    return done.returncode, done.stdout + done.stderr


def used_environments(project: Project) -> int:
    """In how many environments a job imported something: that leaves compiled modules."""
    pattern = ".snakemake/conda/*/lib/*/site-packages/numpy/__pycache__/__init__*.pyc"
    return len(list(project.root.glob(pattern)))


def test_rules_run_in_their_environment_and_switching_reruns_nothing(
    project: Project, conda: Installation
) -> None:
    code, text = with_conda(project, conda.variables, "-n")
    assert code == 0, text
    assert "Nothing to be done" in text, "results made without conda count for nothing"

    before = project.tables()
    append_comment(project.root / "src/crossmod/evaluation/summary.py")
    # Snakemake makes the environment of every rule it may use, so it may use those of one alone.
    allowed = ("--allowed-rules", "all", "summarize", "report")
    code, text = with_conda(project, conda.variables, "--cores", "1", *allowed)
    assert code == 0, text
    assert "report: results/small/report/index.html" in text
    assert used_environments(project) == 1
    assert project.tables() == before
    assert project.planned() == {}, "results made with conda count for nothing"


def test_a_changed_environment_reruns_its_own_rules_only(project: Project) -> None:
    append_comment(project.root / "envs/analysis.yaml")
    assert project.planned() == {"quality": 1, "evaluate": 4, "summarize": 1, "report": 1}


def test_no_conda_is_one_clear_line(project: Project) -> None:
    code, text = with_conda(project, {"PATH": BARE_PATH}, "-n")
    assert code != 0
    assert text.count("--use-conda needs conda on the PATH; without it leave the option away") == 1
    assert "Traceback" not in text


def test_a_conda_too_old_is_one_clear_line(project: Project, tmp_path: Path) -> None:
    append_comment(project.root / "src/crossmod/report/figures.py")
    (tmp_path / "conda").write_text(OLD_CONDA)
    (tmp_path / "conda").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{BARE_PATH}"
    code, text = with_conda(project, {"PATH": path}, "--cores", "1")
    assert code != 0
    assert text.count("Conda must be version 24.7.1 or later, found version 23.1.0") == 1, text
    assert "Traceback" not in text


@pytest.mark.slow
def test_a_whole_study_runs_with_conda_to_the_tables_of_one_without(
    finished: Project, tmp_path: Path
) -> None:
    conda = Installation.make(tmp_path / "conda", ["analysis", "imaging", "torch"])
    project = make_project(tmp_path / "project")
    code, text = with_conda(project, conda.variables, "--cores", "2")
    assert code == 0, text
    assert used_environments(project) == 3
    assert project.tables() == finished.tables()
    assert project.planned() == {}
