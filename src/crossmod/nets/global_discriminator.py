"""Discriminator that judges the whole image at once."""

from __future__ import annotations

from torch import Tensor, nn

from crossmod.nets.blocks import SLOPE, Norm, down_convolution, initialize, norm_layer

BLOCKS = 5


class GlobalDiscriminator(nn.Module):
    """Five strided convolutions and one logit for the whole image.

    Maps (B, n_in, H, W) to logits (B, 1).

    Parameters
    ----------
    n_in : int
        Channels of source and target together.
    size : int
        Height and width in pixels; below 32 there are fewer convolutions.
    width : int
        Channels of the first block, doubled in each that follows.
    norm : {"batch", "instance"}
        Normalization layers, absent from the first convolution.

    Notes
    -----
    The other reading of "five convolution blocks ... then doubled ... global receptive field" in
    the FD-GAN paper: 64 to 1024 channels, mean over the image, one linear layer.
    """

    def __init__(self, n_in: int, size: int, width: int = 64, norm: Norm = "batch") -> None:
        super().__init__()
        layers: list[nn.Module] = [down_convolution(n_in, width, bias=True), nn.LeakyReLU(SLOPE)]
        channels = width
        for block in range(1, BLOCKS):
            if size >> (block + 1) < 1:
                break
            layers.append(down_convolution(channels, 2 * channels, bias=False))
            layers += [norm_layer(norm, 2 * channels), nn.LeakyReLU(SLOPE)]
            channels *= 2
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1)]
        self.layers = nn.Sequential(*layers)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, above 0 for acquired."""
        return self.layers(x)
