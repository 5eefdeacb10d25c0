"""Intensity normalization per volume, with its inverse and the scale in which scores are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Deviations from the mean, and widths of the white stripe from its center, that become 0 and 1.
# How many voxels of real brains lie outside: docs/explanation/normalization.md.
Z_SCORE_ENDS = (-5.0, 7.0)
WHITE_STRIPE_ENDS = (-200.0, 400.0)


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

    @classmethod
    def around(cls, center: float, width: float, ends: tuple[float, float]) -> Normalizer:
        """Take multiples of a positive width below and above a center."""
        low, high = (center + width * end for end in ends)
        return cls(low, high)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Normalizer:
        """Read back from a record."""
        return cls(float(record["low"]), float(record["high"]))

    def apply(self, values: NDArray) -> NDArray[np.float32]:
        """Normalized intensities, clipped to [0, 1]."""
        scaled = (values - self.low) / (self.high - self.low)
        return np.clip(scaled, 0, 1).astype(np.float32)

    def invert(self, values: NDArray) -> NDArray[np.float32]:
        """Intensities in units of the scan."""
        return (values * (self.high - self.low) + self.low).astype(np.float32)


@dataclass(frozen=True)
class Normalization:
    """What became 0 and 1 in one volume, and how that was found.

    Attributes
    ----------
    kind : str
        `preprocess.intensity`.
    normalizer : Normalizer
        The map.
    measured : dict of str to float
        What it was made from, in units of the scan: `mean` and `sd`, or `center` and `width`.
    scored : Normalizer or None
        The map to the scale of scores where that is another one.
    """

    kind: str
    normalizer: Normalizer
    measured: dict[str, float] = field(default_factory=dict)
    scored: Normalizer | None = None

    def record(self) -> dict[str, Any]:
        """Plain values, as status files and manifests hold them."""
        ends = {"low": self.normalizer.low, "high": self.normalizer.high}
        content = {"kind": self.kind, **self.measured, **ends}
        if self.scored is not None:
            content["scored"] = {"low": self.scored.low, "high": self.scored.high}
        return content


def scored_by(record: Mapping[str, Any]) -> Normalizer:
    """The map to the scale of scores of a volume whose normalization was recorded."""
    return Normalizer.of(record.get("scored", record))


def to_scored(values: NDArray, record: Mapping[str, Any]) -> NDArray:
    """Bring normalized values of a volume to the scale of scores.

    Parameters
    ----------
    values : array
        In [0, 1], as networks see and make them.
    record : mapping
        Normalization of the acquired volume that they stand for.

    Returns
    -------
    array
        In [0, 1]; the same array where both scales are one.
    """
    if "scored" not in record:
        return values
    return scored_by(record).apply(Normalizer.of(record).invert(values)).astype(values.dtype)


def ends_in_words(intensity: str, percentiles: tuple[float, float]) -> str:
    """What becomes 0 and 1 inside the brain, to be said after "its": `zero and maximum`."""
    if intensity == "maximum":
        return "zero and maximum"
    if intensity == "z-score":
        below, above = Z_SCORE_ENDS
        return f"mean minus {-below:g} and plus {above:g} standard deviations"
    if intensity == "white-stripe":
        below, above = WHITE_STRIPE_ENDS
        widths = f"minus {-below:g} and plus {above:g} widths of its stripe of the histogram"
        return f"level of white matter {widths}"
    return f"percentiles {percentiles[0]:g} and {percentiles[1]:g}"


def scored_ends_in_words(intensity: str, percentiles: tuple[float, float]) -> str:
    """What is 0 and 1 in scores and pictures; `percentiles` are the default where not used."""
    own = intensity in ("percentiles", "maximum")
    return ends_in_words(intensity if own else "percentiles", percentiles)
