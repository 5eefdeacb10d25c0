"""Standardization from raw scans to synthetic images, of a study and of new scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossmod.config import PreprocessSettings, SliceSettings
from crossmod.io import read_image, write_image
from crossmod.methods import settings_class
from crossmod.new_scans import synthesize_scans
from crossmod.paths import PreprocessedPaths
from crossmod.preprocess import Annotations, run
from crossmod.settings import TaskSettings
from crossmod.slices import make_store
from crossmod.synthesis import synthesize_batch
from crossmod.training.loop import train
from crossmod.training.request import TrainRequest
from tests.unit.heads import make_head

PREPROCESS = PreprocessSettings(
    spacing_mm=None, bias_field="none", registration="none", brain_extraction="nonzero"
)
TASK = TaskSettings(sources=("T1w",), target="FLAIR")
KEYS = ("sub-01", "sub-02", "sub-03")


def bent(values: np.ndarray) -> np.ndarray:
    """Gray matter brighter, the ends in place."""
    return np.interp(values, [0, 420, 700], [0, 560, 700]).astype(np.float32)


def scan(root: Path, key: str, modality: str) -> Path:
    return root / "raw" / f"{key}_{modality}.nii.gz"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of three heads, FLAIR a multiple of T1w; the T1w of the third is bent."""
    folder = tmp_path_factory.mktemp("nyul")
    for seed, key in enumerate(KEYS):
        head, _ = make_head("T1w", (5, 5, 5), skull=False, noise=25, seed=seed)
        shown = head.with_data(bent(head.data)) if key == "sub-03" else head
        write_image(scan(folder, key, "T1w"), shown)
        write_image(scan(folder, key, "FLAIR"), head.with_data(head.data * np.float32(0.5)))
        paths = PreprocessedPaths(folder / "preproc", key)
        scans = {m: scan(folder, key, m) for m in ("T1w", "FLAIR")}
        assert run(paths, scans, Annotations(), PREPROCESS).ok
        manifest = folder / "slices" / f"{key}_slices.json"
        make_store(paths.status, manifest, SliceSettings(size=48), PREPROCESS)
    return folder


def checkpoint(root: Path, resolution: str, standardization: str) -> Path:
    """A linear regression of the first two heads."""
    settings = settings_class("linear-regression")(resolution=resolution).to_dict()
    training = {"standardization": standardization}
    model = {"method": "linear-regression", "settings": settings, "training": training}
    manifests = tuple(root / "slices" / f"{key}_slices.json" for key in KEYS[:2])
    request = TrainRequest(TASK, model, manifests, (), 0, PREPROCESS.model_dump(mode="json"))
    folder = root / f"{resolution}-{standardization}"
    train(request, folder / "a.pt", folder / "a.tsv", folder / "resume")
    return folder / "a.pt"


def synthesize(root: Path, model: Path) -> tuple[np.ndarray, np.ndarray]:
    """The third head's FLAIR: normalized, and delivered."""
    pair = (PreprocessedPaths(root / "preproc", KEYS[2]).status, root / "slices/sub-03_slices.json")
    file = model.parent / "b_status.json"
    (status,) = synthesize_batch(model, [pair], model.parent, file)
    assert status.ok, status.reason
    normalized, delivered = (
        read_image(status.path(k, file)).data for k in ("normalized", "synthetic")
    )
    return normalized, delivered


@pytest.mark.parametrize("resolution", ["network", "native"])
def test_a_bent_scan_is_understood_once_it_is_standardized(root: Path, resolution: str) -> None:
    truth = read_image(scan(root, "sub-03", "FLAIR")).data
    brain = truth > 0
    low, high = np.percentile(truth[brain], (0.5, 99.5))
    expected = np.clip((truth[brain] - low) / (high - low), 0, 1)
    errors = [
        np.abs(synthesize(root, checkpoint(root, resolution, kind))[0][brain] - expected).mean()
        for kind in ("none", "nyul")
    ]
    assert errors[1] < 0.25 * errors[0]


def test_new_scans_are_standardized_by_the_checkpoints_scale(root: Path, tmp_path: Path) -> None:
    model = checkpoint(root, "network", "nyul")
    _, delivered = synthesize(root, model)
    synthesize_scans(model, {"T1w": scan(root, "sub-03", "T1w")}, tmp_path / "flair.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "flair.nii.gz").data, delivered)
