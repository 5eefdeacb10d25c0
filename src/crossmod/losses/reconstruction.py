"""Losses that compare an image with its truth pixel by pixel."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over all pixels, background included.

    The background is part of it because a network's output must be background there too: the
    generator of pix2pix is trained on whole images (Isola et al., CVPR 2017, equation 3).
    """
    return functional.l1_loss(prediction, target)
