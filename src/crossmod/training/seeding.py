"""Randomness: everything random in an epoch depends on (seed, epoch, rank) alone.

All generators are seeded anew at the start of every epoch, so that their state between epochs is
known without being stored, and a training resumed at an epoch goes on bit by bit.
"""

from __future__ import annotations

import random

import numpy as np
import torch

START = -1  # "epoch" in which weights are drawn


def seed_everything(seed: int, epoch: int = START, rank: int = 0) -> None:
    """Seed Python, NumPy and torch (all devices) for one epoch of one process."""
    sequence = np.random.SeedSequence([seed, epoch + 1, rank])
    words = sequence.generate_state(2)
    random.seed(int(words[0]))
    np.random.seed(int(words[0]))  # noqa: NPY002 - third-party code may use the global generator
    torch.manual_seed(int(words[0]) << 32 | int(words[1]))


def make_deterministic(accelerator: str) -> None:
    """Refuse non-deterministic algorithms on a CPU; let cuDNN choose the fastest on a GPU."""
    torch.use_deterministic_algorithms(accelerator == "cpu")
    # Only algorithms that read memory before they write it need this; it slows all others.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = accelerator != "cpu"
