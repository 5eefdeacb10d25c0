"""Resume state: what a training needs to go on after it was killed."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from crossmod.errors import ContractError
from crossmod.methods.base import GradientMethod
from crossmod.training import checkpoint
from crossmod.training.curve import Row

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STATE = "state.pt"


@dataclass
class Progress:
    """How far a training has come.

    Attributes
    ----------
    epochs_done : int
        Complete epochs.
    rows : list of tuple
        Curve so far; the loop's curve appends to this very list.
    best_psnr, best_epoch, best_weights
        Best validation so far and its weights, where they will be kept.
    """

    epochs_done: int = 0
    rows: list[Row] = field(default_factory=list)
    best_psnr: float = -math.inf
    best_epoch: int = 0
    best_weights: dict[str, dict[str, Tensor]] = field(default_factory=dict)


def save(
    folder: Path, request: str, fabric: Fabric, method: GradientMethod, progress: Progress
) -> None:
    """Save the state after an epoch, atomically.

    Random generators are not in it: each epoch seeds them anew from the seed and its number.
    """
    optimizers = {name: optimizer.state_dict() for name, optimizer in method.optimizers.items()}
    content = {
        "request": request,
        "weights": method.state_dict(),
        "optimizers": optimizers,
        "precision": fabric.strategy.precision.state_dict(),
        **vars(progress),
    }
    checkpoint.write(folder / STATE, content)


def load(folder: Path, request: str, fabric: Fabric, method: GradientMethod) -> Progress:
    """Put `method` where a killed training of the same request left it, if there is one.

    A state of another request (other settings, data, seed or code) or a damaged one is ignored.
    """
    path = folder / STATE
    if not path.is_file():
        return Progress()
    try:
        content = checkpoint.read(path)
        if content.pop("request") != request:
            raise ContractError(path, "belongs to other settings, data or code", "start anew")
        method.load_state_dict(content.pop("weights"))
        for name, state in content.pop("optimizers").items():
            method.optimizers[name].load_state_dict(state)
        fabric.strategy.precision.load_state_dict(content.pop("precision"))
        progress = Progress(**content)
    except (ContractError, KeyError) as error:
        fabric.print(f"resume state ignored: {error}", file=sys.stderr)
        return Progress()
    fabric.print(f"resumed after epoch {progress.epochs_done}", file=sys.stderr)
    return progress
