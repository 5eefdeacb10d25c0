"""The project's own files agree with each other."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
GENERATORS = ["make_envs.py", "make_malformed_page.py", "make_reference.py"]
ENVS = sorted((ROOT / "envs").glob("*.yaml"))


def lock() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().split()
    return dict(line.split("==") for line in lines)


def test_the_lock_pins_exact_versions_without_local_labels() -> None:
    lines = (ROOT / "requirements.lock").read_text().split("\n")
    for line in filter(None, lines):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line), line


def test_what_the_package_needs_is_asked_for_and_pinned_within_its_limits() -> None:
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    asked = {
        canonicalize_name(Requirement(line).name)
        for line in (ROOT / "requirements.in").read_text().split("\n")
        if line
    }
    pins = {canonicalize_name(name): version for name, version in lock().items()}
    assert asked <= set(pins)
    for need in map(Requirement, needs):
        name = canonicalize_name(need.name)
        assert name in asked
        assert need.specifier.contains(pins[name]), f"{need} is pinned to {pins[name]}"


def test_pre_commit_runs_the_gates_that_these_tests_run() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    programs = {hook["entry"].split()[0] for hook in repository["hooks"]}
    gates = {"ruff", "mypy", "lint-imports", "snakefmt", "python"}
    assert programs == {f".venv/bin/{gate}" for gate in gates}
    assert all((Path(sys.executable).parent / gate).is_file() for gate in gates)
    scripts = re.findall(r"workflow/\w+\.py", "".join(h["entry"] for h in repository["hooks"]))
    assert sorted(scripts) == [f"workflow/{name}" for name in GENERATORS]


@pytest.mark.parametrize("script", GENERATORS)
def test_generated_files_are_up_to_date(script: str) -> None:
    command = [sys.executable, str(ROOT / "workflow" / script), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", ENVS, ids=lambda p: p.name)
def test_environments_are_pinned_like_the_lock(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    assert set(content) == {"channels", "dependencies"}
    assert content["channels"] == ["conda-forge", "nodefaults"]
    python, pip, packages = content["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    pins = dict(pin.split("==") for pin in packages["pip"])
    assert pins.items() <= lock().items()
    assert "numpy" in pins


def test_every_environment_is_used_and_every_rule_has_one() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert len(ENVS) == 3
    for path in ENVS:
        assert f'"../envs/{path.name}"' in rules
    assert rules.count("shell:") == rules.count("conda:") == rules.count("benchmark:")


def test_layers_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("tool", [["ruff", "check"], ["ruff", "format", "--check"]])
def test_style(tool: list[str]) -> None:
    command = [str(Path(sys.executable).parent / tool[0]), *tool[1:], "."]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_types() -> None:
    command = [str(Path(sys.executable).parent / "mypy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_rules_are_formatted() -> None:
    files = [str(ROOT / "Snakefile"), *map(str, sorted((ROOT / "rules").glob("*.smk")))]
    assert len(files) == 9
    command = [str(Path(sys.executable).parent / "snakefmt"), "--check", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_sizes_stay_within_the_budget() -> None:
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        assert len(path.read_text().splitlines()) <= 500, path
    for path in (ROOT / "rules").glob("*.smk"):
        assert len(path.read_text().splitlines()) <= 200, path
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 60
