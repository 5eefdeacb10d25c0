"""Validation on whole volumes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from crossmod.methods.base import Method

if TYPE_CHECKING:
    from crossmod.data.dataset import SliceDataset

BATCH = 16


def validation_psnr(method: Method, dataset: SliceDataset, device: torch.device | str) -> float:
    """PSNR in dB in the brain, mean over the volumes of `dataset`.

    Parameters
    ----------
    method : Method
        Synthesizes as in use.
    dataset : SliceDataset
        Whole volumes, at least one.
    device : torch.device
        Where the networks are.

    Notes
    -----
    10 log10(1 / MSE) on values in [0, 1] over the pixels where any source has signal, all slices
    of a volume together; sums in float64.
    """
    scores = []
    for _, batches in dataset.volumes(BATCH):
        total, count = 0.0, 0
        for batch in batches:
            source, target = batch["source"].to(device), batch["target"].to(device)
            brain = method.inputs.brain(source)
            error = (method.synthesize(source) - target)[brain].cpu().double() / 2
            total += float(error.square().sum())
            count += error.numel()
        # A perfect synthesis has no finite PSNR; 100 dB stands for it.
        mse = max(total / max(count, 1), 1e-10)
        scores.append(-10 * math.log10(mse))
    return sum(scores) / len(scores)
