"""DVC and Snakemake keep one set of artefacts: neither undoes nor repeats the other's work."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT, STUDY, Project, make_project

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")


@pytest.fixture(scope="module")
def versioned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A study under the default study's names, so that dvc.yaml fits as it is; run and recorded."""
    project = make_project(tmp_path_factory.mktemp("dvc") / "project", subjects=6)
    shutil.move(project.root / "raw", project.root / "data/phantom")
    dataset = {"name": "phantom", "phantom": None}
    content = {**STUDY, "study": "phantom", "dataset": dataset, "data_dir": "data/phantom"}
    content |= {"title": "x", "seeds": [0], "models": {**STUDY["models"], "pix2pix": GAN}}
    (project.root / "config/config.yaml").write_text(yaml.safe_dump(content))
    for command in (
        ["git", "init", "-q"],
        ["dvc", "repro"],
        [*GIT, "add", "-A"],
        [*GIT, "commit", "-qm", "first"],
    ):
        done = project.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    return project


GAN = {"method": "pix2pix", "width": 4}


def outputs_of(done: object) -> str:
    return done.stdout + done.stderr  # type: ignore[attr-defined]


def nothing_to_do(project: Project) -> bool:
    return "Nothing to be done" in outputs_of(project.run("snakemake", "-n"))


def test_after_a_fresh_repro_neither_has_anything_to_do(versioned: Project) -> None:
    assert nothing_to_do(versioned)
    assert "up to date" in outputs_of(versioned.run("dvc", "status"))
    assert "are up to date" in outputs_of(versioned.run("dvc", "repro"))


def test_metrics_and_plots_are_shown(versioned: Project) -> None:
    shown = json.loads(versioned.run("dvc", "metrics", "show", "--json").stdout)
    (metrics,) = shown[""]["data"].values()
    assert metrics["data"]["T1w+T2w-to-FLAIR"]["linear"]["psnr"] > 10
    done = versioned.run("dvc", "plots", "show", "--out", "plots")
    assert done.returncode == 0, outputs_of(done)
    page = (versioned.root / "plots/index.html").read_text()
    assert "unet" in page


def test_a_change_runs_its_phases_and_old_versions_come_back(versioned: Project) -> None:
    stores = sorted((versioned.root / "derivatives/phantom").rglob("*_slices.json"))
    stamps = [path.stat().st_mtime_ns for path in stores]
    config = versioned.root / "config/config.yaml"
    config.write_text(config.read_text().replace("epochs: 2", "epochs: 3"))
    done = versioned.run("dvc", "repro")
    assert done.returncode == 0, outputs_of(done)
    assert "Stage 'preprocess' didn't change, skipping" in outputs_of(done)
    assert [path.stat().st_mtime_ns for path in stores] == stamps
    assert nothing_to_do(versioned)
    changed = json.loads(versioned.run("dvc", "metrics", "diff", "--json").stdout)
    (values,) = changed.values()
    assert set(values) <= {f"T1w+T2w-to-FLAIR.{m}.{s}" for m in ("unet", "pix2pix")
                           for s in ("psnr", "ssim")}  # fmt: skip
    assert values
    for command in ([*GIT, "checkout", "-q", "."], ["dvc", "checkout", "-q"]):
        done = versioned.run(*command)
        assert done.returncode == 0, outputs_of(done)
    assert nothing_to_do(versioned)


def test_every_phase_depends_on_the_code_of_its_rules() -> None:
    """dvc.yaml is held against the rules: each phase names their files and environments."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    rules = {
        "data": ["ingest"], "preprocess": ["preprocess", "slices"], "train": ["train"],
        "synthesize": ["synthesize"], "evaluate": ["evaluate"], "report": ["report"],
    }  # fmt: skip
    assert set(stages) == set(rules)
    for stage, files in rules.items():
        deps = set(stages[stage]["deps"])
        assert {"src/crossmod", "rules", "Snakefile"} <= deps
        for name in files:
            text = (ROOT / "rules" / f"{name}.smk").read_text()
            assert set(re.findall(r"envs/\w+\.yaml", text)) <= deps, stage
        for dep in deps:
            made = dep.startswith(("data/", "derivatives/", "results/"))
            assert made or (ROOT / dep).exists(), dep
    outs = [Path(next(iter(out))) for stage in stages.values() for out in stage["outs"]]
    assert len(set(outs)) == len(outs)
    persistent = [next(iter(out.values())) for stage in stages.values() for out in stage["outs"]]
    assert all(options["persist"] for options in persistent)
