"""Protocols of published studies, computed from our files so that their tables can be compared.

They are defined with their sources in docs/explanation/protocol.md. Each keeps what the published
way does to the images, also where that hides an error: several scale the prediction by its own
statistics. Their slices, where they score slices, are those of the paper that `seed-v1` follows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from crossmod.evaluation import image_quality as quality
from crossmod.evaluation.truth import LEAST_VOXELS, Mask, Score, Truth, Volume
from crossmod.masks import bounding_box

# Hi-Net cuts slices of 160 x 180 mm into 2 x 2 patches of 128 mm that overlap.
HINET_FRAME_MM, HINET_PATCH_MM = (160.0, 180.0), 128.0
# scikit-image took 2 as the range of any image of floats until 2022.
OLD_FLOAT_RANGE = 2.0
BRATS_VOLUME_MM3 = 240.0 * 240.0 * 155.0
BRASYN_PERCENTILES = (0.5, 99.5)
SYNTHRAD_HU = (-1024.0, 3000.0)

Slice = NDArray[np.float64]
SliceMeasure = Callable[[Slice, Slice, tuple[int, int]], dict[str, float]]


def score_seed(truth: Truth, prediction: Volume, protocol: str) -> list[Score]:
    """Whole slices, the true slice's maximum as peak; SSIM in three readings."""
    return _score_slices(truth, prediction, protocol, quality.SLICE_METRICS, quality.slice_scores)


def score_resvit(truth: Truth, prediction: Volume, protocol: str) -> list[Score]:
    """Whole slices, each image divided by its own maximum."""
    return _score_slices(truth, prediction, protocol, ("psnr", "ssim"), _resvit)


def score_syndiff(truth: Truth, prediction: Volume, protocol: str) -> list[Score]:
    """Whole slices, each image divided by its own mean."""
    return _score_slices(truth, prediction, protocol, ("psnr",), _syndiff)


def _score_slices(
    truth: Truth, prediction: Volume, protocol: str, names: Sequence[str], measure: SliceMeasure
) -> list[Score]:
    """Means over the scored slices in which the truth is not 0; NaN without any.

    Returns
    -------
    list of Score
        Region `slice`; `voxels` counts the pixels of all scored slices.
    """
    found = [
        measure(truth.volume[..., z], prediction[..., z], truth.frame)
        for z in truth.seed_slices
        if truth.volume[..., z].max() > 0
    ]
    voxels = len(found) * truth.frame[0] * truth.frame[1]
    values = {n: float(np.mean([s[n] for s in found])) if found else math.nan for n in names}
    return [Score("slice", protocol, name, value, voxels) for name, value in values.items()]


def _resvit(truth: Slice, prediction: Slice, frame: tuple[int, int]) -> dict[str, float]:
    first, second = _divided(truth, truth.max()), _divided(prediction, prediction.max())
    error = float(np.sum((first - second) ** 2)) / math.prod(frame)
    similarity = quality.frame_ssim(first, second, frame, data_range=1.0)
    return {"psnr": quality.decibel(1.0, error), "ssim": similarity}


def _syndiff(truth: Slice, prediction: Slice, frame: tuple[int, int]) -> dict[str, float]:
    pixels = math.prod(frame)
    first = _divided(truth, truth.sum() / pixels)
    second = _divided(prediction, prediction.sum() / pixels)
    error = float(np.sum((first - second) ** 2)) / pixels
    return {"psnr": quality.decibel(float(first.max()), error)}


def _divided(image: NDArray[np.float64], by: float) -> NDArray[np.float64]:
    """An image over a statistic of its own; an empty one stays empty."""
    return image / by if by > 0 else image


def score_hinet(truth: Truth, prediction: Volume, protocol: str) -> list[Score]:
    """Slices put together from patches, each spread over [0, 1] by its own extremes.

    All slices form one volume; NaN where the truth is empty or too thin for SSIM's window.
    """
    width, height, _ = truth.grid.spacing_mm
    frame = round(HINET_FRAME_MM[0] / width), round(HINET_FRAME_MM[1] / height)
    patch = round(HINET_PATCH_MM / width), round(HINET_PATCH_MM / height)
    first, second = (
        _spread(_from_patches(_framed(volume[..., truth.seed_slices], frame), patch))
        for volume in (truth.volume, prediction)
    )
    values = dict.fromkeys(("psnr", "ssim", "nmse"), math.nan)
    energy = float(np.sum(first**2))
    if energy > 0 and min(first.shape) >= quality.SSIM_WINDOW:
        second[first == 0] = 0
        error = float(np.sum((first - second) ** 2))
        values["psnr"] = quality.decibel(1.0, error / first.size)
        values["ssim"] = _inner_ssim(first, second, OLD_FLOAT_RANGE)
        values["nmse"] = error / energy
    return [Score("slice", protocol, name, value, first.size) for name, value in values.items()]


def _framed(volume: Volume, frame: tuple[int, int]) -> Volume:
    """Center of the slices in a frame: cut where it is smaller, 0 where it is larger."""
    framed = np.zeros((*frame, volume.shape[2]))
    ours, theirs = [], []
    for length, wanted in zip(volume.shape[:2], frame, strict=True):
        common = min(length, wanted)
        ours.append(slice((length - common) // 2, (length - common) // 2 + common))
        theirs.append(slice((wanted - common) // 2, (wanted - common) // 2 + common))
    framed[theirs[0], theirs[1]] = volume[ours[0], ours[1]]
    return framed


def _from_patches(volume: Volume, patch: tuple[int, int]) -> Volume:
    """Mean of the four corner patches of every slice, each spread by its own extremes."""
    total, count = np.zeros_like(volume), np.zeros(volume.shape[:2])
    starts = [(0, length - size) for length, size in zip(volume.shape[:2], patch, strict=True)]
    for x in starts[0]:
        for y in starts[1]:
            place = slice(x, x + patch[0]), slice(y, y + patch[1])
            part = volume[place]
            low, high = part.min(axis=(0, 1)), part.max(axis=(0, 1))
            total[place] += (part - low) / np.where(high > low, high - low, 1)
            count[place] += 1
    return total / count[..., None]


def _spread(volume: Volume) -> Volume:
    if not volume.size or volume.max() <= volume.min():
        return np.zeros_like(volume)
    return (volume - volume.min()) / (volume.max() - volume.min())


def _inner_ssim(first: Volume, second: Volume, data_range: float) -> float:
    """Mean SSIM where the window lies inside the volume."""
    inner = slice(quality.SSIM_WINDOW // 2, -(quality.SSIM_WINDOW // 2))
    return float(quality.ssim_map(first, second, data_range)[inner, inner, inner].mean())


def score_brasyn(truth: Truth, prediction: Volume, protocol: str) -> list[Score]:
    """SSIM of the volumes with the tumor, or all but the tumor, set to 0.

    Returns
    -------
    list of Score
        Regions `lesion` and `healthy`; without an annotation the region `brain`.
    """
    voxels = round(BRATS_VOLUME_MM3 / math.prod(truth.grid.spacing_mm))
    first, second = (
        _own_percentiles(volume, truth.brain, voxels) for volume in (truth.volume, prediction)
    )
    lesion = truth.regions.get("lesion")
    kept: dict[str, Mask] = {"brain": truth.brain}
    if lesion is not None:
        kept = {"lesion": lesion, "healthy": truth.brain & ~lesion}
    return [
        Score(region, protocol, "ssim", _zeroed_ssim(first, second, mask, voxels), voxels)
        for region, mask in kept.items()
        if mask.sum() >= LEAST_VOXELS
    ]


def _own_percentiles(volume: Volume, brain: Mask, voxels: int) -> Volume:
    """Clipped and scaled by its percentiles over the whole picture, background included."""
    values = np.zeros(max(voxels, int(brain.sum())))
    inside = volume[brain]
    values[: inside.size] = inside
    low, high = (float(value) for value in np.percentile(values, BRASYN_PERCENTILES))
    low = max(low, 0.0)
    return np.clip((volume - low) / (high - low), 0, 1) if high > low else np.zeros_like(volume)


def _zeroed_ssim(first: Volume, second: Volume, mask: Mask, voxels: int) -> float:
    """Mean over the whole picture of the SSIM of two volumes that are 0 outside a mask."""
    box = bounding_box(mask)
    parts = (np.where(mask[box], volume[box], 0) for volume in (first, second))
    return 1 - quality.dissimilarity(*parts, data_range=1.0, gaussian=True) / voxels


def score_synthrad(truth: Truth, prediction: Volume, protocol: str) -> list[Score]:
    """Errors in HU inside the brain; of CT alone, the others have no such unit."""
    if truth.target != "CT":
        return []
    span = truth.high - truth.low
    mask = truth.brain
    mean_square = 10 ** (-quality.psnr(truth.volume, prediction, mask) / 10) * span**2
    air, bone = SYNTHRAD_HU
    first, second = (
        np.where(mask, np.clip(truth.low + span * volume, air, bone) - air, 0)
        for volume in (truth.volume, prediction)
    )
    similarity = quality.ssim_map(first, second, data_range=bone - air)
    values = {
        "mae-hu": span * quality.mae(truth.volume, prediction, mask),
        "psnr": quality.decibel(bone - air, mean_square),
        "ssim": float(similarity[mask].mean()),
    }
    voxels = int(mask.sum())
    return [Score("brain", protocol, name, value, voxels) for name, value in values.items()]
