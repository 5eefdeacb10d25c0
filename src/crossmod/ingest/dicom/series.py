"""Series of a participant: which files belong together, and what is wrong with them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from crossmod.ingest.dicom.headers import Header, Slice
from crossmod.text import counted

_SPACING_TOLERANCE = 1e-3  # relative
_ORIENTATION_TOLERANCE = 1e-3  # of the direction cosines
_SAME_PLACE_MM = 0.01
_UNEVEN = 0.05  # of the spacing, or
_UNEVEN_MM = 0.06  # what rounding to 0.1 mm does to a position
_TILT_DEG = 0.2
_COMPRESSED = "1.2.840.10008.1.2.4."
_RUN_LENGTH = "1.2.840.10008.1.2.5"
_DEFLATED = "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True)
class Series:
    """One series, or the part of one that shares grid, echo and kind of image.

    Attributes
    ----------
    header : Header
        Facts of its first slice.
    slices : tuple of Slice
        Its files, copies of a file only once.
    parts : int
        Into how many parts the series was split.
    """

    header: Header
    slices: tuple[Slice, ...]
    parts: int = 1

    @property
    def id(self) -> str:
        """`401-1f2e3d4c`: the number that viewers show, a hash of identifier and part."""
        header = self.header
        part = f"{header.series}{header.size}{header.spacing_mm}{header.te_ms}{header.orientation}"
        digest = hashlib.sha256(f"{part}{header.image_type}".encode()).hexdigest()[:8]
        return digest if header.number is None else f"{header.number}-{digest}"

    @property
    def images(self) -> int:
        """Number of slices, frames of multi-frame files counted."""
        return sum(max(1, len(piece.positions)) for piece in self.slices)


def group(pairs: Iterable[tuple[Header, Slice]]) -> list[Series]:
    """Series of the files of one participant, sorted by number.

    Files of one SeriesInstanceUID that differ in size, spacing, orientation, echo time or kind of
    image become series of their own: a localizer in three planes, the echoes of one acquisition.
    """
    by_uid: dict[str, list[tuple[Header, list[Slice]]]] = {}
    for header, piece in pairs:
        parts = by_uid.setdefault(header.series, [])
        part = next((pieces for first, pieces in parts if _belong_together(first, header)), None)
        if part is None:
            parts.append((header, [piece]))
        else:
            part.append(piece)
    found = [
        Series(header, _once(pieces), len(parts))
        for parts in by_uid.values()
        for header, pieces in parts
    ]
    return sorted(found, key=lambda s: (s.header.number or 0, s.header.series, s.id))


def _once(pieces: list[Slice]) -> tuple[Slice, ...]:
    """Files without copies of the same image."""
    return tuple({piece.instance or str(piece.path): piece for piece in pieces}.values())


def _belong_together(a: Header, b: Header) -> bool:
    return (
        (a.study, a.size, a.image_type, a.te_ms) == (b.study, b.size, b.image_type, b.te_ms)
        and _close(a.spacing_mm, b.spacing_mm, _SPACING_TOLERANCE * min(a.spacing_mm or (1,)))
        and _close(a.orientation, b.orientation, _ORIENTATION_TOLERANCE)
    )


def _close(a: tuple[float, ...], b: tuple[float, ...], tolerance: float) -> bool:
    return len(a) == len(b) and all(abs(x - y) <= tolerance for x, y in zip(a, b, strict=True))


def fault(series: Series) -> str:
    """What is wrong with the geometry or files of a series; empty if nothing.

    A fault makes a wrong or no volume: missing or doubled slices, uneven spacing, slices that are
    shifted against each other, files cut short.
    """
    problem = _fault(series)
    if problem and series.parts > 1:
        problem += f" (the series mixes {series.parts} grids or echoes)"
    return problem


def _fault(series: Series) -> str:
    header = series.header
    if not header.spacing_mm or len(header.orientation) != 6 or min(header.size) < 2:
        return "has no pixel spacing or orientation in its headers"
    if series.images < 2:
        return "is a single slice"
    if short := [piece for piece in series.slices if _is_cut_short(header, piece)]:
        return f"has {counted(len(short), 'file')} of {len(series.slices)} cut short"
    positions = np.array([place for piece in series.slices for place in piece.positions])
    if len(positions) != series.images:
        return "lacks the position of slices in its headers"
    return _fault_of_stack(positions, header.orientation)


def _is_cut_short(header: Header, piece: Slice) -> bool:
    """Whether a file ends within its pixels; compressed ones cannot be judged by size."""
    if header.syntax.startswith((_COMPRESSED, _RUN_LENGTH)) or header.syntax == _DEFLATED:
        return False
    return piece.pixel_bytes < header.frame_bytes * max(1, len(piece.positions))


def _fault_of_stack(positions: np.ndarray, orientation: tuple[float, ...]) -> str:
    """Judge positions (n, 3) in mm along and across the normal of the slices."""
    normal = np.cross(orientation[:3], orientation[3:])
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    along, positions = along[order], positions[order]
    steps = np.diff(along)
    places = int((steps > _SAME_PLACE_MM).sum()) + 1
    if places < len(along):
        return _fault_of_doubles(along, places)
    typical = float(np.median(steps))
    far = np.abs(steps - typical) > max(_UNEVEN * typical, _UNEVEN_MM)
    if far.any():
        return _fault_of_steps(steps, typical)
    drift = positions[-1] - positions[0]
    across = float(np.linalg.norm(drift - (drift @ normal) * normal))
    tilt = float(np.degrees(np.arctan2(across, along[-1] - along[0])))
    return f"was made with a gantry tilt of {tilt:.1f} degrees" if tilt > _TILT_DEG else ""


def _fault_of_doubles(along: np.ndarray, places: int) -> str:
    counts = Counter(np.concatenate(([0], np.cumsum(np.diff(along) > _SAME_PLACE_MM))).tolist())
    if len(set(counts.values())) == 1 and places > 1:
        return f"holds {counts[0]} images at each of {places} places, such as a time series"
    doubled = sum(1 for count in counts.values() if count > 1)
    return f"holds more than one image at {doubled} of {counted(places, 'place')}"


def _fault_of_steps(steps: np.ndarray, typical: float) -> str:
    ratios = steps / typical
    whole = np.round(ratios)
    if (np.abs(ratios - whole) <= _UNEVEN * whole.clip(1)).all() and whole.min() >= 1:
        missing = int((whole - 1).sum())
        gaps = int((whole > 1).sum())
        return f"lacks {counted(missing, 'slice')} in {counted(gaps, 'gap')}"
    return f"has slices {steps.min():.2f} to {steps.max():.2f} mm apart"
