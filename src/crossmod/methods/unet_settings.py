"""Settings of the method `unet`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from crossmod.methods import Declaration
from crossmod.settings import Fraction, Limits, Settings

DECLARATION = Declaration(dimensionality=("2D", "2.5D"))


@dataclass(frozen=True, kw_only=True)
class MethodSettings(Settings):
    """U-Net regression. Defaults are those of `pix2pix` but for the norm."""

    width: Annotated[int, Limits(ge=1, le=256)] = 64
    """Channels of the first encoder block; deeper blocks have up to 8 times as many."""
    # Instance: batch statistics of a few slices differ from the running statistics used at
    # synthesis, and background shares vary from slice to slice; instance norm computes the same
    # in both modes (the choice of MM-GAN, Sharma and Hamarneh, TMI 2020, and of nnU-Net).
    norm: Literal["batch", "instance"] = "instance"
    """Normalization layers."""
    up: Literal["transposed", "nearest"] = "transposed"
    """Upsampling: transposed convolutions, or nearest neighbor and a convolution, which cannot
    leave a checkerboard."""
    # None: an L1 regression has nothing to sample; noise only blurs its output.
    dropout: Fraction = 0.0
    """Dropout in up to three inner decoder blocks."""
    learning_rate: Annotated[float, Limits(gt=0)] = 2e-4
    """Step size of Adam."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Decay rates of Adam's moments; (0.9, 0.999) are Adam's own, as nothing is adversarial."""
    decay_from: Annotated[float, Limits(ge=0, le=1)] = 0.5
    """Fraction of the epochs after which the step size falls linearly to 0."""
