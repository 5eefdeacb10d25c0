"""What a change costs: exactly what depends on it runs again."""

from __future__ import annotations

import csv
import json
import shutil
import time
from pathlib import Path
from zipfile import ZipFile

import nibabel as nib
import numpy as np

from tests.workflow.conftest import Project, write_subject


def first_of_role(project: Project, role: str) -> str:
    """First participant with a role whose scans are good."""
    with open(project.root / "results/small/index/split.tsv") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    found = [row["participant_id"] for row in rows if row["role"] == role]
    return next(name for name in found if not name.startswith("sub-9"))


def alter(path: Path) -> None:
    image = nib.load(path)
    data = np.asarray(image.dataobj).copy()
    data[data > 0] += np.int16(7)
    nib.save(nib.Nifti1Image(data, image.affine), path)


def append_comment(path: Path) -> None:
    path.write_text(path.read_text() + "\n# a change\n")


def test_the_study_ran_to_its_report(finished: Project) -> None:
    page = finished.root / "results/small/report/index.html"
    assert page.stat().st_size > 50_000
    metrics = json.loads((finished.root / "results/small/tables/metrics.json").read_text())
    scores = metrics["T1w+T2w-to-FLAIR"]
    assert scores["linear"]["psnr"] > 10
    assert np.isfinite(scores["unet"]["psnr"])


def test_a_second_run_has_nothing_to_do(finished: Project) -> None:
    assert finished.planned() == {}
    done = finished.snakemake("--cores", "1")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_snakemakes_own_report_shows_the_study(finished: Project, tmp_path: Path) -> None:
    finished.snakemake("--report", str(tmp_path / "report.zip"))
    with ZipFile(tmp_path / "report.zip") as content:
        names = [Path(name).name for name in content.namelist()]
    assert {"overview.html", "scores.tsv", "summary.tsv"} <= set(names)
    assert names.count("index.html") == 2  # the report, and quality control
    assert finished.planned() == {}


def test_touched_files_with_the_same_content_change_nothing(project: Project) -> None:
    for path in [*(project.root / "src").rglob("*.py"), *(project.root / "raw").rglob("*.nii.gz")]:
        path.touch()
    assert project.planned() == {}


def test_editing_one_methods_file_retrains_its_models_only(project: Project) -> None:
    append_comment(project.root / "src/crossmod/methods/linear_regression.py")
    assert project.planned() == {
        "train": 1, "synthesize": 2, "evaluate": 2, "summarize": 1, "report": 1
    }  # fmt: skip


def test_editing_the_report_redoes_the_report_only(project: Project) -> None:
    append_comment(project.root / "src/crossmod/report/figures.py")
    assert project.planned() == {"report": 1}


def test_editing_the_pages_of_quality_control_redoes_them_only(project: Project) -> None:
    page = project.root / "src/crossmod/report/quality/session.html"
    page.write_text(page.read_text().replace("No flags.", "No flag."))
    assert project.planned() == {"quality": 1}


def exclude(project: Project, participant: str) -> None:
    """Put a participant on the list of exclusions of the study."""
    table = project.root / "config/exclusions.tsv"
    table.write_text(f"session\treason\n{participant}\tmask cuts the cerebellum\n")
    project.change_study(lambda study: study["dataset"].update(exclusions="config/exclusions.tsv"))


def test_excluding_a_test_subject_redoes_its_batches_and_the_tables_alone(
    project: Project,
) -> None:
    participant = first_of_role(project, "test")
    exclude(project, participant)
    # One batch of each of two models held the subject.
    assert project.planned() == {
        "synthesize": 2, "evaluate": 2, "summarize": 1, "quality": 1, "report": 1
    }  # fmt: skip
    done = project.snakemake("--cores", "1", "preprocessed")
    assert done.returncode == 0, done.stdout + done.stderr
    pages = project.root / "results/small/quality"
    assert not (pages / f"{participant}.html").exists()
    assert "mask cuts the cerebellum" in (pages / "index.html").read_text()


def test_excluding_a_training_subject_retrains_and_preprocesses_nobody(project: Project) -> None:
    exclude(project, first_of_role(project, "train"))
    plan = project.planned()
    assert plan["train"] == 2
    assert not {"preprocess", "slices"} & set(plan)


def test_one_models_settings_retrain_that_model_only(project: Project) -> None:
    project.change_study(lambda study: study["models"]["unet"].update(width=4))
    plan = project.planned()
    assert plan == {"train": 1, "synthesize": 2, "evaluate": 2, "summarize": 1, "report": 1}


def test_a_new_model_leaves_the_others_alone(project: Project) -> None:
    project.change_study(lambda study: study["models"].update(mean={"method": "brain-mean"}))
    plan = project.planned()
    assert plan == {"train": 1, "synthesize": 2, "evaluate": 2, "summarize": 1, "report": 1}


def test_a_changed_test_scan_retrains_nothing(project: Project) -> None:
    participant = first_of_role(project, "test")
    alter(project.root / f"raw/{participant}/anat/{participant}_T1w.nii.gz")
    plan = project.planned()
    assert plan["preprocess"] == 1
    assert plan["slices"] == 1
    assert "train" not in plan


def test_a_changed_training_scan_retrains_all_but_redoes_one_subject(project: Project) -> None:
    participant = first_of_role(project, "train")
    alter(project.root / f"raw/{participant}/anat/{participant}_T2w.nii.gz")
    plan = project.planned()
    assert (plan["preprocess"], plan["slices"], plan["train"]) == (1, 1, 2)


def test_a_new_subject_redoes_no_other_preprocessing(project: Project) -> None:
    write_subject(project.root / "raw", 50)
    plan = project.planned()
    assert (plan["preprocess"], plan["slices"]) == (1, 1)


def test_two_studies_share_preprocessing_and_nothing_else(project: Project) -> None:
    folder = project.root / "config/studies"
    shutil.copy(folder / "small.yaml", folder / "second.yaml")
    project.change_study(lambda study: study.update(study="second", seeds=[5]), "second")
    plan = project.planned("second")
    assert "preprocess" not in plan
    assert "slices" not in plan
    assert plan["train"] == 2
    assert project.planned() == {}


def test_a_dry_run_of_the_default_study_is_quick_and_imports_no_torch(project: Project) -> None:
    started = time.monotonic()
    done = project.run("snakemake", "-n")
    elapsed = time.monotonic() - started
    assert done.returncode == 0, done.stdout + done.stderr
    assert "preprocess" in done.stdout + done.stderr
    # The limit is 5 s on a quiet machine; under a parallel test run it may take three times that.
    assert elapsed < 15
    code = "import sys; from crossmod.planning import load_plan; load_plan().runs; "
    code += "print(sorted({'torch', 'pandas', 'ants', 'nibabel'} & set(sys.modules)))"
    done = project.run("python", "-c", code, PYTHONPATH=str(project.root / "src"))
    assert done.stdout.strip() == "[]", done.stderr


def test_lint_finds_nothing(project: Project) -> None:
    done = project.snakemake("--lint")
    assert done.returncode == 0, done.stdout + done.stderr
