"""Null model: a source with its intensities fitted to the target's."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from crossmod.errors import ConfigError
from crossmod.methods.base import Batch, ClassicalMethod, Coefficients, Inputs
from crossmod.methods.copy_source_settings import MethodSettings
from crossmod.methods.linear_regression import least_squares, linear_map
from crossmod.methods.registry import register


@register("copy-source")
class CopySource(ClassicalMethod):
    """One source, its intensities mapped by the best line a * x + b.

    Source: none; a control that has the anatomy of the right subject and one line of contrast.

    Deviations: none; a may be negative, which turns a T1w into something like a T2w.
    """

    settings: MethodSettings

    def __init__(self, settings: MethodSettings, inputs: Inputs) -> None:
        super().__init__(settings, inputs)
        source = settings.source or inputs.sources[0]
        if source not in inputs.sources:
            problem = f"{source} is no source of the task ({', '.join(inputs.sources)})"
            raise ConfigError("models: copy-source: source", problem, "name one of them or null")
        self.channels = [inputs.center(inputs.sources.index(source))]
        self.coefficients = Coefficients(2)
        self.networks = {"coefficients": self.coefficients}

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the line."""
        values = least_squares(self.inputs, batches, self.channels)
        self.coefficients.set(values)

    def generate(self, source: Tensor) -> Tensor:
        """Mapped source inside, background outside."""
        return linear_map(self.inputs, self.coefficients.values, source, self.channels)
