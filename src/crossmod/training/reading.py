"""Batches for the steps of a training, read before they are needed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from crossmod.data.dataset import Shuffle, SliceDataset
from crossmod.methods.base import Batch


class BatchReader:
    """One device's share of the slices of each step; the next batch is read while one is used.

    Parameters
    ----------
    dataset : SliceDataset
        Training slices; its settings decide flips and memory layout.
    shuffle : Shuffle
        Which slices each step sees, over all devices.
    rank, devices : int
        Number of this device from 0, and how many there are.

    Attributes
    ----------
    waited_s : float
        Seconds for which training has stood still so far because a batch was not read yet.
    """

    def __init__(
        self, dataset: SliceDataset, shuffle: Shuffle, rank: int = 0, devices: int = 1
    ) -> None:
        self.dataset, self.shuffle = dataset, shuffle
        self.waited_s = 0.0
        self._mine = slice(rank, None, devices)

    def read(self, step: int) -> Batch:
        """Batch of one step, in the memory of the host."""
        settings, mine = self.dataset.training, self._mine
        flips = self.shuffle.flips(step)[mine] if settings.augment_flip else None
        batch = self.dataset.batch(self.shuffle.indices(step)[mine], flips)
        if settings.channels_last:
            batch["source"] = batch["source"].contiguous(memory_format=torch.channels_last)
        return batch

    def batches(self, steps: range) -> Iterator[Batch]:
        """Batches of `steps`, in order."""
        with ThreadPoolExecutor(max_workers=1) as thread:
            ahead = thread.submit(self.read, steps[0])
            for step in steps:
                began = time.perf_counter()
                batch = ahead.result()
                self.waited_s += time.perf_counter() - began
                if step + 1 in steps:
                    ahead = thread.submit(self.read, step + 1)
                yield batch
