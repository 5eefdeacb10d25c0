"""Settings of the method `sgan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from crossmod.methods import Declaration
from crossmod.settings import Fraction, Limits, Settings

DECLARATION = Declaration(dimensionality=("2D", "2.5D"))


@dataclass(frozen=True, kw_only=True)
class MethodSettings(Settings):
    """sGAN-style synthesis.

    The paper was not at hand. Assumed, besides what says so below: two halvings and doublings
    around the residual blocks, 7 x 7 convolutions at both ends, ReLU; filters that are second
    derivatives of a Gaussian, cut at 3 sigma; a discriminator that also sees the sources, with
    batch norm; Adam; with pix2pix's values where there is a counterpart.
    """

    later: ClassVar[tuple[str, ...]] = ("discriminator", "turns")

    width: Annotated[int, Limits(ge=1, le=256)] = 64
    """Channels of the first block of the generator (assumed)."""
    discriminator_width: Annotated[int, Limits(ge=1, le=256)] | None = None
    """Channels of the first block of the discriminator; by default as many as the generator's
    (assumed)."""
    residual_blocks: Annotated[int, Limits(ge=1, le=16)] = 9
    """Residual blocks of the generator (assumed)."""
    norm: Literal["batch", "instance"] = "instance"
    """Normalization layers of the generator (assumed)."""
    up: Literal["transposed", "nearest"] = "transposed"
    """Upsampling: transposed convolutions, or nearest neighbor and a convolution, which cannot
    leave a checkerboard (assumed)."""
    discriminator: Literal["patch", "global"] = "patch"
    """PatchGAN of 70 pixels, or one logit for the whole image (assumed)."""
    discriminator_batches: Literal["separate", "joint"] = "separate"
    """Acquired and synthetic images in batches of their own, or in one with common statistics
    (assumed)."""
    adversarial: Literal["vanilla", "literal", "lsgan", "hinge"] = "vanilla"
    """Adversarial loss (assumed); `literal` is equation 4 of the FD-GAN paper as printed."""
    turns: Literal["batch", "epoch"] = "batch"
    """Discriminator and generator step at every batch, or in turns of whole epochs (assumed)."""
    orientations: Annotated[int, Limits(ge=3, le=64)] = 20
    """Number of filter directions; three already span them all (assumed)."""
    sigma: Annotated[float, Limits(gt=0, le=8)] = 1.5
    """Width of the filters in pixels (assumed)."""
    huber_delta: Annotated[float, Limits(gt=0)] = 0.1
    """Difference at which the Huber losses turn linear, on a scale of 2 (assumed)."""
    lambda_huber: Annotated[float, Limits(ge=0)] = 1000.0
    """Weight of the Huber loss of the image; in the linear part it is `delta` times L1, so that
    the default weighs as much as pix2pix's 100 (assumed)."""
    lambda_steerable: Annotated[float, Limits(ge=0)] = 1000.0
    """Weight of the Huber loss of the filter responses (assumed)."""
    lambda_adversarial: Annotated[float, Limits(ge=0)] = 1.0
    """Weight of the adversarial loss of the generator (assumed)."""
    learning_rate: Annotated[float, Limits(gt=0)] = 2e-4
    """Step size of Adam, both networks (assumed)."""
    betas: tuple[Fraction, Fraction] = (0.5, 0.999)
    """Decay rates of Adam's moments (assumed)."""
    decay_from: Annotated[float, Limits(ge=0, le=1)] = 0.5
    """Fraction of the epochs after which the step size falls linearly to 0 (assumed)."""
