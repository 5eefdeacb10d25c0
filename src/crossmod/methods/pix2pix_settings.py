"""Settings of the method `pix2pix`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from crossmod.config import Settings
from crossmod.methods import Declaration

DECLARATION = Declaration(dimensionality=("2D", "2.5D"))


class MethodSettings(Settings):
    """pix2pix with the paper's values (Isola et al., CVPR 2017) as defaults."""

    width: int = Field(64, ge=1, le=256)
    """Channels of the first block of generator and discriminator."""
    norm: Literal["batch", "instance"] = "batch"
    """Normalization layers; with few slices per batch, `instance` is safer, because batch
    statistics then differ from the running statistics used at synthesis."""
    up: Literal["transposed", "nearest"] = "transposed"
    """Upsampling: transposed convolutions, or nearest neighbor and a convolution, which cannot
    leave a checkerboard."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout in up to three inner decoder blocks; the paper's only source of noise."""
    adversarial: Literal["vanilla", "lsgan", "hinge"] = "vanilla"
    """Adversarial loss."""
    lambda_l1: float = Field(100.0, ge=0)
    """Weight of the L1 loss."""
    lambda_adversarial: float = Field(1.0, ge=0)
    """Weight of the adversarial loss of the generator."""
    learning_rate: float = Field(2e-4, gt=0)
    """Step size of Adam, both networks."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.5,
        0.999,
    )
    """Decay rates of Adam's moments."""
    # The paper's schedule is 100 epochs constant, 100 falling (its code's default).
    decay_from: float = Field(0.5, ge=0, le=1)
    """Fraction of the epochs after which the step size falls linearly to 0."""
