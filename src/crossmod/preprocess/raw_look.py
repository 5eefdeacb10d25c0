"""What a scan looks like before anything is done to it, and a remark on coarse scans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image
from crossmod.preprocess import quality_measures as measures
from crossmod.preprocess.foreground import background_value, threshold_of
from crossmod.settings import Modality

# Copies quantized to 6 bits have at most 64 values; exports of 8 bits, up to 256, are no worry.
FEW_GRAY_LEVELS = 64
SAMPLE_MM = 3.0
AIR_STEPS = 4  # samples between head and air
SPECK = 0.01  # of the head


@dataclass(frozen=True)
class RawLook:
    """What is seen of a scan before anything is done to it.

    Attributes
    ----------
    levels : int
        Distinct values beside that of the background.
    clipped_percent : float
        Percent of the head at the greatest value.
    air_sd : float or None
        Noise outside the head; None where that is no noise.
    histogram : dict
        Of the head.
    """

    levels: int
    clipped_percent: float
    air_sd: float | None
    histogram: dict[str, object]


def look_at_raw(image: Image) -> RawLook:
    """Look at a scan as it was acquired."""
    from scipy import ndimage

    background = background_value(image.data)
    levels = int(np.unique(image.data).size) - (background is not None)
    # Every third mm or so is enough to tell head from air.
    step = tuple(slice(None, None, max(round(SAMPLE_MM / mm), 1)) for mm in image.spacing_mm)
    sample = image.data[step]
    _, threshold, _ = threshold_of(sample)
    head = sample > threshold if background is None else sample != background
    air = sample[~ndimage.binary_dilation(_without_specks(head), iterations=AIR_STEPS)]
    values = sample[head] if head.any() else sample.ravel()
    return RawLook(
        levels,
        measures.clipped_percent(values),
        measures.air_noise_sd(air) if background is None else None,
        measures.histogram(values),
    )


def _without_specks(head: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Head without single bright voxels of air, its holes filled: scalp and brain may be apart."""
    from scipy import ndimage

    labels, _ = ndimage.label(head)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes((sizes >= SPECK * head.sum())[labels])
    return filled


def remarks(modality: Modality, look: RawLook) -> list[str]:
    """What the reader should know of a raw scan, in one line each."""
    if look.levels > FEW_GRAY_LEVELS:
        return []
    return [f"{modality} has only {look.levels} gray levels: contrast is coarse"]
