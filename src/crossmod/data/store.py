"""Slice stores as training and synthesis read them: numpy only, nothing is decompressed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod.data.standardization import Curve, Standard
from crossmod.errors import InputError
from crossmod.files import read_json
from crossmod.settings import TrainingSettings

FORMAT = "crossmod-slices-1"


@dataclass(frozen=True)
class Geometry:
    """Where slices lie in their volume.

    Attributes
    ----------
    volume_shape : tuple of int
        (X, Y, Z) of the common grid.
    affine : tuple of tuple of float
        Voxel index of the common grid to RAS+ world in mm, 4x4.
    crop_start : tuple of int
        First voxel along x and y that a slice covers; negative where the slice is padded.
    size : int
        Height (along x) and width (along y) of a slice in pixels.
    halvings : int
        How often the covered square of `span` voxels was halved.
    fit : str
        `pad`: the square is `size` pixels after halving; `resize`: it holds the whole field of
        view and was interpolated to `size` pixels.
    """

    volume_shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    crop_start: tuple[int, int]
    size: int
    halvings: int
    fit: str = "pad"

    @property
    def factor(self) -> int:
        """Voxels along the edge of one pixel of a padded slice."""
        return int(2**self.halvings)

    @property
    def span(self) -> int:
        """Voxels along the edge of the square that a slice covers."""
        return max(self.volume_shape[:2]) if self.fit == "resize" else self.size * self.factor

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as the manifest holds them; `fit` came later and is told if set."""
        content = asdict(self)
        if self.fit == "pad":
            del content["fit"]
        content["affine"] = [list(row) for row in self.affine]
        return {key: list(v) if isinstance(v, tuple) else v for key, v in content.items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Geometry:
        """Read back; `KeyError` or `TypeError` if it is none."""
        x, y, z = content["volume_shape"]
        x0, y0 = content["crop_start"]
        affine = tuple(tuple(float(v) for v in row) for row in content["affine"])
        size, halvings = int(content["size"]), int(content["halvings"])
        return cls((x, y, z), affine, (x0, y0), size, halvings, content.get("fit", "pad"))


@dataclass(frozen=True)
class Store:
    """The slices of one session, or the reason why it has none.

    Attributes
    ----------
    path : path
        Manifest; the array lies beside it as `.npy`.
    manifest : dict
        Content of the manifest.
    """

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Read a manifest.

        Raises
        ------
        InputError
            If it is missing or no manifest of this format.
        """
        content = read_json(path)
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            problem = f"is no slice manifest of the format {FORMAT}"
            raise InputError(path, problem, "delete it and slice again")
        return cls(Path(path), content)

    @property
    def session(self) -> str:
        """Session key."""
        return str(self.manifest["session"])

    @property
    def participant(self) -> str:
        """Participant, `sub-01`."""
        return str(self.manifest["participant"])

    @property
    def ok(self) -> bool:
        """Whether there are slices."""
        return bool(self.manifest["verdict"] == "ok")

    @property
    def verdict(self) -> str:
        """`ok` or `failed`."""
        return str(self.manifest["verdict"])

    @property
    def reason(self) -> str:
        """Why it failed; else empty."""
        return str(self.manifest["reason"])

    @property
    def modalities(self) -> list[str]:
        """Order of the array's first axis."""
        return list(self.manifest["modalities"])

    @property
    def first_slice(self) -> int:
        """Index of slice 0 in the volume."""
        return int(self.manifest["first_slice"])

    @property
    def normalizers(self) -> dict[str, dict[str, Any]]:
        """Intensities that were mapped to 0 (`low`) and 1 (`high`), by modality."""
        return dict(self.manifest["normalizers"])

    @property
    def landmarks(self) -> dict[str, list[float]]:
        """Landmarks of the normalized brain by modality, see `crossmod.data.standardization`.

        Raises
        ------
        InputError
            If the store was made before they were recorded.
        """
        if "landmarks" not in self.manifest:
            problem = "tells no landmarks, which standardization needs"
            raise InputError(self.path, problem, "delete it and slice again")
        return dict(self.manifest["landmarks"])

    @cached_property
    def occupancy(self) -> dict[str, NDArray[np.int64]]:
        """Brain voxels that each modality covers in each slice."""
        found: dict[str, list[int]] = self.manifest["occupancy"]
        return {name: np.asarray(counts, dtype=np.int64) for name, counts in found.items()}

    @cached_property
    def geometry(self) -> Geometry:
        """Place of the slices in the volume; `InputError` for a failed session."""
        self._require_ok()
        return Geometry.from_dict(self.manifest["geometry"])

    @cached_property
    def array(self) -> NDArray[np.floating]:
        """Memory map (modalities, slices, H, W), values in [0, 1], background 0.

        Raises
        ------
        InputError
            If the session failed, or the array is missing or not the one of the manifest.
        """
        self._require_ok()
        path = self.path.with_suffix(".npy")
        try:
            array: NDArray[np.floating] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            problem = f"cannot be read ({error})"
            raise InputError(path, problem, f"delete {self.path} and slice again") from None
        due = (self.manifest["shape"], self.manifest["dtype"])
        if (list(array.shape), array.dtype.name) != due:
            problem = f"holds {array.dtype.name} {array.shape}, not what its manifest says"
            raise InputError(path, problem, f"delete {self.path} and slice again")
        return array

    def __len__(self) -> int:
        """Number of slices."""
        return int(self.manifest["shape"][1])

    def has(self, modalities: Sequence[str]) -> bool:
        """Whether all `modalities` are there."""
        return self.ok and set(modalities) <= set(self.modalities)

    def rows(self, modalities: Sequence[str]) -> list[int]:
        """Places of `modalities` on the array's first axis; `InputError` if one is missing."""
        self._require_ok()
        missing = [name for name in modalities if name not in self.modalities]
        if missing:
            problem = f"holds no {' and no '.join(missing)}"
            raise InputError(self.path, problem, "use a session that has all modalities")
        return [self.modalities.index(name) for name in modalities]

    def training_slices(
        self, sources: Sequence[str], training: TrainingSettings
    ) -> NDArray[np.int64]:
        """Slices to train on, judged on the sources alone: the target is unknown in use.

        Parameters
        ----------
        sources : sequence of str
            Source modalities.
        training : TrainingSettings
            `slices`: `brain` takes every slice in which each source covers at least
            `brain_fraction` of what it covers in its fullest slice, and something at all;
            `middle` takes the `middle` slices around the middle of the run from the first to the
            last slice that all sources cover.

        Returns
        -------
        array of int, shape (n,)
            Increasing slice indices into the store.

        Raises
        ------
        InputError
            If the store lacks a source.
        """
        self.rows(sources)
        counts = np.stack([self.occupancy[name] for name in sources])
        covered = (counts > 0).all(axis=0)
        if training.slices == "brain":
            least = training.brain_fraction * counts.max(axis=1, keepdims=True, initial=0)
            return np.flatnonzero(covered & (counts >= least).all(axis=0))
        run = np.flatnonzero(covered)
        if run.size == 0:
            return run
        first, last = int(run[0]), int(run[-1])
        number = min(training.middle, last - first + 1)
        start = first + (last - first + 1 - number) // 2
        return np.arange(start, start + number)

    def source_channels(
        self,
        sources: Sequence[str],
        indices: Sequence[int] | NDArray[np.integer],
        context: int,
        standard: Standard | None = None,
    ) -> NDArray[np.float32]:
        """What a network sees of some slices: (n, sources x (2 context + 1), H, W) in [-1, 1]."""
        curves = self.curves(sources, standard)
        return context_channels(self.array, self.rows(sources), indices, context, curves)

    def curves(self, sources: Sequence[str], standard: Standard | None) -> list[Curve | None]:
        """Maps to the standard scale; None without one, and for a source that is missing."""
        if not standard:
            return [None] * len(sources)
        found = self.landmarks
        return [Curve(found[n], standard[n]) if n in found else None for n in sources]

    def _require_ok(self) -> None:
        if not self.ok:
            raise InputError(self.path, f"has no slices ({self.reason})", "leave the session out")


def context_channels(
    array: NDArray[np.floating],
    rows: Sequence[int],
    indices: Sequence[int] | NDArray[np.integer],
    context: int,
    curves: Sequence[Curve | None] = (),
) -> NDArray[np.float32]:
    """Slices with their neighbors as the channels of a network's input.

    Parameters
    ----------
    array : array, shape (modalities, slices, H, W)
        Values in [0, 1].
    rows : sequence of int
        Places of the sources on the first axis, in channel order.
    indices : sequence of int, shape (n,)
        Slices to give.
    context : int
        Neighbors on each side; beyond the first and the last slice these are repeated.
    curves : sequence of Curve or None
        Maps to the standard scale, one per row, None where values stay; by default they all do.

    Returns
    -------
    array, shape (n, len(rows) * (2 * context + 1), H, W), float32
        Values in [-1, 1], ordered source by source, from the slice below to the slice above.
    """
    offsets = np.arange(-context, context + 1)
    neighbors = np.clip(np.asarray(indices)[:, None] + offsets, 0, array.shape[1] - 1)
    picked = array[np.asarray(rows)[None, :, None], neighbors[:, None, :]]
    if any(curves):
        parts = (c.apply(picked[:, i]) if c else picked[:, i] for i, c in enumerate(curves))
        picked = np.stack(list(parts), axis=1)
    values = picked.reshape(len(neighbors), len(rows) * len(offsets), *array.shape[2:])
    return 2 * values.astype(np.float32) - 1
