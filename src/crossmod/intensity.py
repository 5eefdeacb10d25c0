"""Intensity normalization per volume, with its inverse stored as two numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Normalizer:
    """Linear map of [low, high] to [0, 1].

    Attributes
    ----------
    low, high : float
        Intensities, in units of the scan, that become 0 and 1.
    """

    low: float
    high: float

    @classmethod
    def fit(cls, values: NDArray, percentiles: tuple[float, float]) -> Normalizer | None:
        """Take two percentiles of the values in the brain; None if they do not differ."""
        if values.size == 0:
            return None
        low, high = (float(v) for v in np.percentile(values.astype(np.float64), percentiles))
        return cls(low, high) if high > low else None

    @classmethod
    def of_maximum(cls, values: NDArray) -> Normalizer | None:
        """Take zero and the maximum; None if the values are constant or nowhere positive.

        Non-negative images with the peak at each volume's own maximum are what the tables of the
        FD-GAN paper imply: PSNR + 20 log10 NRMSE = 10 log10(peak^2 / mean y^2) is about 13 dB.
        """
        if values.size == 0 or values.max() <= max(0, values.min()):
            return None
        return cls(0.0, float(values.max()))

    def apply(self, values: NDArray) -> NDArray[np.float32]:
        """Normalized intensities, clipped to [0, 1]."""
        scaled = (values - self.low) / (self.high - self.low)
        return np.clip(scaled, 0, 1).astype(np.float32)

    def invert(self, values: NDArray) -> NDArray[np.float32]:
        """Intensities in units of the scan."""
        return (values * (self.high - self.low) + self.low).astype(np.float32)


def ends_in_words(intensity: str, percentiles: tuple[float, float]) -> str:
    """What becomes 0 and 1 inside the brain, to be said after "its": `zero and maximum`."""
    if intensity == "maximum":
        return "zero and maximum"
    return f"percentiles {percentiles[0]:g} and {percentiles[1]:g}"
