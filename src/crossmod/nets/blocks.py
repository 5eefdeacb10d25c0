"""Building blocks shared by the networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from crossmod.errors import ConfigError

Norm = Literal["batch", "instance"]
Up = Literal["transposed", "nearest"]
Padding = Literal["reflect", "zeros"]

SLOPE = 0.2  # LeakyReLU (Isola et al., CVPR 2017, appendix)


def norm_layer(kind: Norm, channels: int) -> nn.Module:
    """Normalization with learned scale and shift.

    `instance` keeps no running statistics: it computes the same in training and evaluation.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels, affine=True)


def down_convolution(n_in: int, n_out: int, stride: int = 2, *, bias: bool) -> nn.Conv2d:
    """Convolution of size 4: (B, n_in, H, W) -> (B, n_out, H/2, W/2) for stride 2."""
    return nn.Conv2d(n_in, n_out, kernel_size=4, stride=stride, padding=1, bias=bias)


def up_convolution(n_in: int, n_out: int, up: Up, *, bias: bool) -> nn.Module:
    """Doubling of height and width: (B, n_in, H, W) -> (B, n_out, 2H, 2W).

    `transposed` is the paper's; `nearest` repeats pixels and convolves them, so that every output
    pixel is made by the same weights (Odena, Dumoulin and Olah, Distill 2016, on checkerboards).
    """
    if up == "transposed":
        return nn.ConvTranspose2d(n_in, n_out, kernel_size=4, stride=2, padding=1, bias=bias)
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=bias),
    )


class Residual(nn.Module):
    """Layers that are added to their input, whose shape they keep."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + self.layers(x)


def residual_block(
    channels: int,
    norm: Callable[[int], nn.Module],
    activation: nn.Module,
    padding: Padding = "reflect",
) -> Residual:
    """Two 3 x 3 convolutions, each with a new layer of `norm`, added to their input."""

    def layers() -> tuple[nn.Module, nn.Module]:
        convolution = nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding)
        return convolution, norm(channels)

    return Residual(*layers(), activation, *layers())


def check_halved_twice(size: int) -> None:
    """Refuse slices that encoders with two halvings cannot give back in their own size.

    Raises
    ------
    ConfigError
        If `size` cannot be halved twice.
    """
    if size % 4:
        problem = f"{size} px cannot be halved twice, as the encoders do"
        raise ConfigError("slices.size", problem, "choose a multiple of 4")


def initialize(network: nn.Module) -> None:
    """Draw weights as pix2pix does: N(0, 0.02) for convolutions, N(1, 0.02) for scales, 0 else."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
