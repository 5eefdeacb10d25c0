"""Losses that compare an image with its truth pixel by pixel."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

L1Weight = Literal["reference", "paper-mean", "paper-sum"]
PAPER_WEIGHT = 0.1  # lambda_1 and lambda_2 of the FD-GAN paper, equation 5
REFERENCE_WEIGHT = 100.0  # of pix2pix, whose balance with the adversarial loss is known to train


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over all pixels, background included.

    The background is part of it because a network's output must be background there too: the
    generator of pix2pix is trained on whole images (Isola et al., CVPR 2017, equation 3).
    """
    return functional.l1_loss(prediction, target)


def l1_weight(preset: L1Weight, size: int) -> float:
    """Weight of the mean L1 loss beside an adversarial loss of weight 1.

    Parameters
    ----------
    preset : {"reference", "paper-mean", "paper-sum"}
        pix2pix's 100, or the FD-GAN paper's 0.1 of the mean or of the sum over the pixels.
    size : int
        Height and width of the images in pixels.
    """
    factors = {"reference": REFERENCE_WEIGHT, "paper-mean": PAPER_WEIGHT}
    return factors.get(preset, PAPER_WEIGHT * size**2)
