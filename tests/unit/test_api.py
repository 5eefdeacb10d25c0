"""The public Python API: light to import, reads what a study left, writes nothing into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import crossmod
from crossmod.files import write_json, write_rows
from crossmod.paths import IngestedPaths, StudyPaths, synthetic_volume
from crossmod.status import Status, describe_outputs, write_status
from tests.conftest import write_scan

STUDY = {
    "study": "test",
    "data_dir": "raw",
    "dataset": {"name": "tiny"},
    "tasks": [{"sources": ["T1w", "T2w"], "target": "FLAIR"}],
    "models": {"unet": {"method": "unet"}, "linear": {"method": "linear-regression"}},
    "seeds": [3, 4],
    "nulls": False,
}


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, crossmod; "
    code += "print(sorted(n for n in sys.modules if n.startswith(('crossmod.', 'numpy', 'yaml'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists_and_is_documented() -> None:
    assert len(crossmod.__all__) == 6
    for name in crossmod.__all__:
        assert getattr(crossmod, name).__doc__
        assert name in dir(crossmod)
    with pytest.raises(AttributeError, match="has no attribute 'sythesize'"):
        crossmod.sythesize  # noqa: B018


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder in which a study has run: two sessions, one of them left out; four models."""
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    paths = StudyPaths(crossmod.load_study(tmp_path / "study.yaml"))
    columns = ("participant_id", "session_key")
    rows = [{"participant_id": key, "session_key": key} for key in ("sub-1", "sub-2", "sub-3")]
    write_rows(tmp_path / paths.index("sessions"), columns, rows)
    columns = ("session_key", "modality", "status", "path")
    cells = [("T1w", "present", "t1.nii.gz"), ("T2w", "missing", ""), ("FLAIR", "excluded", "f")]
    rows = [dict(zip(columns, ("sub-1", *cell), strict=True)) for cell in cells]
    write_rows(tmp_path / paths.index("scans"), columns, rows)
    write_rows(tmp_path / paths.summary("summary"), ("model", "mean"), [{"model": "unet"}])
    write_json(tmp_path / paths.metrics, {"T1w+T2w-to-FLAIR": {"unet": {"psnr": 20.5}}})

    preprocessed = paths.preprocessed("sub-1")
    image = write_scan(tmp_path / preprocessed.volume("T1w", "T1w"))
    status = tmp_path / preprocessed.status
    outputs = describe_outputs(status, {"T1w": image})
    write_status(status, Status("preprocess", "sub-1", outputs=outputs))
    failed = Status("preprocess", "sub-2", "failed", "is damaged")
    write_status(tmp_path / paths.preprocessed("sub-2").status, failed)

    for model, seed in (("unet", 3), ("unet", 4), ("linear", 3)):
        run = paths.run(paths.run_id("T1w+T2w-to-FLAIR", model, 0, seed))
        (tmp_path / run.checkpoint).parent.mkdir(parents=True)
        (tmp_path / run.checkpoint).write_bytes(b"weights")
        write_scan(synthetic_volume(tmp_path / run.synthetic, "sub-1", "FLAIR", "synthetic"))
    return tmp_path


def test_changes_are_laid_over_a_study_file(project: Path) -> None:
    study = crossmod.load_study(project / "study.yaml", seeds=[7], data_dir="elsewhere")
    assert (study.seeds, study.data_dir) == ((7,), Path("elsewhere"))
    with pytest.raises(crossmod.CrossmodError, match="unknown key seed"):
        crossmod.load_study(project / "study.yaml", seed=7)


def test_results_are_read_from_any_folder(project: Path) -> None:
    results = crossmod.open_study(project / "study.yaml", project)
    assert results.table("summary")["model"].tolist() == ["unet"]
    assert results.metrics["T1w+T2w-to-FLAIR"]["unet"]["psnr"] == 20.5
    assert results.sessions == ("sub-1", "sub-2")
    assert results.scans("sub-1") == {"T1w": project / "raw/t1.nii.gz"}
    assert set(results.volumes("sub-1")) == {"T1w"}
    assert results.volumes("sub-1")["T1w"].is_file()
    assert results.volumes("sub-2") == {}
    assert results.report == project / "results/test/report/index.html"
    with pytest.raises(crossmod.CrossmodError, match="choose one of scores, summary"):
        results.table("sumary")


def test_scans_of_a_converted_data_set_are_those_written(project: Path) -> None:
    paths = IngestedPaths(project / "derivatives/tiny/bids", "sub-1")
    write_scan(paths.scan("T1w"))
    outputs = describe_outputs(paths.status, {"T1w": paths.scan("T1w")})
    write_status(paths.status, Status("ingest", "sub-1", outputs=outputs))
    results = crossmod.open_study(project / "study.yaml", project)
    assert results.scans("sub-1") == {"T1w": paths.scan("T1w")}


def test_models_are_those_that_were_trained(project: Path) -> None:
    results = crossmod.open_study(crossmod.load_study(project / "study.yaml"), project)
    assert [(run.name, run.seed) for run in results.runs] == [
        ("unet", 3), ("unet", 4), ("linear", 3)
    ]  # fmt: skip
    assert [(name, run.seed) for name, run in results.models.items()] == [
        ("unet", 3), ("linear", 3)
    ]  # fmt: skip
    linear = results.models["linear"]
    assert (linear.method, linear.target) == ("linear-regression", "FLAIR")
    assert linear.sources == ("T1w", "T2w")
    assert linear.checkpoint.read_bytes() == b"weights"
    assert linear.image("sub-1").name == "sub-1_desc-synthetic_FLAIR.nii.gz"
    with pytest.raises(crossmod.CrossmodError, match="linear made no normalized image of sub-1"):
        linear.image("sub-1", "normalized")


def test_models_of_other_settings_do_not_count(project: Path) -> None:
    models = {**STUDY["models"], "unet": {"method": "unet", "width": 8}}
    changed = crossmod.load_study(project / "study.yaml", models=models)
    assert set(crossmod.open_study(changed, project).models) == {"linear"}


def test_a_study_that_has_not_run_is_told_so(project: Path, tmp_path: Path) -> None:
    with pytest.raises(crossmod.CrossmodError, match="holds no results of the study 'test'"):
        crossmod.open_study(project / "study.yaml", tmp_path / "elsewhere")


def test_synthesis_refuses_what_is_no_modality_and_no_model(tmp_path: Path) -> None:
    with pytest.raises(crossmod.CrossmodError, match="t1: is no modality; choose from T1w"):
        crossmod.synthesize(tmp_path / "none.pt", {"t1": "a.nii.gz"})
    with pytest.raises(crossmod.CrossmodError, match=r"none\.pt"):
        crossmod.synthesize(tmp_path / "none.pt", {"T1w": "a.nii.gz"})
