"""The way of one preprocessed scan, from its raw file to the common grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from crossmod.bids_dataset import sidecar_path
from crossmod.files import read_json
from crossmod.io import read_header
from crossmod.spatial import Points, apply, inverted
from crossmod.status import Status
from crossmod.stored_transforms import to_raw
from crossmod.tracing.owner import Owner, conversion_of

Row = tuple[str, str]
"""What, and what there is to say of it."""
SHORT_SHA = 12


def short(sha256: str) -> str:
    """`sha256 0123456789ab`."""
    return f"sha256 {sha256[:SHORT_SHA]}"


def grid_text(shape: tuple[int, ...], affine: Points) -> str:
    """Voxels, their size, and where the axes run."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    size = " x ".join(f"{edge:.4g}" for edge in spacing)
    axes = "".join(nib.aff2axcodes(affine))
    return f"{' x '.join(map(str, shape[:3]))} voxels of {size} mm, axes {axes}"


def origin_texts(conversion: Status, name: str) -> list[str]:
    """What `crossmod ingest` made a scan or annotation from, without names of people or files."""
    origin = conversion.details["sources"][name]
    parts = [f"{what} {origin[what]}" for what in ("series", "volume") if what in origin]
    parts += [f"labels {', '.join(map(str, origin['labels']))}"] if "labels" in origin else []
    texts = [f"converted from {', '.join([*parts, short(origin['sha256'])])}"]
    return [*texts, "face removed"] if name in conversion.details.get("defaced", []) else texts


@dataclass(frozen=True)
class Session:
    """A preprocessed session that is traced."""

    owner: Owner

    def raw(self, modality: str) -> dict:
        """What is known of a raw scan."""
        found: dict = self.owner.detail("raw")[modality]
        return found

    def scan_rows(self, modality: str) -> list[Row]:
        """How the volume of a modality came to be."""
        raw = self.raw(modality)
        affine = np.array(raw["affine"])
        corrected = modality in self.owner.detail("bias_corrected")
        rows = [
            ("raw scan", f"{raw['name']}, {short(raw['sha256'])}"),
            *self._conversion_rows(modality),
            ("", grid_text(raw["shape"], affine)),
            ("bias field", "N4, divided out" if corrected else "left as it is"),
        ]
        if "".join(nib.aff2axcodes(affine)) != "RAS":
            rows.append(("axes", "turned to RAS, voxels as they are"))
        return [*rows, *self.transform_rows(modality), *self.grid_rows(modality)]

    def _conversion_rows(self, modality: str) -> list[Row]:
        """What the raw scan was converted from."""
        conversion = conversion_of(self.owner)
        if conversion is None or modality not in conversion.outputs:
            return []
        if conversion.outputs[modality]["sha256"] != self.raw(modality)["sha256"]:
            return []
        return [("", text) for text in origin_texts(conversion, modality)]

    def transform_rows(self, modality: str) -> list[Row]:
        """Files that points of the common grid go through on their way to a raw scan."""
        names = self.owner.detail("transforms")[modality]
        if not names:
            return [("transforms", "none, the common grid lies in the scan's own space")]
        rows: list[Row] = []
        for number, name in enumerate(names, 1):
            path = self.owner.path(name)
            kind = read_json(sidecar_path(path), "run the study again")["Type"]
            rows.append(("" if rows else "transforms", f"{number}. {path.name} ({kind})"))
        return rows

    def grid_rows(self, modality: str) -> list[Row]:
        """Interpolation, grid, mask and normalizer."""
        settings = self.owner.detail("settings")
        mask = read_header(self.owner.path("brain"))
        grid = grid_text(mask.shape, mask.affine)
        rows = [
            ("interpolated", f"once, {settings['interpolation']}, onto {grid}"),
            ("", f"space {self.space_text()}"),
            ("brain mask", f"{self.mask_text()}; 0 outside"),
        ]
        scale = self.owner.detail("normalizers")[modality]
        low, high = scale["low"], scale["high"]
        text = f"{low:.6g} becomes 0, {high:.6g} becomes 1; back: value x {high - low:.6g}"
        return [*rows, ("normalizer", f"{text} + {low:.6g}")]

    def space_text(self) -> str:
        """Name of the common space, and whose it is."""
        space, base = self.owner.detail("space"), self.owner.status.details.get("base")
        return f"{space}, the grid of {base}" if base else str(space)

    def mask_text(self) -> str:
        """Where the brain mask comes from."""
        reference, how = self.owner.detail("reference"), self.owner.detail("brain_from")
        if how == "provided":
            return f"provided with {reference}"
        voters = self.owner.detail("brain_voters")
        vote = "" if len(voters) == 1 else f", the vote of {', '.join(voters)}"
        return f"found on {voters[0]} ({how}){vote}"

    def place_rows(self, modalities: Sequence[str], world: Points) -> list[Row]:
        """Where a point (3,) of the common space lies in raw scans."""
        rows = []
        for modality in modalities:
            raw = self.raw(modality)
            transform = to_raw(self.owner.status, self.owner.status_file, modality)
            there = transform.apply(world[None])
            index = apply(inverted(np.array(raw["affine"])), there)[0]
            rows.append((modality, f"voxel {numbers(index)} of {raw['name']}"))
        return rows

    def from_delivered(self, index: Points) -> Points:
        """Point (3,) of the common space that a voxel of the reference's raw grid shows."""
        reference = self.owner.detail("reference")
        world = apply(np.array(self.raw(reference)["affine"]), index[None])
        transform = to_raw(self.owner.status, self.owner.status_file, reference)
        place: Points = transform.inverse().apply(world)[0]
        return place


def numbers(values: Points) -> str:
    """Coordinates with two digits after the point, never a negative zero."""
    return " ".join(f"{value:.2f}" for value in np.round(values, 2) + 0.0)


def file_grid(path: Path) -> str:
    """Grid of a volume file."""
    file = read_header(path)
    return grid_text(file.shape, file.affine)
