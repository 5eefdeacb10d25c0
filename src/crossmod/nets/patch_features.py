"""What a voxelwise learner sees of an image: patches and the surroundings, at one resolution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Eight directions, in each the mean over a square at every distance: (distance, reach) in pixels.
RINGS = ((3, 1), (6, 2), (12, 4))
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))


def patches(images: Tensor, reach: int = 1) -> Tensor:
    """Values in a square about every pixel.

    Parameters
    ----------
    images : Tensor
        (B, C, H, W); repeated at the border.
    reach : int
        The square has an edge of `2 reach + 1` pixels.

    Returns
    -------
    Tensor
        (B, C (2 reach + 1)^2, H, W).
    """
    height, width = images.shape[-2:]
    padded = functional.pad(images, [reach] * 4, mode="replicate")
    edge = 2 * reach + 1
    return functional.unfold(padded, edge).view(len(images), -1, height, width)


def surroundings(images: Tensor) -> Tensor:
    """Means over squares around every pixel, in eight directions at growing distances.

    Returns
    -------
    Tensor
        (B, C * 24, H, W).
    """
    found = []
    for distance, reach in RINGS:
        means = functional.avg_pool2d(
            functional.pad(images, [reach] * 4, mode="replicate"), 2 * reach + 1, stride=1
        )
        padded = functional.pad(means, [distance] * 4, mode="replicate")
        height, width = images.shape[-2:]
        for dy, dx in DIRECTIONS:
            top, left = distance * (1 + dy), distance * (1 + dx)
            found.append(padded[..., top : top + height, left : left + width])
    return torch.cat(found, dim=1)
