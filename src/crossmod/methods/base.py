"""What every synthesis method is: networks, a way to learn, a way to synthesize."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Batch = dict[str, Tensor]
BACKGROUND = -1.0


@dataclass(frozen=True)
class Inputs:
    """What a method is built for.

    Attributes
    ----------
    sources : tuple of str
        Modalities in channel order.
    context : int
        Neighboring slices on each side of a source's own slice.
    size : int
        Height and width in pixels.
    """

    sources: tuple[str, ...]
    context: int
    size: int

    @property
    def channels(self) -> int:
        """Channels of a source tensor, ordered source by source, slice below to slice above."""
        return len(self.sources) * (2 * self.context + 1)

    def center(self, index: int) -> int:
        """Channel of source number `index`, of the slice that is synthesized itself."""
        return index * (2 * self.context + 1) + self.context

    def brain(self, source: Tensor) -> Tensor:
        """Pixels (B, 1, H, W) where any source has signal, judged on the slice itself."""
        centers = source[:, self.context :: 2 * self.context + 1]
        return (centers > BACKGROUND).any(dim=1, keepdim=True)


class Method(ABC):
    """Base of all methods.

    Tensors are (B, C, H, W) in [-1, 1], background -1.

    Parameters
    ----------
    settings : Settings
        The method's own settings.
    inputs : Inputs
        What it is built for.

    Attributes
    ----------
    networks : dict of str to nn.Module
        Everything that is learned; their state is the checkpoint. While training, these are the
        networks as Lightning Fabric wrapped them.
    """

    def __init__(self, settings: Any, inputs: Inputs) -> None:
        self.settings, self.inputs = settings, inputs
        self.networks: dict[str, nn.Module] = {}

    @abstractmethod
    def generate(self, source: Tensor) -> Tensor:
        """Target (B, 1, H, W) from `source` (B, C, H, W), networks as they are."""

    @torch.no_grad()
    def synthesize(self, source: Tensor) -> Tensor:
        """Target from source, in evaluation mode and full precision; changes nothing.

        The one path by which images are made, in validation as in use.
        """
        modes = {name: network.training for name, network in self.networks.items()}
        for network in self.networks.values():
            network.eval()
        try:
            return self.generate(source).float().clamp(-1, 1)
        finally:
            for name, network in self.networks.items():
                network.train(modes[name])

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Weights by network and name."""
        return {name: network.state_dict() for name, network in self.networks.items()}

    def load_state_dict(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Take weights; `KeyError` or `RuntimeError` if they do not fit."""
        for name, network in self.networks.items():
            network.load_state_dict(state[name])


class GradientMethod(Method):
    """A method that learns by steps.

    Attributes
    ----------
    optimizers : dict of str to Optimizer
        Keyed like the network they step; empty until the loop has made them.
    backward : callable
        Set by the loop to Fabric's, which scales losses and averages gradients.
    curves : tuple of str
        Names of the losses that `training_step` returns.
    """

    curves: ClassVar[tuple[str, ...]]

    def __init__(self, settings: Any, inputs: Inputs) -> None:
        super().__init__(settings, inputs)
        self.optimizers: dict[str, Optimizer] = {}
        self.backward: Callable[[Tensor], None] = Tensor.backward

    @abstractmethod
    def make_optimizers(self) -> dict[str, Optimizer]:
        """New optimizers, keyed like the networks.

        Apart from the constructor, because an optimizer costs seconds of imports (torch 2.13
        loads its compiler for the first one) that synthesis need not pay.
        """

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step on `batch` (source (B, C, H, W), target (B, 1, H, W)): detached losses."""

    def begin_epoch(self, epoch: int) -> None:
        """Prepare for `epoch` (from 0); most methods need not."""

    def learning_rate_factor(self, epoch: int, epochs: int) -> float:
        """Factor on the step size in `epoch` (from 0): 1, then falling linearly, never 0.

        Constant up to the fraction `decay_from` of all epochs; the schedule of pix2pix.
        """
        start = round(self.settings.decay_from * epochs)
        return min(1.0, (epochs - epoch) / (epochs - start + 1))


class ClassicalMethod(Method):
    """A method that is fitted once, by passing over the slices."""

    @abstractmethod
    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit to `batches`, each seen once; keep sums only, so that memory stays flat."""


class Coefficients(nn.Module):
    """Coefficients of a classical method, kept like the weights of a network.

    Parameters
    ----------
    count : int
        Number of coefficients, float32, zero until fitted.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.values: Tensor
        self.register_buffer("values", torch.zeros(count))

    def set(self, values: Tensor) -> None:
        """Take fitted values, shape (count,)."""
        self.values = values.to(self.values)


def plain(network: nn.Module) -> nn.Module:
    """The network itself where Fabric wrapped it: no autocast, no communication."""
    inner = getattr(network, "module", network)
    return inner if isinstance(inner, nn.Module) else network
