"""Slice stores of round heads made by code, for measurements that need data but no scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crossmod.config import PreprocessSettings, SliceSettings
from crossmod.io import Image, write_image
from crossmod.slices import make_store
from crossmod.status import Status, describe_outputs, write_status

SESSIONS, SECTIONS = 2, 16
PREPROCESS = PreprocessSettings(
    spacing_mm=None, bias_field="none", registration="none", brain_extraction="nonzero"
)


def volumes(size: int, seed: int) -> dict[str, np.ndarray]:
    """Brain mask and T1w, T2w and FLAIR, shape (size, size, SECTIONS), values in [0, 1]."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(*2 * [np.linspace(-1, 1, size)], indexing="ij")
    a, b = rng.uniform(2, 9, (2, SECTIONS))
    tissue = 0.5 + 0.4 * np.sin(x[..., None] * a + b) * np.cos(y[..., None] * b)
    brain = np.broadcast_to((x**2 + y**2 < 0.7)[..., None], tissue.shape)
    images = {"T1w": tissue, "T2w": 1 - 0.8 * tissue, "FLAIR": 0.3 + 0.5 * tissue**2}
    noisy = {
        name: np.where(brain, np.clip(image + rng.normal(0, 0.02, image.shape), 0.01, 1), 0)
        for name, image in images.items()
    }
    return {"brain": brain, **{name: image.astype("f4") for name, image in noisy.items()}}


def write_stores(folder: Path, size: int) -> None:
    """Write `SESSIONS` preprocessed sessions and slice them as the stage `slices` does."""
    for number in range(SESSIONS):
        key = f"sub-{number + 1:02d}"
        images = volumes(size, seed=number)
        status_file = folder / "preprocessed" / f"{key}.json"
        paths = {name: status_file.with_name(f"{key}_{name}.nii.gz") for name in images}
        for name, image in images.items():
            write_image(paths[name], Image(image, np.eye(4)))
        normalizers = {name: {"low": 0.0, "high": 1.0} for name in images if name != "brain"}
        outputs = describe_outputs(status_file, paths)
        details = {"reference": "T1w", "normalizers": normalizers}
        write_status(status_file, Status("preprocess", key, outputs=outputs, details=details))
        store = folder / f"{key}_slices.json"
        manifest = make_store(status_file, store, SliceSettings(size=size), PREPROCESS)
        assert manifest["verdict"] == "ok", manifest["reason"]
