"""Settings of the null model `brain-mean`."""

from __future__ import annotations

from typing import Literal

from crossmod.config import Settings
from crossmod.methods import Declaration

DECLARATION = Declaration(dimensionality=("2D", "2.5D"), fitting="classical", null=True)


class MethodSettings(Settings):
    """One gray value for the whole brain."""

    resolution: Literal["network", "native"] = "network"
    """`network`: slices pass through the same padding and halving as a network's; `native`: the
    prediction is made on the common grid itself."""
