"""Training slices and validation volumes, read from slice stores as they are needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from crossmod.data.standardization import Standard, mean_landmarks
from crossmod.data.store import Store
from crossmod.errors import InputError

if TYPE_CHECKING:
    from crossmod.settings import TaskSettings, TrainingSettings

Batch = dict[str, torch.Tensor]
OPEN_STORES = 64  # each open store holds a file descriptor, of which a process has few
LEAST_COVERAGE = 0.5
_open_store = lru_cache(maxsize=OPEN_STORES)(Store.open)


@dataclass(frozen=True)
class Member:
    """One usable session of a data set.

    Attributes
    ----------
    manifest : path
        Manifest of its slice store.
    session : str
        Session key.
    slices : int array
        Slices that are used, as indices into the store.
    """

    manifest: Path
    session: str
    slices: NDArray[np.intp]


class SliceDataset:
    """Slices of many sessions; memory does not grow with their number.

    Sessions whose verdict is `failed`, or which lack a modality of the task, are left out, counted
    and named on standard error.

    Parameters
    ----------
    manifests : sequence of path
        Manifests of the slice stores.
    task : TaskSettings
        Sources and target.
    training : TrainingSettings
        Context, choice of slices, flips.
    role : str
        `training` or `validation`: chosen slices, or all slices of each volume.
    standard : mapping, optional
        Standard scale (`training.standardization: nyul`). The role training learns it from its
        own sessions; others are given it.

    Raises
    ------
    InputError
        If a role for training has no usable session.

    Notes
    -----
    Training slices are chosen on the sources alone. Those of which the target's scan covers less
    than half of what the sources cover are dropped: they would teach that tissue is background.
    """

    def __init__(
        self,
        manifests: Sequence[Path],
        task: TaskSettings,
        training: TrainingSettings,
        role: str = "training",
        standard: Standard | None = None,
    ) -> None:
        self.task, self.training, self.role = task, training, role
        self.members: list[Member] = []
        self.skipped: dict[str, str] = {}
        for manifest in manifests:
            self._add(Path(manifest))
        counts = [len(member.slices) for member in self.members]
        self.ends = np.cumsum([0, *counts])
        if self.skipped:
            names = "; ".join(f"{key} ({why})" for key, why in self.skipped.items())
            print(f"{role}: {len(self.skipped)} sessions left out: {names}", file=sys.stderr)
        if role == "training" and len(self) == 0:
            problem = f"none of {len(manifests)} sessions can be trained on"
            raise InputError(task.id, problem, "see why they failed, or choose other modalities")
        learns = role == "training" and training.standardization == "nyul"
        self.standard = self._learn_standard() if learns else standard

    def __len__(self) -> int:
        return int(self.ends[-1])

    def _add(self, manifest: Path) -> None:
        store = Store.open(manifest)
        missing = [m for m in (*self.task.sources, self.task.target) if m not in store.modalities]
        if not store.ok:
            self.skipped[store.session] = store.reason
        elif missing:
            self.skipped[store.session] = f"no {', '.join(missing)}"
        else:
            slices = self._chosen(store)
            self.members.append(Member(manifest, store.session, slices))

    def _learn_standard(self) -> dict[str, list[float]]:
        names = (*self.task.sources, self.task.target)
        found = [Store.open(member.manifest).landmarks for member in self.members]
        return mean_landmarks([{name: own[name] for name in names} for own in found])

    def _chosen(self, store: Store) -> NDArray[np.intp]:
        if self.role != "training":
            return np.arange(len(store))
        chosen = np.asarray(store.training_slices(self.task.sources, self.training), dtype=np.intp)
        covered = np.max([store.occupancy[m] for m in self.task.sources], axis=0)
        target = store.occupancy[self.task.target]
        return chosen[target[chosen] >= LEAST_COVERAGE * covered[chosen]]

    def batch(self, indices: NDArray[np.intp], flips: NDArray[np.bool_] | None = None) -> Batch:
        """Read slices by their number in the data set.

        Parameters
        ----------
        indices : int array, shape (B,)
            From 0 to `len(self) - 1`.
        flips : bool array, shape (B,), optional
            Which slices are mirrored left to right.

        Returns
        -------
        dict
            `source` (B, C, H, W) and `target` (B, 1, H, W), float32 in [-1, 1].
        """
        parts = []
        for index in indices:
            position = int(np.searchsorted(self.ends, index, side="right")) - 1
            member = self.members[position]
            parts.append(self._read(member, member.slices[[index - self.ends[position]]]))
        source = np.concatenate([part[0] for part in parts])
        target = np.concatenate([part[1] for part in parts])
        if flips is not None:
            source[flips], target[flips] = source[flips, :, ::-1], target[flips, :, ::-1]
        return {"source": torch.from_numpy(source), "target": torch.from_numpy(target)}

    def _read(
        self, member: Member, slices: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Source (n, C, H, W) and target (n, 1, H, W) of some slices of one session."""
        store = _open_store(member.manifest)
        context, standard = self.training.context, self.standard
        source = store.source_channels(self.task.sources, slices, context, standard)
        return source, store.source_channels([self.task.target], slices, 0, standard)

    def passes(self, batch_size: int) -> Iterator[Batch]:
        """All slices once, in order."""
        for start in range(0, len(self), batch_size):
            yield self.batch(np.arange(start, min(start + batch_size, len(self))))

    def volumes(self, batch_size: int) -> Iterator[tuple[str, Iterator[Batch]]]:
        """Session key and slices in order, session by session."""
        for member in self.members:
            yield member.session, self._volume(member, batch_size)

    def _volume(self, member: Member, batch_size: int) -> Iterator[Batch]:
        for start in range(0, len(member.slices), batch_size):
            source, target = self._read(member, member.slices[start : start + batch_size])
            yield {"source": torch.from_numpy(source), "target": torch.from_numpy(target)}


class Shuffle:
    """Which slices the steps of a training see: an endless row of shuffled passes.

    Every batch is full, so that no small last batch disturbs batch statistics. What step `t` sees
    depends on seed and `t` alone: a resumed training goes on exactly where it was.

    Parameters
    ----------
    length : int
        Number of slices in the data set.
    seed : int
        Seed of the run.
    batch_size : int
        Slices per step, over all devices.
    """

    def __init__(self, length: int, seed: int, batch_size: int) -> None:
        self.length, self.seed, self.batch_size = length, seed, batch_size
        self._permutation = lru_cache(maxsize=2)(self._draw)

    def _draw(self, number: int) -> NDArray[np.intp]:
        return np.random.default_rng([self.seed, 0, number]).permutation(self.length)

    def indices(self, step: int) -> NDArray[np.intp]:
        """Slices of one step, shape (batch_size,)."""
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        pairs = zip(*divmod(positions, self.length), strict=True)
        return np.array([self._permutation(int(n))[i] for n, i in pairs], dtype=np.intp)

    def flips(self, step: int) -> NDArray[np.bool_]:
        """Which slices of one step are mirrored, shape (batch_size,)."""
        return np.random.default_rng([self.seed, 1, step]).random(self.batch_size) < 0.5
