"""Slice stores made by code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from crossmod.data.standardization import measure


def write_store(folder: Path, key: str, seed: int = 0, **changes: Any) -> Path:
    """A slice store of 6 slices of 32 px, in which FLAIR is a curved function of T1w and T2w.

    `changes` overrides keys of the manifest.
    """
    size, slices, modalities = 32, 6, ["T1w", "T2w", "FLAIR"]
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(*2 * [np.linspace(-1, 1, size)], indexing="ij")
    waves = rng.uniform(2, 6, (slices, 2, 1, 1))
    tissue = 0.5 + 0.4 * np.sin(waves[:, 0] * x + waves[:, 1]) * np.cos(waves[:, 1] * y)
    images = np.stack([tissue, 1 - 0.8 * tissue, 0.3 + 0.5 * tissue**2])
    images += 0.02 * rng.standard_normal(images.shape)
    array = np.where(x**2 + y**2 < 0.7, np.clip(images, 0.01, 1), 0).astype(np.float32)
    manifest = {
        "format": "crossmod-slices-1",
        "session": key,
        "participant": key.split("_")[0],
        "verdict": "ok",
        "reason": "",
        "sha256": f"{seed:064x}",
        "dtype": "float32",
        "shape": list(array.shape),
        "modalities": modalities,
        "first_slice": 0,
        "occupancy": {
            name: [int(n) for n in (image > 0).sum(axis=(1, 2))]
            for name, image in zip(modalities, array, strict=True)
        },
        "geometry": {
            "volume_shape": [size, size, slices],
            "affine": np.eye(4).tolist(),
            "crop_start": [0, 0],
            "size": size,
            "halvings": 0,
        },
        "normalizers": {m: {"low": 1.0 + seed, "high": 100.0 + seed} for m in modalities},
        "landmarks": {
            name: measure(image[image > 0])
            for name, image in zip(["T1w", "T2w", "FLAIR"], array, strict=True)
        },
        "preprocessed": {
            "preprocess": {"spacing_mm": 1.0, "space": "native", "percentiles": [0.5, 99.5]},
            "hash": "abcd1234",
            "space": "T1w",
            "spacing_mm": 1.0,
        },
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{key}_slices.npy", array)
    path = folder / f"{key}_slices.json"
    path.write_text(json.dumps(manifest))
    return path
