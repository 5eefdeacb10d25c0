"""Networks of FD-GAN: what the sources share, what is specific to the target, and their union.

The names of the parts (SRE, Cat-Conv, LAF, SPE) are the paper's. What the paper leaves open follows
MUNIT (Huang, Liu, Belongie and Kautz, ECCV 2018), whose layers these are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from crossmod.errors import ConfigError
from crossmod.nets.blocks import (
    SLOPE,
    Padding,
    Up,
    check_halved_twice,
    down_convolution,
    initialize,
    residual_block,
    up_convolution,
)

Activation = Literal["leaky-relu", "relu"]
UpNorm = Literal["layer", "instance", "none"]
StyleGrowth = Literal["capped", "doubled"]
StyleHeads = Literal["joint", "separate"]
StyleStart = Literal["kaiming", "normal"]
AdaINNumbers = Literal["per-layer", "shared", "scalar"]


@dataclass(frozen=True)
class FDShape:
    """Shape of the generator.

    Attributes
    ----------
    sources : int
        Number of source modalities; each has an encoder of its own.
    channels_per_source : int
        Channels that each source brings: its slice and the neighbors.
    size : int
        Height and width in pixels, a multiple of 4.
    width : int
        Channels of the first block of every encoder; a quarter of the features' channels.
    first : int or None
        Channels of the first block of the source encoders, if they are others.
    residual_blocks : int
        Residual blocks of each encoder and of the decoder.
    grid : int
        The image is cut into `grid` x `grid` blocks for the pseudo-target (LAF).
    blend : bool
        Weights of the blocks pass over into each other instead of ending at the blocks' edges.
    fused : int
        Channels of the pseudo-target.
    style : int
        Numbers that describe what is specific to the target.
    style_width : int
        Width of the layers that turn them into scales and shifts.
    style_growth : {"capped", "doubled"}
        Channels of the style encoder: at most those of the features, or doubled at every halving.
    style_heads : {"joint", "separate"}
        Scales and shifts from the same linear layers, or each from its own.
    style_start : {"kaiming", "normal"}
        First weights of the style encoder: of He et al., ICCV 2015, or N(0, 0.02).
    adain : {"per-layer", "shared", "scalar"}
        Scales and shifts: of each layer and channel, of each channel for all layers together, or
        one of each for all channels of a layer.
    activation : {"leaky-relu", "relu"}
        After every convolution but the last.
    affine : bool
        Learned scale and shift in the encoders' instance norm.
    padding : {"reflect", "zeros"}
        Padding of the residual blocks.
    up : {"transposed", "nearest"}
        Upsampling of the decoder.
    up_norm : {"layer", "instance", "none"}
        Normalization after upsampling.
    up_blocks : {2, 3}
        Doublings of the decoder; of three, the last is averaged back to the image's size.
    """

    sources: int
    channels_per_source: int
    size: int
    width: int = 64
    first: int | None = None
    residual_blocks: int = 4
    grid: int = 2
    blend: bool = False
    fused: int = 1
    style: int = 8
    style_width: int = 256
    style_growth: StyleGrowth = "capped"
    style_heads: StyleHeads = "joint"
    style_start: StyleStart = "kaiming"
    adain: AdaINNumbers = "per-layer"
    activation: Activation = "leaky-relu"
    affine: bool = True
    padding: Padding = "reflect"
    up: Up = "transposed"
    up_norm: UpNorm = "layer"
    up_blocks: Literal[2, 3] = 2

    def __post_init__(self) -> None:
        check_halved_twice(self.size)
        if self.size % self.grid:
            problem = f"{self.size} px cannot be cut into {self.grid} equal blocks"
            raise ConfigError("laf_grid", problem, "choose a grid that divides slices.size")

    @property
    def features(self) -> int:
        """Channels of the features that encoders and decoder exchange, at a quarter of the size."""
        return 4 * self.width


class FDGenerator(nn.Module):
    """Generator of FD-GAN.

    Parameters
    ----------
    shape : FDShape
        Shape.
    """

    def __init__(self, shape: FDShape) -> None:
        super().__init__()
        features = shape.features
        self.per_source = shape.channels_per_source
        self.encoders = nn.ModuleList(source_encoder(shape) for _ in range(shape.sources))
        self.merge = nn.Sequential(
            nn.Conv2d(shape.sources * features, features, 3, padding=1),
            nn.InstanceNorm2d(features, affine=shape.affine),
            activation(shape.activation),
        )
        n_in = shape.sources * shape.channels_per_source
        self.fusion = BlockwiseFusion(n_in, shape.grid, shape.fused, blend=shape.blend)
        self.style = StyleEncoder(shape)
        self.decoder = Decoder(shape)
        initialize(self)
        self.style.start(shape.style_start)

    def forward(
        self, source: Tensor, style_of: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Image in [-1, 1] (B, 1, H, W), pseudo-target without bounds (B, fused, H, W), style.

        Parameters
        ----------
        source : Tensor
            Sources (B, C, H, W).
        style_of : Tensor, optional
            Image (B, 1, H, W) whose style is taken; by default that of the pseudo-target.

        Returns
        -------
        tuple of Tensor
            The style is scale and shift of every AdaIN layer, (layers, 2, B, features).
        """
        parts = source.split(self.per_source, dim=1)
        encoded = [encode(part) for encode, part in zip(self.encoders, parts, strict=True)]
        shared = self.merge(torch.cat(encoded, dim=1))
        pseudo_target = self.fusion(source)
        shown = pseudo_target if style_of is None else style_of.expand_as(pseudo_target)
        style = self.style(shown)
        return self.decoder(shared, style), pseudo_target, style


class BlockwiseFusion(nn.Module):
    """LAF: a pseudo-target from a 1 x 1 convolution of its own in every block of the image.

    Parameters
    ----------
    n_in : int
        Channels of the sources.
    grid : int
        Blocks along each axis; with 1 it is a plain 1 x 1 convolution.
    n_out : int
        Channels of the pseudo-target.
    blend : bool
        Weights are those of a block at its center and are interpolated bilinearly between centers,
        so that no seam shows at the edges of the blocks.
    """

    def __init__(self, n_in: int, grid: int, n_out: int = 1, *, blend: bool = False) -> None:
        super().__init__()
        self.grid, self.blend = grid, blend
        self.weight = nn.Parameter(torch.empty(n_out, n_in, grid, grid))
        self.bias = nn.Parameter(torch.zeros(n_out, grid, grid))
        nn.init.normal_(self.weight, 0.0, 0.02)

    def forward(self, source: Tensor) -> Tensor:
        """Map (B, n_in, H, W) to (B, n_out, H, W)."""
        batch, channels, height, width = source.shape
        if self.blend:
            weight, bias = (
                functional.interpolate(maps, size=(height, width), mode="bilinear")
                for maps in (self.weight, self.bias[None])
            )
            return torch.einsum("bchw,ochw->bohw", source, weight) + bias
        rows, columns = height // self.grid, width // self.grid
        blocks = source.view(batch, channels, self.grid, rows, self.grid, columns)
        fused = torch.einsum("bcgrhw,ocgh->bogrhw", blocks, self.weight)
        fused = fused + self.bias[None, :, :, None, :, None]
        return fused.reshape(batch, -1, height, width)


class StyleEncoder(nn.Module):
    """SPE: scales and shifts for the decoder's AdaIN layers from a (pseudo-)target.

    Parameters
    ----------
    shape : FDShape
        Shape of the generator.
    """

    def __init__(self, shape: FDShape) -> None:
        super().__init__()
        features = shape.features
        most = features if shape.style_growth == "capped" else 16 * shape.width
        widths = [min(shape.width * 2**level, most) for level in range(5)]
        layers: list[nn.Module] = [nn.Conv2d(shape.fused, widths[0], 7, padding=3)]
        layers.append(activation(shape.activation))
        for n_in, n_out in pairwise(widths):
            layers += [down_convolution(n_in, n_out, bias=True), activation(shape.activation)]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Conv2d(widths[-1], shape.style, 1), nn.Flatten()]
        self.describe = nn.Sequential(*layers)
        self.layers = 1 if shape.adain == "shared" else 2 * shape.residual_blocks
        self.repeats = 2 * shape.residual_blocks // self.layers
        self.features = features
        self.channels = 1 if shape.adain == "scalar" else features
        numbers = self.layers * self.channels
        if shape.style_heads == "joint":
            self.heads = nn.ModuleList([_style_head(shape, 2 * numbers)])
        else:
            self.heads = nn.ModuleList(_style_head(shape, numbers) for _ in range(2))

    def start(self, how: StyleStart) -> None:
        """Draw the first weights, for scales about 1 and shifts about 0: plain instance norm.

        No layer here is normalized. With N(0, 0.02) a signal of 2e-2 shrinks to 3e-7 in nine layers
        at width 64, to 1e-9 at width 8, and so does the gradient: the style stays the same for all
        images until a training happens to wake it. He's weights keep both sizes (MUNIT's code draws
        them, too).
        """
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                if how == "kaiming":
                    nn.init.kaiming_normal_(module.weight, SLOPE, nonlinearity="leaky_relu")
                else:
                    nn.init.normal_(module.weight, 0.0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():
            last = cast(nn.Linear, cast(nn.Sequential, self.heads[0])[-1]).bias
            last.view(self.layers, -1, self.channels)[:, 0] = 1.0

    def forward(self, target: Tensor) -> Tensor:
        """Map (B, fused, H, W) to (AdaIN layers, 2, B, features): scale and shift of each."""
        code = self.describe(target)
        found = torch.cat(
            [head(code).view(len(code), self.layers, -1, self.channels) for head in self.heads],
            dim=2,
        )
        style = found.permute(1, 2, 0, 3).repeat(self.repeats, 1, 1, 1)
        return style.expand(-1, -1, -1, self.features)


def _style_head(shape: FDShape, n_out: int) -> nn.Sequential:
    """Three linear layers from the code of a style to the numbers that set it."""
    return nn.Sequential(
        nn.Linear(shape.style, shape.style_width),
        activation(shape.activation),
        nn.Linear(shape.style_width, shape.style_width),
        activation(shape.activation),
        nn.Linear(shape.style_width, n_out),
    )


class Decoder(nn.Module):
    """Image from shared features, steered by scales and shifts.

    Parameters
    ----------
    shape : FDShape
        Shape of the generator.
    """

    def __init__(self, shape: FDShape) -> None:
        super().__init__()
        features = shape.features
        self.convolutions = nn.ModuleList(
            nn.Conv2d(features, features, 3, padding=1, padding_mode=shape.padding)
            for _ in range(2 * shape.residual_blocks)
        )
        self.activation = activation(shape.activation)
        layers: list[nn.Module] = []
        for n_in in (features, features // 2):
            layers.append(up_convolution(n_in, n_in // 2, shape.up, bias=True))
            layers += up_norm(shape.up_norm, n_in // 2)
            layers.append(activation(shape.activation))
        if shape.up_blocks == 2:
            layers.append(nn.ConvTranspose2d(shape.width, 1, 7, padding=3))
        else:
            layers += [up_convolution(shape.width, 1, shape.up, bias=True), nn.AvgPool2d(2)]
        self.up = nn.Sequential(*layers, nn.Tanh())

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Image (B, 1, H, W) in [-1, 1] from features (B, C, H/4, W/4)."""
        for block in range(0, len(self.convolutions), 2):
            x = features
            for place, convolve in enumerate(self.convolutions[block : block + 2]):
                x = adain(convolve(x), *style[block + place])
                x = self.activation(x) if place == 0 else x
            features = features + x
        return self.up(features)


def source_encoder(shape: FDShape) -> nn.Sequential:
    """SRE: features (B, 4 width, H/4, W/4) of one source (B, channels_per_source, H, W)."""
    widths = (shape.first or shape.width, 2 * shape.width, shape.features)
    layers: list[nn.Module] = [nn.Conv2d(shape.channels_per_source, widths[0], 7, padding=3)]
    layers += [nn.InstanceNorm2d(widths[0], affine=shape.affine), activation(shape.activation)]
    for n_in, n_out in pairwise(widths):
        layers.append(down_convolution(n_in, n_out, bias=True))
        layers.append(nn.InstanceNorm2d(n_out, affine=shape.affine))
        layers.append(activation(shape.activation))
    norm = partial(nn.InstanceNorm2d, affine=shape.affine)
    layers += [
        residual_block(shape.features, norm, activation(shape.activation), shape.padding)
        for _ in range(shape.residual_blocks)
    ]
    return nn.Sequential(*layers)


def adain(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Give every channel a new spread and mean (Huang and Belongie, ICCV 2017, equation 8).

    Parameters
    ----------
    x : Tensor
        Features (B, C, H, W).
    scale, shift : Tensor
        Standard deviation and mean of each channel afterwards, (B, C).
    """
    return functional.instance_norm(x) * scale[:, :, None, None] + shift[:, :, None, None]


def activation(kind: Activation) -> nn.Module:
    """Activation layer."""
    return nn.LeakyReLU(SLOPE) if kind == "leaky-relu" else nn.ReLU()


def up_norm(kind: UpNorm, channels: int) -> list[nn.Module]:
    """Normalization after upsampling.

    `layer` normalizes over all channels together; instance norm would erase the very means and
    spreads that AdaIN has just set.
    """
    layers: dict[str, list[nn.Module]] = {
        "layer": [nn.GroupNorm(1, channels)],
        "instance": [nn.InstanceNorm2d(channels, affine=True)],
        "none": [],
    }
    return layers[kind]
