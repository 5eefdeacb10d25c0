"""How long scoring one session takes: python benchmarks/evaluation_speed.py [repeats].

Makes a session of about 1.1 million voxels with a brain of 1.7 dm^3 at 1.5 mm and a delivered file
at 1 mm, and times the stage under each protocol (fastest and median of the repeats), reading
included, imports apart.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.ndimage import gaussian_filter

from crossmod.evaluation.protocol import PROTOCOLS
from crossmod.evaluation.stage import EvaluateRequest, evaluate_batch
from crossmod.io import Image, write_image
from crossmod.status import Status, describe_outputs, write_batch, write_status

SHAPE = (104, 122, 88)
SPACING_MM = 1.5
RAW_SHAPE = (156, 183, 132)


def ellipsoid(shape: tuple[int, int, int]) -> np.ndarray:
    axes = np.meshgrid(*[np.linspace(-1.08, 1.08, n) for n in shape], indexing="ij")
    return sum(a**2 for a in axes) < 1


def write_session(folder: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    common = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    raw = np.diag([1.0, 1.0, 1.0, 1.0])
    brain = ellipsoid(SHAPE)
    lesion = np.zeros_like(brain)
    lesion[30:42, 40:52, 40:52] = True
    truth = gaussian_filter(rng.normal(0.5, 1, SHAPE), 1.5) * 500 * brain
    raw_brain = ellipsoid(RAW_SHAPE)
    status_file, batch_file = folder / "pre.json", folder / "batch.json"
    files = {
        "brain": (brain, common),
        "lesion": (lesion, common),
        "FLAIR": (truth.astype("f4"), common),
        "normalized": (np.clip(truth / 500, 0, 1).astype("f4"), common),
        "synthetic": ((gaussian_filter(rng.random(RAW_SHAPE), 2) * raw_brain).astype("f4"), raw),
    }
    paths = {}
    for name, (data, affine) in files.items():
        paths[name] = folder / f"{name}.nii.gz"
        write_image(paths[name], Image(data, affine))
    details = {
        "reference": "T1w",
        "normalizers": {"FLAIR": {"low": 0.0, "high": 500.0}},
        "affines": {"T1w": np.eye(4).tolist()},
    }
    made = {name: paths.pop(name) for name in ("normalized", "synthetic")}
    outputs = describe_outputs(status_file, paths)
    write_status(status_file, Status("preprocess", "sub-01", outputs=outputs, details=details))
    outputs = describe_outputs(batch_file, made)
    write_batch(batch_file, [Status("synthesize", "sub-01", outputs=outputs)])
    return status_file, batch_file


def timed(work: Callable[[], object], repeats: int) -> str:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return f"{min(seconds):6.2f} s  median {statistics.median(seconds):6.2f} s"


def main(repeats: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        status_file, batch_file = write_session(folder)

        def score(protocols: tuple[str, ...], sensitivity: bool) -> None:
            request = EvaluateRequest(
                synthetic=batch_file,
                preprocessed=(status_file,),
                task="T1w-to-FLAIR",
                sources=("T1w",),
                target="FLAIR",
                model="any",
                fold=0,
                seed=0,
                protocols=protocols,
                sensitivity=sensitivity,
            )
            done = evaluate_batch(request, folder / "scores.tsv", folder / "status.json")
            assert done[0].ok, done[0].reason

        start = time.perf_counter()
        score(tuple(PROTOCOLS), False)
        print(f"{'first call, with imports':28} {time.perf_counter() - start:6.2f} s")
        print(f"grid of {np.prod(SHAPE) / 1e6:.2f} million voxels, delivered {RAW_SHAPE}")
        for protocol in PROTOCOLS:
            print(f"{protocol:28} {timed(lambda p=protocol: score((p,), False), repeats)}")
        print(f"{'all':28} {timed(lambda: score(tuple(PROTOCOLS), False), repeats)}")
        print(f"{'all and sensitivity':28} {timed(lambda: score(tuple(PROTOCOLS), True), repeats)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
