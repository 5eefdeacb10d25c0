"""Adversarial losses on logits, averaged over batch and patches."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

Adversarial = Literal["vanilla", "literal", "lsgan", "hinge"]


def discriminator_loss(kind: Adversarial, logits: Tensor, *, acquired: bool) -> Tensor:
    """Loss of a discriminator on acquired or on synthetic images.

    Parameters
    ----------
    kind : {"vanilla", "literal", "lsgan", "hinge"}
        Binary cross-entropy (Goodfellow et al., NeurIPS 2014), the same as the FD-GAN paper prints
        it in equation 4 (log D of a synthetic image, which has no lower bound), least squares (Mao
        et al., ICCV 2017, a = 0, b = c = 1, without the factor 1/2), or hinge (Lim and Ye, arXiv
        1705.02894).
    logits : Tensor
        Output of the discriminator before any sigmoid.
    acquired : bool
        Whether the images it saw were acquired.
    """
    if kind == "hinge":
        return functional.relu(1 - logits if acquired else 1 + logits).mean()
    if kind == "literal" and not acquired:
        return functional.logsigmoid(logits).mean()
    return _distance(kind, logits, float(acquired))


def generator_loss(kind: Adversarial, logits: Tensor) -> Tensor:
    """Loss of a generator whose images got `logits`; `vanilla` and `literal` do not saturate."""
    if kind == "hinge":
        return -logits.mean()
    return _distance(kind, logits, 1.0)


def _distance(kind: Adversarial, logits: Tensor, label: float) -> Tensor:
    labels = logits.new_full(logits.shape, label)
    if kind in ("vanilla", "literal"):
        return functional.binary_cross_entropy_with_logits(logits, labels)
    return functional.mse_loss(logits, labels)
