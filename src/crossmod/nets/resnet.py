"""Residual encoder-decoder."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from crossmod.nets.blocks import (
    Norm,
    Up,
    check_halved_twice,
    initialize,
    norm_layer,
    residual_block,
    up_convolution,
)


class ResNetGenerator(nn.Module):
    """Two halvings, residual blocks, two doublings: (B, n_in, H, W) -> (B, 1, H, W) in [-1, 1].

    Parameters
    ----------
    n_in : int
        Channels of the input.
    size : int
        Height and width in pixels, a multiple of 4.
    width : int
        Channels of the first block.
    blocks : int
        Residual blocks.
    norm : {"batch", "instance"}
        Normalization layers.
    up : {"transposed", "nearest"}
        Upsampling.

    Raises
    ------
    ConfigError
        If `size` cannot be halved twice.

    Notes
    -----
    Johnson, Alahi and Fei-Fei, ECCV 2016, with the reflection padding of Zhu et al., ICCV 2017.
    """

    def __init__(
        self, n_in: int, size: int, *, width: int = 64, blocks: int = 9, norm: Norm, up: Up
    ) -> None:
        super().__init__()
        check_halved_twice(size)
        layers: list[nn.Module] = [
            nn.Conv2d(n_in, width, 7, padding=3, padding_mode="reflect"),
            norm_layer(norm, width),
            nn.ReLU(),
        ]
        for channels in (width, 2 * width):
            layers.append(nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1))
            layers += [norm_layer(norm, 2 * channels), nn.ReLU()]
        layers += [
            residual_block(4 * width, partial(norm_layer, norm), nn.ReLU()) for _ in range(blocks)
        ]
        for channels in (4 * width, 2 * width):
            layers.append(up_convolution(channels, channels // 2, up, bias=True))
            layers += [norm_layer(norm, channels // 2), nn.ReLU()]
        layers += [nn.Conv2d(width, 1, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Image in [-1, 1]."""
        return self.layers(x)
