"""Null model: the brain as a constant."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from crossmod.methods.base import BACKGROUND, Batch, ClassicalMethod, Coefficients, Inputs
from crossmod.methods.brain_mean_settings import MethodSettings
from crossmod.methods.registry import register


@register("brain-mean")
class BrainMean(ClassicalMethod):
    """The mean target intensity of the training brains wherever a source has signal.

    Source: none; a control that knows where the brain is and nothing else. In whole-image
    protocols it scores surprisingly well, which every other score must be read against.

    Deviations: none.
    """

    settings: MethodSettings

    def __init__(self, settings: MethodSettings, inputs: Inputs) -> None:
        super().__init__(settings, inputs)
        self.coefficients = Coefficients(1)
        self.networks = {"coefficients": self.coefficients}

    def fit(self, batches: Iterable[Batch]) -> None:
        """Average the target over all brain pixels."""
        total, count = torch.zeros((), dtype=torch.float64), 0
        for batch in batches:
            inside = batch["target"][self.inputs.brain(batch["source"])]
            total += inside.double().sum()
            count += inside.numel()
        self.coefficients.set(total.reshape(1) / max(count, 1))

    def generate(self, source: Tensor) -> Tensor:
        """Constant inside, background outside."""
        value = self.coefficients.values
        return torch.where(self.inputs.brain(source), value, BACKGROUND)
