"""Null model: voxelwise linear regression on all sources; also the sums behind `copy-source`."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from crossmod.methods.base import BACKGROUND, Batch, ClassicalMethod, Coefficients, Inputs
from crossmod.methods.linear_regression_settings import MethodSettings
from crossmod.methods.registry import register


def least_squares(inputs: Inputs, batches: Iterable[Batch], channels: list[int]) -> Tensor:
    """Ordinary least squares of the target on some channels, over all brain pixels.

    Parameters
    ----------
    inputs : Inputs
        Tells the brain pixels.
    batches : iterable of dict
        Training slices, each seen once.
    channels : list of int
        Channels used.

    Returns
    -------
    Tensor, shape (len(channels) + 1,), float64
        One slope per channel, then the intercept.

    Notes
    -----
    Normal equations, summed in float64 over the slices, so that memory does not grow with them.
    Solved by pseudo-inverse: sources that repeat each other share their slope, and a batch
    without brain gives zeros.
    """
    count = len(channels) + 1
    gram = torch.zeros((count, count), dtype=torch.float64)
    moment = torch.zeros(count, dtype=torch.float64)
    for batch in batches:
        inside = inputs.brain(batch["source"])[:, 0]
        x = batch["source"].permute(0, 2, 3, 1)[inside][:, channels].double()
        x = torch.cat([x, x.new_ones((len(x), 1))], dim=1)
        gram += x.T @ x
        moment += x.T @ batch["target"][:, 0][inside].double()
    return torch.linalg.pinv(gram, hermitian=True) @ moment


def linear_map(inputs: Inputs, coefficients: Tensor, source: Tensor, channels: list[int]) -> Tensor:
    """Apply fitted `coefficients` inside the brain; background outside: (B, 1, H, W)."""
    slopes, intercept = coefficients[:-1].to(source), coefficients[-1].to(source)
    value = torch.einsum("bchw,c->bhw", source[:, channels], slopes)[:, None] + intercept
    return torch.where(inputs.brain(source), value, BACKGROUND)


@register("linear-regression")
class LinearRegression(ClassicalMethod):
    """Every target voxel as one linear function of all source channels at that voxel.

    Source: ordinary least squares; the strongest model that sees no neighborhood and no anatomy.
    What a network gains over it is what it made of context.

    Deviations: none; clipped to the range of the target.
    """

    settings: MethodSettings

    def __init__(self, settings: MethodSettings, inputs: Inputs) -> None:
        super().__init__(settings, inputs)
        self.channels = list(range(inputs.channels))
        self.coefficients = Coefficients(inputs.channels + 1)
        self.networks = {"coefficients": self.coefficients}

    def fit(self, batches: Iterable[Batch]) -> None:
        """Solve the normal equations."""
        values = least_squares(self.inputs, batches, self.channels)
        self.coefficients.set(values)

    def generate(self, source: Tensor) -> Tensor:
        """Linear function inside, background outside."""
        return linear_map(self.inputs, self.coefficients.values, source, self.channels)
