"""Standardization of histograms by landmarks learned from the training sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Percentiles of the normalized brain that a slice store records of every modality.
LANDMARKS = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)

# Landmarks of a modality in [0, 1], one per percentile of `LANDMARKS`.
Landmarks = Sequence[float]
Standard = Mapping[str, Landmarks]


@dataclass(frozen=True)
class Curve:
    """Increasing, piecewise linear map of [0, 1] onto itself that takes landmarks to others.

    Attributes
    ----------
    source, target : sequence of float
        Landmarks of a volume, and those that they become. Exchanged, they give the inverse.

    Notes
    -----
    Nyul, Udupa and Zhang, IEEE TMI 19(2):143-150, 2000 (percentiles as landmarks). Deviations:
    the outermost pieces end at 0 and 1, which stay where they are, rather than going on in the
    direction of their neighbors: background remains 0, nothing leaves the range, and the map can
    be undone everywhere. Landmarks of a volume that fall together become their mean.
    """

    source: Landmarks
    target: Landmarks

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map values in [0, 1]."""
        places, firsts = np.unique(np.clip([0, *self.source, 1], 0, 1), return_index=True)
        targets = np.clip([0, *self.target, 1], 0, 1)
        groups = np.split(targets, firsts[1:])
        means = np.array([group.mean() for group in groups])
        means[0], means[-1] = 0, 1
        return np.interp(values, places, means).astype(np.float32)


def measure(values: NDArray[np.floating]) -> list[float]:
    """Landmarks of the normalized brain voxels of a volume; at least one voxel."""
    return [float(v) for v in np.percentile(values.astype(np.float64), LANDMARKS)]


def mean_landmarks(volumes: Sequence[Mapping[str, Landmarks]]) -> dict[str, list[float]]:
    """The standard scale: by modality, the mean of the landmarks of some sessions.

    It lies in the normalized scale of these sessions themselves, so that what is synthesized in
    it needs no map back: it stands for the average of them, as does the scale of delivered files.
    """
    return {
        name: np.mean([landmarks[name] for landmarks in volumes], axis=0).tolist()
        for name in volumes[0]
    }
