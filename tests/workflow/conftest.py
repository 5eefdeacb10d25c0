"""A small study of brain-only subjects in a copy of the project, run once and then copied."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "Snakefile",
    "rules",
    "workflow",
    "profiles",
    "envs",
    "config",
    "src",
    "dvc.yaml",
    ".dvc",
    ".dvcignore",
    ".gitignore",
)
MODALITIES = ("T1w", "T2w", "FLAIR")
STUDY = {
    "study": "small",
    "data_dir": "raw",
    "dataset": {"name": "small"},
    "split": {"test": 0.3, "validation": 0.15},
    "preprocess": {"spacing_mm": None, "bias_field": "none", "registration": "none"},
    "slices": {"size": 48},
    "tasks": [{"sources": ["T1w", "T2w"], "target": "FLAIR"}],
    "training": {"epochs": 2, "batch_size": 8},
    "models": {
        "unet": {"method": "unet", "width": 8},
        "linear": {"method": "linear-regression"},
    },
    "batch": 2,
    "nulls": False,
    "evaluation": {
        "bootstrap": 100,
        "experiments": [
            {
                "title": "Learned or fitted",
                "control": "linear",
                "rows": [
                    {"model": "unet", "task": "T1w+T2w-to-FLAIR", "published": {"psnr": [24, 2]}},
                    {"model": "linear", "task": "T1w+T2w-to-FLAIR"},
                ],
            }
        ],
    },
}


@dataclass(frozen=True)
class Project:
    """A copy of the project with a study of its own."""

    root: Path

    def copy(self, root: Path) -> Project:
        """A copy to change at will."""
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root)

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in the project."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CROSSMOD", "PYTEST"))}
        return subprocess.run(
            arguments, cwd=self.root, capture_output=True, text=True, check=False,
            env={**clean, "PATH": path, **env},
        )  # fmt: skip

    def snakemake(self, *arguments: str, study: str = "small") -> subprocess.CompletedProcess[str]:
        """Run Snakemake on one of the project's studies."""
        return self.run("snakemake", "--configfile", f"config/studies/{study}.yaml", *arguments)

    def planned(self, study: str = "small") -> dict[str, int]:
        """Rule to number of jobs that a run would execute now."""
        done = self.snakemake("-n", study=study)
        assert done.returncode == 0, done.stdout + done.stderr
        table = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
        return {rule: int(count) for rule, count in table if rule not in ("total", "all")}

    def tables(self, study: str = "small") -> dict[str, bytes]:
        """Content of the result tables."""
        folder = self.root / "results" / study / "tables"
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}

    def change_study(self, change: Callable[[dict], None], study: str = "small") -> None:
        """Edit the study file."""
        path = self.root / "config" / "studies" / f"{study}.yaml"
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content))


def write_subject(raw: Path, number: int, digits: int = 2) -> None:
    """Three modalities of one made-up brain: an ellipsoid with ventricles and folds."""
    name = f"sub-{number:0{digits}d}"
    rng = np.random.default_rng(number)
    x, y, z = np.mgrid[-18:18, -21:21, -17:17] * 4.0
    radius = np.sqrt((x / 62) ** 2 + (y / 75) ** 2 + (z / 58) ** 2)
    brain = radius < 1
    white = (radius + 0.1 * np.sin(x / 9 + number) * np.cos(y / 11)) < 0.75
    fluid = np.sqrt((x / 12) ** 2 + (y / 25) ** 2 + (z / 12) ** 2) < 1
    signal = {"T1w": (600, 900, 200), "T2w": (500, 350, 1200), "FLAIR": (700, 500, 150)}
    for modality, (gray, bright, liquid) in signal.items():
        image = np.where(fluid, liquid, np.where(white, bright, gray)) * rng.uniform(0.8, 1.2)
        image = (image + rng.normal(0, 20, image.shape)).clip(1) * brain
        path = raw / name / "anat" / f"{name}_{modality}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        affine = np.diag([4.0, 4.0, 4.0, 1.0])
        affine[:3, 3] = -72, -84, -68
        nib.save(nib.Nifti1Image(image.astype(np.int16), affine), path)


def add_bad_subjects(raw: Path) -> None:
    """One whose T1w is cut short, one whose FLAIR holds NaN, one with another grid in 4-D."""
    for number in (90, 91, 92):
        write_subject(raw, number)
    cut = raw / "sub-90/anat/sub-90_T1w.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-2000])
    wrong = raw / "sub-91/anat/sub-91_FLAIR.nii.gz"
    image = nib.load(wrong)
    data = np.asarray(image.dataobj, dtype=np.float32)
    data[5, 5, 5] = np.nan
    nib.save(nib.Nifti1Image(data, image.affine), wrong)
    for modality in MODALITIES:
        path = raw / f"sub-92/anat/sub-92_{modality}.nii.gz"
        nib.save(nib.Nifti1Image(np.ones((6, 6, 6, 2), np.int16), np.eye(4)), path)


def copy_project(root: Path) -> None:
    """Copy the project's own files."""
    root.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "tmp", "cache")
            shutil.copytree(source, root / name, ignore=ignore)
        elif source.is_file():
            shutil.copy2(source, root / name)


def make_project(root: Path, subjects: int = 8) -> Project:
    """Copy the project's own files and add data, bad subjects and a study."""
    copy_project(root)
    for number in range(subjects):
        write_subject(root / "raw", number)
    add_bad_subjects(root / "raw")
    folder = root / "config" / "studies"
    folder.mkdir(exist_ok=True)
    (folder / "small.yaml").write_text(yaml.safe_dump(STUDY))
    return Project(root)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The study, run to its end."""
    project = make_project(tmp_path_factory.mktemp("finished") / "project")
    done = project.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished study to change at will."""
    return finished.copy(tmp_path / "project")
