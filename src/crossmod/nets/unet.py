"""U-Net generator of pix2pix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from crossmod.errors import ConfigError
from crossmod.nets.blocks import SLOPE, Norm, Up, down_convolution, initialize, norm_layer
from crossmod.nets.blocks import up_convolution as up_conv

MAX_DEPTH = 8
MAX_WIDENING = 8  # deepest blocks have 8 times the first block's channels


@dataclass(frozen=True)
class UNetShape:
    """Shape of a U-Net.

    Attributes
    ----------
    n_in, n_out : int
        Channels of input and output.
    size : int
        Height and width in pixels; decides the depth.
    width : int
        Channels of the first block.
    norm : {"batch", "instance"}
        Normalization layers.
    up : {"transposed", "nearest"}
        Upsampling.
    dropout : float
        Dropout probability in the inner decoder blocks.
    """

    n_in: int
    n_out: int
    size: int
    width: int = 64
    norm: Norm = "batch"
    up: Up = "transposed"
    dropout: float = 0.5

    @classmethod
    def of(cls, settings: Any, n_in: int, size: int) -> UNetShape:
        """Shape of a generator of one image, from a method's settings of the same names."""
        s = settings
        return cls(n_in, 1, size, width=s.width, norm=s.norm, up=s.up, dropout=s.dropout)


def depth_of(size: int) -> int:
    """Number of exact halvings of `size`, at most 8: 256 -> 8, 96 -> 5 (bottom of 3 x 3).

    Raises
    ------
    ConfigError
        If `size` cannot be halved twice.
    """
    depth = 0
    while depth < MAX_DEPTH and size % 2 ** (depth + 1) == 0:
        depth += 1
    if depth < 2:
        problem = f"{size} px cannot be halved twice, as a U-Net does"
        raise ConfigError("slices.size", problem, "choose a multiple of 32, better a power of 2")
    return depth


class UNet(nn.Module):
    """Encoder-decoder with skip connections at every level.

    Maps (B, n_in, H, W) to (B, n_out, H, W) in [-1, 1], H and W multiples of 2**depth.

    Parameters
    ----------
    shape : UNetShape
        Sizes and options.

    Notes
    -----
    Isola, Zhu, Zhou and Efros, "Image-to-image translation with conditional adversarial
    networks", CVPR 2017, appendix 6.1: convolutions 4 x 4 with stride 2, channels
    64-128-256-512-512-512-512-512 at 256 px, LeakyReLU 0.2 down, ReLU up, dropout in the three
    innermost decoder blocks, tanh. The outermost encoder block and the innermost, which is 1 x 1
    at 256 px and would be normalized to zero, have no norm. Deviation: at smaller sizes the
    network is shallower, and dropout stays out of the four outer decoder blocks.
    """

    def __init__(self, shape: UNetShape) -> None:
        super().__init__()
        depth = depth_of(shape.size)
        channels = [shape.width * min(2**i, MAX_WIDENING) for i in range(depth)]
        self.encoder = nn.ModuleList(self._encoder_block(shape, i, channels) for i in range(depth))
        self.decoder = nn.ModuleList(
            self._decoder_block(shape, i, channels) for i in reversed(range(depth))
        )
        initialize(self)

    @staticmethod
    def _encoder_block(shape: UNetShape, level: int, channels: list[int]) -> nn.Sequential:
        outermost, innermost = level == 0, level == len(channels) - 1
        n_in = shape.n_in if outermost else channels[level - 1]
        plain = outermost or innermost
        layers: list[nn.Module] = [] if outermost else [nn.LeakyReLU(SLOPE)]
        layers.append(down_convolution(n_in, channels[level], bias=plain))
        if not plain:
            layers.append(norm_layer(shape.norm, channels[level]))
        return nn.Sequential(*layers)

    @staticmethod
    def _decoder_block(shape: UNetShape, level: int, channels: list[int]) -> nn.Sequential:
        outermost, innermost = level == 0, level == len(channels) - 1
        n_in = channels[level] if innermost else 2 * channels[level]
        if outermost:
            return nn.Sequential(
                nn.ReLU(), up_conv(n_in, shape.n_out, shape.up, bias=True), nn.Tanh()
            )
        n_out = channels[level - 1]
        layers = [
            nn.ReLU(),
            up_conv(n_in, n_out, shape.up, bias=False),
            norm_layer(shape.norm, n_out),
        ]
        if level >= 4 and level >= len(channels) - 3 and shape.dropout > 0:
            layers.append(nn.Dropout(shape.dropout))
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, n_in, H, W) to (B, n_out, H, W) in [-1, 1]."""
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        skips.pop()
        for block in self.decoder[:-1]:
            x = torch.cat([block(x), skips.pop()], dim=1)
        return self.decoder[-1](x)
