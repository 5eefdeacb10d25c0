"""Settings of the method `pix2pix`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from crossmod.methods import Declaration
from crossmod.settings import Fraction, Limits, Settings

DECLARATION = Declaration(dimensionality=("2D", "2.5D"))


@dataclass(frozen=True, kw_only=True)
class MethodSettings(Settings):
    """pix2pix with the paper's values (Isola et al., CVPR 2017) as defaults."""

    later: ClassVar[tuple[str, ...]] = ("discriminator", "turns")

    width: Annotated[int, Limits(ge=1, le=256)] = 64
    """Channels of the first block of the generator."""
    discriminator_width: Annotated[int, Limits(ge=1, le=256)] | None = None
    """Channels of the first block of the discriminator; by default as many as the generator's."""
    norm: Literal["batch", "instance"] = "batch"
    """Normalization layers of the generator; with few slices per batch, `instance` is safer,
    because batch statistics then differ from the running statistics used at synthesis."""
    up: Literal["transposed", "nearest"] = "transposed"
    """Upsampling: transposed convolutions, or nearest neighbor and a convolution, which cannot
    leave a checkerboard."""
    dropout: Fraction = 0.5
    """Dropout in up to three inner decoder blocks; the paper's only source of noise."""
    # Here, in `adversarial` and in `turns` the other readings of the FD-GAN paper, so that the two
    # methods can be compared at each.
    discriminator: Literal["patch", "global"] = "patch"
    """PatchGAN of 70 pixels, or one logit for the whole image."""
    # Separate statistics are pix2pix's way; they let the discriminator see which batch it is given.
    discriminator_batches: Literal["separate", "joint"] = "separate"
    """Acquired and synthetic images in batches of their own, or in one with common statistics."""
    adversarial: Literal["vanilla", "literal", "lsgan", "hinge"] = "vanilla"
    """Adversarial loss; `literal` is equation 4 of the FD-GAN paper as printed."""
    turns: Literal["batch", "epoch"] = "batch"
    """Discriminator and generator step at every batch, or in turns of whole epochs."""
    # The other two are the FD-GAN paper's, so that it can be compared with at each.
    l1_weight: Literal["reference", "paper-mean", "paper-sum"] = "reference"
    """Weight of the L1 loss: 100 x mean (the paper's), 0.1 x mean, or 0.1 x sum over the pixels."""
    lambda_l1: Annotated[float, Limits(ge=0)] | None = None
    """Weight of the L1 loss (mean); by default `l1_weight` decides."""
    lambda_adversarial: Annotated[float, Limits(ge=0)] = 1.0
    """Weight of the adversarial loss of the generator."""
    learning_rate: Annotated[float, Limits(gt=0)] = 2e-4
    """Step size of Adam, both networks."""
    betas: tuple[Fraction, Fraction] = (0.5, 0.999)
    """Decay rates of Adam's moments."""
    # The paper's schedule is 100 epochs constant, 100 falling (its code's default).
    decay_from: Annotated[float, Limits(ge=0, le=1)] = 0.5
    """Fraction of the epochs after which the step size falls linearly to 0."""
