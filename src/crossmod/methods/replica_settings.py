"""Settings of the method `replica`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from crossmod.methods import Declaration
from crossmod.settings import Limits, Settings

DECLARATION = Declaration(dimensionality=("2D", "2.5D"), fitting="classical")


@dataclass(frozen=True, kw_only=True)
class MethodSettings(Settings):
    """REPLICA with the paper's numbers of scales and trees as defaults."""

    scales: Annotated[int, Limits(ge=1, le=4)] = 3
    """Resolutions, each half of the one before; a forest of its own for each."""
    trees: Annotated[int, Limits(ge=1, le=500)] = 60
    """Trees of each forest."""
    samples: Annotated[int, Limits(ge=100)] = 100_000
    """Most brain pixels that each forest is grown on, drawn at random."""
    slices: Annotated[int, Limits(ge=1)] = 200
    """Training slices that are drawn and kept in memory."""
    min_leaf: Annotated[int, Limits(ge=1)] = 5
    """Least number of samples in a leaf."""
    max_features: Annotated[float, Limits(gt=0, le=1)] = 1 / 3
    """Fraction of the features that every split chooses from."""
    max_samples: Annotated[float, Limits(gt=0, le=1)] | None = None
    """Fraction of the samples that each tree is grown on; by default as many as there are, drawn
    with replacement (bagging)."""

    @property
    def fit_seconds(self) -> float:
        """Usual core seconds of growing the forests (30 trees of 30,000 samples took 80 s)."""
        return 3e-5 * self.scales * self.trees * self.samples
