"""Settings of the method `fd-gan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from crossmod.methods import Declaration
from crossmod.settings import Fraction, Limits, Settings

DECLARATION = Declaration(dimensionality=("2D", "2.5D"))


@dataclass(frozen=True, kw_only=True)
class MethodSettings(Settings):
    """FD-GAN. What the paper says is the default; where it is silent, MUNIT's value is."""

    width: Annotated[int, Limits(ge=1, le=256)] = 64
    """Channels of the first block of every encoder."""
    # Only the 256 channels at the end are given; 64-128-256 doubles at each halving, as MUNIT does.
    first_width: Annotated[int, Limits(ge=1, le=256)] | None = None
    """Channels of the first block of the source encoders (SRE), if not `width`; the next two have
    2 and 4 times `width`."""
    discriminator_width: Annotated[int, Limits(ge=1, le=256)] | None = None
    """Channels of the first block of the discriminator; by default as many as the generator's."""
    residual_blocks: Annotated[int, Limits(ge=1, le=16)] = 4
    """Residual blocks of each encoder and of the decoder."""
    laf_grid: Literal[1, 2, 4, 8, 16] = 2
    """Blocks along each axis for the pseudo-target (LAF); 1 is a plain 1 x 1 convolution."""
    # The text's "2 channels" are read as the two sources; the loss compares with one target.
    laf_channels: Literal[1, 2] = 1
    """Channels of the pseudo-target; both of two are compared with the target."""
    # The paper leaves seams; nothing but the style encoder sees them.
    laf_seams: Literal["leave", "blend"] = "leave"
    """Whether the weights of blocks end at the blocks' edges or pass over into each other."""
    style: Annotated[int, Limits(ge=1)] = 8
    """Numbers that the style encoder (SPE) reduces the pseudo-target to."""
    style_width: Annotated[int, Limits(ge=1)] = 256
    """Width of the linear layers from these numbers to scales and shifts."""
    style_growth: Literal["capped", "doubled"] = "capped"
    """Channels of the style encoder: `width` x 1, 2, 4, 4, 4 as in MUNIT, or x 1, 2, 4, 8, 16."""
    style_heads: Literal["joint", "separate"] = "joint"
    """Scales and shifts from the same three linear layers, or each from three of its own."""
    # Not in the paper. With N(0, 0.02) as elsewhere signal and gradient of this network without
    # normalization shrink 1e5fold at full width, more at less: the style may never take part. MUNIT
    # draws He's, too.
    style_start: Literal["kaiming", "normal"] = "kaiming"
    """First weights of the style encoder and its linear layers."""
    # Equation 2 of the paper is per channel; MUNIT gives every layer its own.
    adain: Literal["per-layer", "shared", "scalar"] = "per-layer"
    """Scales and shifts of every layer and channel (4096 numbers at full width), of every channel
    for all layers (512), or one of each per layer for all its channels (16)."""
    # Using the target in training would leave a gap to synthesis, where there is none.
    style_from: Literal["pseudo-target", "target"] = "pseudo-target"
    """What the style encoder sees in training; at synthesis it is always the pseudo-target."""
    # Section II.D says leaky ReLU 0.2 in each layer; the figure of a block says ReLU.
    activation: Literal["leaky-relu", "relu"] = "leaky-relu"
    """Activation after every convolution."""
    # Equation 1 has learned scale and shift.
    affine: bool = True
    """Learned scale and shift in the instance norm of the encoders."""
    padding: Literal["reflect", "zeros"] = "reflect"
    """Padding of the residual blocks."""
    up: Literal["transposed", "nearest"] = "transposed"
    """Upsampling: transposed convolutions, or nearest neighbor and a convolution, which cannot
    leave a checkerboard."""
    # Instance norm would erase the means and spreads that AdaIN has just set.
    up_norm: Literal["layer", "instance", "none"] = "layer"
    """Normalization after upsampling."""
    # Three doublings would not give the size back; MUNIT has two, and a last layer of 7 x 7.
    up_blocks: Literal[2, 3] = 2
    """Doublings of the decoder; the last of three is averaged back to the image's size."""
    # The paper compares with pix2pix as differing "in the generator" alone: same discriminator.
    discriminator: Literal["patch", "global"] = "patch"
    """PatchGAN of 70 pixels, or one logit for the whole image."""
    # Separate statistics are pix2pix's way; they let the discriminator see which batch it is given.
    discriminator_batches: Literal["separate", "joint"] = "separate"
    """Acquired and synthetic images in batches of their own, or in one with common statistics."""
    # As printed, equation 4 gives the discriminator a term without lower bound.
    adversarial: Literal["vanilla", "literal", "lsgan", "hinge"] = "vanilla"
    """Adversarial loss; the generator's is the non-saturating one. `literal` is equation 4 as
    printed."""
    # The text can be read as whole epochs; then neither has an opponent that moves.
    turns: Literal["batch", "epoch"] = "batch"
    """Discriminator and generator step at every batch, or in turns of whole epochs."""
    # The paper's 0.1 is read in two ways that differ by the number of pixels: the mean drowns
    # in the adversarial loss, the sum drowns that. The reference keeps pix2pix's balance.
    l1_weight: Literal["reference", "paper-mean", "paper-sum"] = "reference"
    """Weight of both L1 losses: 100 x mean, 0.1 x mean, or 0.1 x sum over the pixels."""
    lambda_l1: Annotated[float, Limits(ge=0)] | None = None
    """Weight of the L1 loss of the image (mean); by default `l1_weight` decides."""
    lambda_laf: Annotated[float, Limits(ge=0)] | None = None
    """Weight of the L1 loss of the pseudo-target (mean); by default `l1_weight` decides."""
    lambda_adversarial: Annotated[float, Limits(ge=0)] = 1.0
    """Weight of the adversarial loss of the generator."""
    learning_rate: Annotated[float, Limits(gt=0)] = 2e-4
    """Step size of Adam, both networks."""
    betas: tuple[Fraction, Fraction] = (0.5, 0.999)
    """Decay rates of Adam's moments."""
    decay_from: Annotated[float, Limits(ge=0, le=1)] = 0.5
    """Fraction of the epochs after which the step size falls linearly to 0."""
