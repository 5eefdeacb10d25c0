"""The FD-GAN paper's experiments on the phantom, whole: what must come out of them."""

from __future__ import annotations

import pandas as pd
import pytest
from markupsafe import escape

from crossmod.evaluation_settings import ExperimentSettings
from crossmod.study_file import load_study
from tests.workflow.conftest import ROOT, Project, copy_project

pytestmark = pytest.mark.slow
ONE, TWO = "T1w-to-FLAIR", "T1w+T2w-to-FLAIR"
MANY_TO_ONE = ("fd-gan", "pix2pix", "milr", "sgan", "unet", "replica")
STUDY = "seed-phantom"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The study, run to its end in a copy of the project."""
    root = tmp_path_factory.mktemp("seed") / "project"
    copy_project(root)
    project = Project(root)
    run = project.snakemake("--cores", "all", study=STUDY)
    assert run.returncode == 0, run.stdout + run.stderr
    return project


@pytest.fixture(scope="module")
def psnr(done: Project) -> pd.DataFrame:
    """Mean PSNR in the brain, brain-v1, of test heads: one row per model, one column per task."""
    table = pd.read_csv(done.root / "results" / STUDY / "tables" / "summary.tsv", sep="\t")
    cell = table[
        (table["protocol"] == "brain-v1")
        & (table["region"] == "brain")
        & (table["metric"] == "psnr")
        & (table["role"] == "test")
        & table["variant"].isna()
    ]
    return cell.pivot(index="model", columns="task", values="mean")


@pytest.mark.parametrize("model", MANY_TO_ONE)
def test_trained_methods_beat_every_null(psnr: pd.DataFrame, model: str) -> None:
    nulls = psnr[psnr.index.str.startswith("null-")][TWO]
    assert len(nulls) >= 4
    assert psnr.loc[model, TWO] > nulls.max()


def test_no_network_is_dead(psnr: pd.DataFrame) -> None:
    """One whose output is constant is several dB below the brain's mean."""
    trained = psnr[~psnr.index.str.startswith("null-")]
    assert len(trained) == 14
    assert (trained.isna() | trained.gt(psnr.loc["null-mean"] - 1)).all(axis=None)


@pytest.mark.parametrize("model", MANY_TO_ONE)
def test_two_sources_beat_one(psnr: pd.DataFrame, model: str) -> None:
    assert psnr.loc[model, TWO] > psnr.loc[model, ONE]


def test_every_row_of_every_experiment_is_scored(done: Project) -> None:
    path = done.root / "results" / STUDY / "tables" / "experiments.tsv"
    table = pd.read_csv(path, sep="\t").set_index(["experiment", "row"])
    study = load_study({}, ROOT / "config" / "studies" / f"{STUDY}.yaml")
    experiments: tuple[ExperimentSettings, ...] = study.evaluation.experiments
    assert len(experiments) == 5
    for experiment in experiments:
        for row in experiment.rows:
            lines = table.loc[[(experiment.title, row.name)]]
            assert len(lines) == 8
            assert (lines["subjects"] == lines["subjects"].max()).all()
            assert lines["mean"].notna().all()
    page = (done.root / "results" / STUDY / "report" / "index.html").read_text()
    assert all(escape(experiment.title) in page for experiment in experiments)


def test_nothing_is_left_to_do(done: Project) -> None:
    assert done.planned(study=STUDY) == {}
