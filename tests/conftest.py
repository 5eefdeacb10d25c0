"""Small data sets made by code, for all tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


def write_scan(path: Path, shape: tuple[int, int, int] = (8, 9, 7), seed: int = 0) -> Path:
    """A tiny NIfTI file with random content."""
    import nibabel as nib

    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(seed).integers(1, 1000, shape).astype(np.int16)
    nib.save(nib.Nifti1Image(data, np.diag([2.0, 2.0, 3.0, 1.0])), path)
    return path


@pytest.fixture
def bids(tmp_path: Path) -> Callable[..., Path]:
    """Make a BIDS folder: `bids({"sub-01": ["T1w", "FLAIR"]})`."""
    from crossmod.paths import raw_scan

    def make(subjects: dict[str, list[str]], folder: str = "raw") -> Path:
        root = tmp_path / folder
        for number, (key, modalities) in enumerate(subjects.items()):
            for modality in modalities:
                write_scan(root / raw_scan(key, modality), seed=number)  # type: ignore[arg-type]
        rows = [f"{key.split('_')[0]}\t{'ab'[i % 2]}" for i, key in enumerate(subjects)]
        table = "\n".join(["participant_id\tgroup", *dict.fromkeys(rows)]) + "\n"
        (root / "participants.tsv").write_text(table)
        return root

    return make


@pytest.fixture
def study_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., object]:
    """Make a study in an empty working folder: `study_of(data_dir, split={...})`."""
    from crossmod.study_file import parse_study

    monkeypatch.chdir(tmp_path)

    def make(data_dir: Path, **changes: object) -> object:
        content: dict[str, object] = {
            "study": "test",
            "data_dir": str(data_dir),
            "dataset": {"name": "tiny"},
            "tasks": [{"sources": ["T1w", "T2w"], "target": "FLAIR"}],
            "models": {"unet": {"method": "unet", "width": 8}, "mean": {"method": "brain-mean"}},
            "slices": {"size": 32},
            "nulls": False,
            **changes,
        }
        return parse_study(content, "test")

    return make
