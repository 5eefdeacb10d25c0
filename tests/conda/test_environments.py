"""Environment files hold what their stages import; one is solved, installed and activated."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from crossmod.methods import method_names, module_name
from crossmod.sources import STAGES, closure
from tests.conda.installation import ENVS, Installation, pins_of

ROOT = ENVS.parent
# Modules of every stage that `closure` leaves out, because they decide no result; not
# `files`, which imports pandas in two functions that the stages with torch do not call.
ALWAYS = (
    "cli", "checking", "config", "errors", "hashing", "locks", "paths", "settings", "status",
    "study_file",
)  # fmt: skip


def rules() -> dict[str, tuple[str, str]]:
    """Rule to its environment and the stage whose sources decide its results."""
    found = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^ *rule\b", path.read_text(), flags=re.MULTILINE)[1:]:
            env = re.search(r"conda:\s*\"\.\./envs/(\w+)\.yaml\"", block)
            stage = re.search(r"code=code\(\"(\w+)\"", block)
            if env:
                found[f"{path.stem}:{len(found)}"] = (env[1], stage[1] if stage else "train")
    return found


def imported(stage: str) -> set[str]:
    """Third-party packages that a stage's modules import, at their top or later."""
    modules = {f"crossmod.{name}" for name in ALWAYS}.union(*map(closure, STAGES[stage]))
    if stage in ("train", "synthesize"):
        modules.update(f"crossmod.methods.{module_name(name)}" for name in method_names())
    names: set[str] = set()
    for module in modules:
        spec = importlib.util.find_spec(module)
        for node in ast.walk(ast.parse(Path(spec.origin).read_bytes())):
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"crossmod"}


def test_every_rule_runs_in_an_environment_with_all_that_its_stage_imports() -> None:
    found = rules()
    assert len(found) >= 9
    assert {stage for _, stage in found.values()} == set(STAGES)
    distributions = packages_distributions()
    for rule, (env, stage) in found.items():
        has = {canonicalize_name(pin.split("==")[0]) for pin in pins_of([env])}
        for package in imported(stage):
            needed = {canonicalize_name(name) for name in distributions[package]}
            assert needed & has, f"{rule} ({stage}) imports {package}, envs/{env}.yaml lacks it"


@pytest.fixture(scope="module")
def conda(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation.make(tmp_path_factory.mktemp("conda"), ["analysis"])


@pytest.fixture(scope="module")
def analysis(conda: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment of the analysis rules."""
    prefix = tmp_path_factory.mktemp("envs") / "analysis"
    done = create(conda, ENVS / "analysis.yaml", prefix)
    assert done.returncode == 0, done.stderr
    return prefix


def create(conda: Installation, file: Path, prefix: Path) -> subprocess.CompletedProcess[str]:
    """As Snakemake calls it."""
    command = ["conda", "env", "create", "--quiet", "--no-default-packages"]
    return subprocess.run(
        [*command, "--file", str(file), "--prefix", str(prefix)],
        capture_output=True, text=True, check=False, env={**os.environ, **conda.variables},
    )  # fmt: skip


def activated(conda: Installation, prefix: Path, code: str) -> str:
    """Run Python code in an activated environment, as Snakemake does; its output."""
    script = f"source {conda.bin}/activate {prefix}; python -c {shlex.quote(code)}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, cwd=prefix,
        env={**os.environ, **conda.variables, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_environment_holds_its_pins_and_nothing_else(
    conda: Installation, analysis: Path
) -> None:
    code = "import importlib.metadata as m, json; "
    code += "print(json.dumps([f'{d.name}=={d.version}' for d in m.distributions()]))"
    found = [pin.split("==") for pin in json.loads(activated(conda, analysis, code))]
    versions = {canonicalize_name(name): version for name, version in found}
    del versions["pip"]
    versions.pop("crossmod", None)  # its metadata may lie in src
    assert versions == dict(pin.split("==") for pin in pins_of(["analysis"]))


def test_the_stages_of_an_environment_import_there(conda: Installation, analysis: Path) -> None:
    modules = sorted(set().union(*(closure(m) for s in ("evaluate", "report") for m in STAGES[s])))
    code = f"import importlib, sys; [importlib.import_module(m) for m in {modules}]; "
    code += "print(sys.prefix, importlib.util.find_spec('snakemake'))"
    assert len(modules) > 10
    assert activated(conda, analysis, code) == f"{analysis} None"
