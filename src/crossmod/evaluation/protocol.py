"""Scoring protocols: what is compared with what, where, and by which measures.

A protocol has an id that every number in a table carries; what the ids mean is written in
docs/explanation/protocol.md. A change of a definition is a new id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from crossmod.evaluation import image_quality as quality
from crossmod.evaluation import published
from crossmod.evaluation.truth import LEAST_VOXELS, Score, Truth, Volume

SENSITIVITY = ("shift-1", "blur-1", "scale-0.9")


def sensitivity_variants(truth: Truth, prediction: Volume) -> Iterator[tuple[str, Volume]]:
    """What known flaws cost: the prediction shifted, blurred and scaled.

    `shift-1` moves it one voxel to the right; `blur-1` applies a Gaussian of sigma 1 voxel,
    divided by the blurred brain so that the edge does not darken; `scale-0.9` multiplies it by
    0.9. All are 0 outside the brain.
    """
    from scipy.ndimage import gaussian_filter

    brain = truth.brain
    shifted = np.zeros_like(prediction)
    shifted[1:] = prediction[:-1]
    yield SENSITIVITY[0], np.where(brain, shifted, 0)
    weight = gaussian_filter(brain.astype(np.float64), 1.0, mode="constant")
    blurred = gaussian_filter(prediction, 1.0, mode="constant")
    yield SENSITIVITY[1], np.where(brain, blurred / np.where(brain, weight, 1), 0)
    yield SENSITIVITY[2], 0.9 * prediction


def score_regions(truth: Truth, prediction: Volume, protocol: str) -> list[Score]:
    """Score a volume inside the brain, lesions and healthy tissue.

    Parameters
    ----------
    truth : Truth
        Acquired target.
    prediction : array, shape of `truth.volume`
        Synthetic volume in [0, 1], 0 outside the brain.
    protocol : str
        Id that the rows carry.

    Returns
    -------
    list of Score
        Regions of fewer than `LEAST_VOXELS` voxels are left out. MS-SSIM is of the brain alone:
        its coarse windows are wider than a lesion.
    """
    similarity = quality.ssim_map(truth.volume, prediction)
    rows = []
    for region, mask in truth.regions.items():
        voxels = int(mask.sum())
        if voxels < LEAST_VOXELS:
            continue
        values = {
            "psnr": quality.psnr(truth.volume, prediction, mask),
            "ssim": float(similarity[mask].mean()),
            "nrmse": quality.nrmse(truth.volume, prediction, mask),
            "mae": quality.mae(truth.volume, prediction, mask),
        }
        if region == "brain":
            scales = quality.ms_ssim_scales(min(truth.frame))
            name = f"ms-ssim-{scales}"
            values[name] = quality.ms_ssim(truth.volume, prediction, mask, scales)
        rows += [Score(region, protocol, name, value, voxels) for name, value in values.items()]
    return rows


Scorer = Callable[[Truth, Volume, str], list[Score]]

# Protocol id -> which file of a synthetic session it reads, and how it scores it.
PROTOCOLS: dict[str, tuple[str, Scorer]] = {
    "brain-v1": ("normalized", score_regions),
    "brain-v1-deploy": ("synthetic", score_regions),
    "seed-v1": ("normalized", published.score_seed),
    "resvit-v1": ("normalized", published.score_resvit),
    "syndiff-v1": ("normalized", published.score_syndiff),
    "hinet-v1": ("normalized", published.score_hinet),
    "brasyn-v1": ("normalized", published.score_brasyn),
    "synthrad-v1": ("synthetic", published.score_synthrad),
}
SENSITIVITY_PROTOCOL = "brain-v1"
