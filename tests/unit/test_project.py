"""The project's own files agree with each other."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ENVS = sorted((ROOT / "envs").glob("*.yaml"))


def lock() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().split()
    return dict(line.split("==") for line in lines)


def test_the_lock_pins_exact_versions_without_local_labels() -> None:
    lines = (ROOT / "requirements.lock").read_text().split("\n")
    for line in filter(None, lines):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line), line


@pytest.mark.parametrize("script", ["make_envs.py", "make_reference.py"])
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
