"""Responses of steerable filters, and a loss that compares them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

REACH = 3.0  # half the width of a filter, in sigmas


def basis_filters(sigma: float) -> Tensor:
    """Second derivatives of a Gaussian along xx, xy and yy.

    Parameters
    ----------
    sigma : float
        Standard deviation of the Gaussian in pixels.

    Returns
    -------
    Tensor
        (3, 1, S, S), each of zero mean; x runs along the last axis. The first has unit norm, and
        all share its scale, without which they would not steer.
    """
    radius = max(1, math.ceil(REACH * sigma))
    axis = torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    bell = torch.exp(-(x**2 + y**2) / 2)
    filters = torch.stack([(x**2 - 1) * bell, x * y * bell, (y**2 - 1) * bell])
    filters = filters - filters.mean(dim=(1, 2), keepdim=True)
    return (filters / filters[0].norm())[:, None].float()


def oriented_filters(orientations: int, sigma: float) -> Tensor:
    """Second derivatives of a Gaussian along evenly spaced directions of half a circle.

    Each is a sum of the three basis filters (Freeman and Adelson, PAMI 1991, equation 4 and table
    III, without the Hilbert pair).

    Returns
    -------
    Tensor
        (orientations, 1, S, S).
    """
    angles = torch.arange(orientations) * (math.pi / orientations)
    cosine, sine = angles.cos(), angles.sin()
    weights = torch.stack([cosine**2, 2 * cosine * sine, sine**2], dim=1)
    return torch.einsum("kb,bchw->kchw", weights, basis_filters(sigma))


def steerable_loss(prediction: Tensor, target: Tensor, filters: Tensor, delta: float) -> Tensor:
    """Huber distance between the responses of oriented filters to two images.

    Parameters
    ----------
    prediction, target : Tensor
        Images (B, 1, H, W).
    filters : Tensor
        (K, 1, S, S), as `oriented_filters` makes them, on the images' device.
    delta : float
        Where the Huber loss turns from quadratic to linear.
    """
    padding = filters.shape[-1] // 2
    responses = [
        functional.conv2d(functional.pad(image, [padding] * 4, mode="replicate"), filters)
        for image in (prediction, target)
    ]
    return functional.huber_loss(responses[0], responses[1], delta=delta)
