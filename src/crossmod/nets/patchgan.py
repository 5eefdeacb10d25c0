"""PatchGAN discriminator of pix2pix."""

from __future__ import annotations

from torch import Tensor, nn

from crossmod.nets.blocks import SLOPE, Norm, down_convolution, initialize, norm_layer

STRIDED = 3  # convolutions of stride 2: with them a logit sees 70 x 70 pixels


class PatchGAN(nn.Module):
    """Discriminator that judges overlapping patches of 70 x 70 pixels.

    Maps (B, n_in, H, W) to logits (B, 1, H/8 - 2, W/8 - 2); 30 x 30 of them at 256 px.

    Parameters
    ----------
    n_in : int
        Channels of source and target together.
    size : int
        Height and width in pixels, at least 12.
    width : int
        Channels of the first block.
    norm : {"batch", "instance"}
        Normalization layers, absent from the first and last convolution.

    Notes
    -----
    Isola et al., CVPR 2017, appendix 6.1.2: C64-C128-C256-C512 and a convolution to one channel,
    all 4 x 4, strides 2, 2, 2, 1, 1, LeakyReLU 0.2; the sigmoid is part of the loss. Deviation:
    below 24 px there are fewer strided convolutions, since no patch of 70 px would fit.
    """

    def __init__(self, n_in: int, size: int, width: int = 64, norm: Norm = "batch") -> None:
        super().__init__()
        strided = STRIDED
        while strided > 1 and size >> strided < 3:
            strided -= 1
        layers: list[nn.Module] = [down_convolution(n_in, width, bias=True), nn.LeakyReLU(SLOPE)]
        channels = width
        for i in range(1, strided + 1):
            stride = 2 if i < strided else 1
            wider = width * 2**i
            layers += [
                down_convolution(channels, wider, stride, bias=False),
                norm_layer(norm, wider),
                nn.LeakyReLU(SLOPE),
            ]
            channels = wider
        layers.append(down_convolution(channels, 1, stride=1, bias=True))
        self.layers = nn.Sequential(*layers)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, above 0 for acquired."""
        return self.layers(x)
