"""What a model costs, counted without computing anything."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from crossmod.methods.base import GradientMethod, Inputs
from crossmod.methods.registry import build


def cost(model: dict[str, Any], sources: int, size: int) -> dict[str, int]:
    """Parameters and floating-point operations of a model.

    Parameters
    ----------
    model : dict
        `method`, `settings`, `training` as `Study.settings_of` gives them.
    sources : int
        Number of source modalities.
    size : int
        Height and width in pixels.

    Returns
    -------
    dict
        `parameters`: of all networks, or fitted coefficients. `flops_per_slice`: convolutions and
        matrix products of one synthesis, a multiply-add counted as two. `flops_per_training_slice`:
        the same for a training step, all networks, forward and backward; 0 if fitted at once.

    Notes
    -----
    Tensors live on torch's `meta` device, which has shapes but no memory.
    """
    inputs = Inputs(_names(model, sources), model.get("training", {}).get("context", 0), size)
    with torch.device("meta"):
        method = build(model["method"], model["settings"], inputs)
        source = torch.zeros(1, inputs.channels, size, size)
        target = torch.zeros(1, 1, size, size)
    networks = method.networks.values()
    tensors: list[Tensor] = [t for network in networks for t in network.parameters()]
    if not tensors:
        tensors = [t for network in networks for t in network.buffers()]
    training = 0
    if isinstance(method, GradientMethod):
        training = _training_flops(method, {"source": source, "target": target})
    # A forest's work depends on its data: `meta` cannot follow, and nothing is counted.
    with FlopCounterMode(display=False) as counter, suppress(NotImplementedError):
        method.synthesize(source)
    return {
        "parameters": sum(tensor.numel() for tensor in tensors),
        "flops_per_slice": int(counter.get_total_flops()),
        "flops_per_training_slice": training,
    }


def _names(model: dict[str, Any], sources: int) -> tuple[str, ...]:
    """Stand-ins for the sources; the one that the settings name must be among them."""
    named = model["settings"].get("source")
    return tuple(named if named and i == 0 else f"source-{i}" for i in range(sources))


def _training_flops(method: GradientMethod, batch: dict[str, Tensor]) -> int:
    class NoStep:
        """Stands for an optimizer: steps cost next to nothing, building one costs seconds."""

        def zero_grad(self) -> None: ...

        def step(self) -> None: ...

    method.optimizers = {name: NoStep() for name in method.networks}  # type: ignore[misc]
    with FlopCounterMode(display=False) as counter:
        method.training_step(batch)
    return int(counter.get_total_flops())
