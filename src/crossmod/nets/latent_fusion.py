"""Networks of MILR: every modality's own way into one latent space, and the way out."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from crossmod.nets.blocks import SLOPE, check_halved_twice

Fusion = Literal["max", "mean", "mean-variance"]
LEVELS = 2  # halvings of an encoder


class LatentFusionNet(nn.Module):
    """Encoders to a latent space at full resolution, voxelwise fusion, one decoder.

    Parameters
    ----------
    sources : int
        Number of source modalities.
    channels_per_source : int
        Channels that each brings: its slice and the neighbors.
    size : int
        Height and width in pixels, a multiple of 4.
    width : int
        Channels of the first encoder level and of the decoder.
    latent : int
        Channels of the latent space.
    fusion : {"max", "mean", "mean-variance"}
        How embeddings of several sources become one.

    Raises
    ------
    ConfigError
        If `size` cannot be halved twice.

    Notes
    -----
    Images inside are shifted to [0, 2], so that the background is 0 as in the paper. Its last
    ReLU is left to the caller, who needs the values before it to learn from them.
    """

    def __init__(
        self, sources: int, channels_per_source: int, size: int, *, width: int, latent: int,
        fusion: Fusion,
    ) -> None:  # fmt: skip
        super().__init__()
        check_halved_twice(size)
        self.per_source = channels_per_source
        self.fusion = fusion
        self.encoders = nn.ModuleList(
            Encoder(channels_per_source, width, latent) for _ in range(sources)
        )
        self.decoder = Decoder(latent * (2 if fusion == "mean-variance" else 1), width)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, SLOPE)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image of all available sources together, of each alone, and how far they disagree.

        Parameters
        ----------
        source : Tensor
            Sources (B, C, H, W) in [-1, 1]. One that is background everywhere counts as missing.

        Returns
        -------
        image : Tensor
            From the fused embedding, (B, 1, H, W), not rectified: below -1 is background.
        alone : Tensor
            From each source's own embedding, (B, sources, H, W); that of a missing one is
            the fused image.
        disagreement : Tensor
            Mean variance of the embeddings of the available sources, a scalar.
        """
        embedded, available = self._embed(source)
        image = self.decoder(fuse(embedded, available, self.fusion))
        alone = [
            torch.where(present[:, None, None, None], self._alone(embedded[:, place]), image)
            for place, present in enumerate(available.unbind(dim=1))
        ]
        _, variance = moments(embedded, available)
        return image - 1, torch.cat(alone, dim=1) - 1, variance.mean()

    def fused(self, source: Tensor) -> Tensor:
        """The first of what `forward` returns, without the work for the others."""
        image: Tensor = self.decoder(fuse(*self._embed(source), self.fusion))
        return image - 1

    def _embed(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, sources, C, H, W), and which of them count, bool (B, sources)."""
        parts = source.split(self.per_source, dim=1)
        embedded = torch.stack(
            [encode(part + 1) for encode, part in zip(self.encoders, parts, strict=True)], dim=1
        )
        available = torch.stack([(part > -1).flatten(1).any(dim=1) for part in parts], dim=1)
        # Where nothing is there, as in an empty slice, every embedding says the same: none.
        return embedded, available | ~available.any(dim=1, keepdim=True)

    def _alone(self, embedded: Tensor) -> Tensor:
        one = torch.ones(len(embedded), 1, dtype=torch.bool, device=embedded.device)
        return self.decoder(fuse(embedded[:, None], one, self.fusion))


def fuse(embedded: Tensor, available: Tensor, fusion: Fusion) -> Tensor:
    """One embedding of those that are available.

    Parameters
    ----------
    embedded : Tensor
        Embeddings (B, sources, C, H, W).
    available : Tensor
        Which of them count, bool (B, sources), at least one of each row.
    fusion : {"max", "mean", "mean-variance"}
        `mean-variance` (Havaei et al., HeMIS, MICCAI 2016) doubles the channels.

    Returns
    -------
    Tensor
        (B, C, H, W), or (B, 2 C, H, W).
    """
    if fusion == "max":
        lowest = torch.finfo(embedded.dtype).min
        return embedded.masked_fill(~available[:, :, None, None, None], lowest).amax(dim=1)
    mean, variance = moments(embedded, available)
    return mean if fusion == "mean" else torch.cat([mean, variance], dim=1)


def moments(embedded: Tensor, available: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance over the available embeddings, each (B, C, H, W)."""
    weights = available[:, :, None, None, None].to(embedded.dtype)
    count = weights.sum(dim=1)
    mean = (embedded * weights).sum(dim=1) / count
    squares = (embedded - mean[:, None]).square() * weights
    return mean, squares.sum(dim=1) / count


class Encoder(nn.Module):
    """Small U-Net from one modality (B, n_in, H, W) to its embedding (B, latent, H, W).

    Parameters
    ----------
    n_in : int
        Channels of the modality.
    width : int
        Channels of the first level, doubled at each of the two halvings.
    latent : int
        Channels of the embedding.
    """

    def __init__(self, n_in: int, width: int, latent: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(LEVELS + 1)]
        self.down = nn.ModuleList(
            double_convolution(n, w) for n, w in zip([n_in, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(double_convolution(3 * w, w) for w in reversed(widths[:-1]))
        self.last = nn.Sequential(nn.Conv2d(width, latent, 3, padding=1), nn.LeakyReLU(SLOPE))

    def forward(self, x: Tensor) -> Tensor:
        """Embedding at full resolution."""
        skips = []
        for level, convolve in enumerate(self.down):
            x = convolve(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for convolve, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = convolve(torch.cat([x, skip], dim=1))
        return self.last(x)


class Decoder(nn.Module):
    """Four convolutions with two concatenating skips: (B, n_in, H, W) -> (B, 1, H, W).

    Parameters
    ----------
    n_in : int
        Channels of the fused embedding.
    width : int
        Channels of every convolution.
    """

    def __init__(self, n_in: int, width: int) -> None:
        super().__init__()
        self.first = double_convolution(n_in, width, slope=0.0)
        self.second = double_convolution(n_in + width, width, slope=0.0)
        self.last = nn.Conv2d(2 * width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Image with background 0 or below."""
        first = self.first(x)
        second = self.second(torch.cat([x, first], dim=1))
        return self.last(torch.cat([first, second], dim=1))


def double_convolution(n_in: int, n_out: int, slope: float = SLOPE) -> nn.Sequential:
    """Two 3 x 3 convolutions, each with a (leaky) ReLU."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1),
        nn.LeakyReLU(slope),
        nn.Conv2d(n_out, n_out, 3, padding=1),
        nn.LeakyReLU(slope),
    )
