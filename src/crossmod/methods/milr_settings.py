"""Settings of the method `milr`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from crossmod.methods import Declaration
from crossmod.settings import Fraction, Limits, Settings

DECLARATION = Declaration(arity="any-to-one", dimensionality=("2D", "2.5D"))


@dataclass(frozen=True, kw_only=True)
class MethodSettings(Settings):
    """MILR with the values of the paper and its public code as defaults."""

    width: Annotated[int, Limits(ge=1, le=256)] = 32
    """Channels of the first encoder level, doubled at each of two halvings, and of the decoder."""
    latent: Annotated[int, Limits(ge=1)] = 16
    """Channels of the latent space."""
    fusion: Literal["max", "mean", "mean-variance"] = "max"
    """How the embeddings of several sources become one, voxel by voxel."""
    lambda_latent: Annotated[float, Limits(ge=0)] = 1.0
    """Weight of the variance between the embeddings of one slice."""
    learning_rate: Annotated[float, Limits(gt=0)] = 1e-4
    """Step size of Adam."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Decay rates of Adam's moments."""
    # The paper stops early and has no schedule; 1 keeps the step size constant.
    decay_from: Annotated[float, Limits(ge=0, le=1)] = 0.5
    """Fraction of the epochs after which the step size falls linearly to 0; 1 is never."""
