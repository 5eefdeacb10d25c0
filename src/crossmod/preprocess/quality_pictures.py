"""Pictures for quality control: sections with the brain's outline, or the reference's edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod.files import atomic_path
from crossmod.io import Image
from crossmod.settings import Modality

PIXELS_PER_MM = 1.45
SMALL = 0.7  # pixels per mm of the overview
MARGIN_MM = 12.0
GAP = 4
# Axis that a section cuts across, and where, as a share of the brain's extent along it.
SECTIONS = ((0, 0.5), (1, 0.5), (2, 0.3), (2, 0.55), (2, 0.75))
OVERVIEW = ((0, False), (1, False), (2, False), (2, True), (1, True))
OUTLINE, EDGES = (255, 90, 54), (51, 230, 255)
EDGE_SIGMA_MM = 1.5
EDGE_QUANTILES = (0.8, 0.92)
QUALITY = 88  # of WebP

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Panel:
    """One scan to show.

    Attributes
    ----------
    modality : str
    image : Image
        Whole head on the common grid, brain not cut out, so that a wrong mask shows.
    """

    modality: Modality
    image: Image


@dataclass(frozen=True)
class Scene:
    """What all pictures of a session have in common.

    Attributes
    ----------
    panels : sequence of Panel
        The reference first; all on one grid with axes right, anterior, superior.
    brain : array of bool, shape (X, Y, Z)
    """

    panels: Sequence[Panel]
    brain: NDArray[np.bool_]

    @property
    def reference(self) -> Image:
        """The scan that the others were registered to."""
        return self.panels[0].image

    def place(self, axis: int, share: float) -> int:
        """Index of a section, at a share of the brain's extent."""
        low, high = self.extent(axis)
        return round(low + share * (high - low))

    def extent(self, axis: int) -> tuple[int, int]:
        """First and last index of the brain along an axis."""
        others = tuple(k for k in range(3) if k != axis)
        hit = np.flatnonzero(self.brain.any(axis=others))
        return int(hit[0]), int(hit[-1])

    def box(self, axis: int) -> tuple[slice, slice]:
        """Part of a section that is shown: the brain and a margin, along the two other axes."""
        parts = []
        for k in (k for k in range(3) if k != axis):
            low, high = self.extent(k)
            margin = round(MARGIN_MM / self.reference.spacing_mm[k])
            parts.append(slice(max(low - margin, 0), high + 1 + margin))
        return parts[0], parts[1]


def draw_scan(path: Path, scene: Scene, panel: Panel) -> None:
    """Draw one scan large: three planes with the outline, below them with the reference's edges.

    Parameters
    ----------
    path : path
        WebP to write; the bytes depend on the content only.
    scene, panel
        The session, and the scan of it. The reference has no second row.
    """
    rows = [[_tile(scene, panel, axis, at, PIXELS_PER_MM, False) for axis, at in SECTIONS]]
    if panel is not scene.panels[0]:
        rows.append([_tile(scene, panel, axis, at, PIXELS_PER_MM, True) for axis, at in SECTIONS])
    _save(path, _stacked([_beside(row) for row in rows]))


def draw_overview(path: Path, scene: Scene) -> None:
    """Draw all scans of a session small, one row each, as PNG."""
    rows = []
    for panel in scene.panels:
        tiles = [_tile(scene, panel, axis, 0.5, SMALL, edges) for axis, edges in OVERVIEW]
        rows.append(_labeled(_beside(tiles), panel.modality))
    _save(path, _stacked(rows))


def _tile(scene: Scene, panel: Panel, axis: int, share: float, scale: float, edges: bool) -> Pixels:
    """One section in gray with colored lines; up is superior (or anterior), left is left."""
    index, box = scene.place(axis, share), scene.box(axis)
    across, up = (k for k in range(3) if k != axis)
    spacing_mm = scene.reference.spacing_mm
    gray = _section(panel.image.data, axis, index, box)
    size = (
        max(round(gray.shape[1] * spacing_mm[across] * scale), 1),
        max(round(gray.shape[0] * spacing_mm[up] * scale), 1),
    )
    inside = _resized(_section(scene.brain, axis, index, box).astype(np.float32), size) > 0.5
    low, high = _window(panel.image.data, scene.brain)
    level = (_resized(gray.astype(np.float32), size) - low) / (high - low)
    pixels = np.repeat((255 * np.clip(level, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)
    if edges:
        fixed = _resized(_section(scene.reference.data, axis, index, box).astype(np.float32), size)
        pixels[_edges(fixed, inside, scale)] = EDGES
    else:
        pixels[_outline(inside, scale)] = OUTLINE
    return pixels


def _section(data: NDArray[Any], axis: int, index: int, box: tuple[slice, slice]) -> NDArray[Any]:
    """Section with the first row on top."""
    return np.take(data, index, axis=axis)[box].T[::-1]


def _resized(section: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    import PIL.Image

    picture = PIL.Image.fromarray(np.ascontiguousarray(section))
    return np.asarray(picture.resize(size, PIL.Image.Resampling.BILINEAR))


def _window(data: NDArray, brain: NDArray[np.bool_]) -> tuple[float, float]:
    """Black and white: room above the brain's range, so that scalp and tumor do not look alike."""
    low, high = (float(v) for v in np.percentile(data[brain], (0.5, 99.5)))
    return low, low + 1.2 * max(high - low, 1e-6)


def _outline(inside: NDArray[np.bool_], scale: float) -> NDArray[np.bool_]:
    """Line of one pixel, or two in the large picture, along the inner side of the mask."""
    from scipy import ndimage

    thick = 2 if scale > 1 else 1
    line: NDArray[np.bool_] = inside & ~ndimage.binary_erosion(inside, iterations=thick)
    return line


def _edges(
    section: NDArray[np.float32], inside: NDArray[np.bool_], scale: float
) -> NDArray[np.bool_]:
    """Thin strong edges within the brain (Canny, IEEE TPAMI 8:679-698, 1986)."""
    from scipy import ndimage
    from skimage.feature import canny

    region = ndimage.binary_dilation(inside, iterations=3)
    if not region.any():
        return region
    low, high = EDGE_QUANTILES
    found: NDArray[np.bool_] = canny(
        section,
        EDGE_SIGMA_MM * scale,
        low_threshold=low,
        high_threshold=high,
        mask=region,
        use_quantiles=True,
    )
    return found


def _beside(tiles: Sequence[Pixels]) -> Pixels:
    height = max(tile.shape[0] for tile in tiles)
    width = sum(tile.shape[1] for tile in tiles) + GAP * (len(tiles) - 1)
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    left = 0
    for tile in tiles:
        top = (height - tile.shape[0]) // 2
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        left += tile.shape[1] + GAP
    return canvas


def _stacked(rows: Sequence[Pixels]) -> Pixels:
    gap = np.zeros((GAP, rows[0].shape[1], 3), dtype=np.uint8)
    parts = [part for row in rows for part in (row, gap)]
    return np.concatenate(parts[:-1])


def _labeled(row: Pixels, text: str) -> Pixels:
    import PIL.Image
    from PIL import ImageDraw

    picture = PIL.Image.fromarray(row)
    ImageDraw.Draw(picture).text((4, row.shape[0] - 14), text, fill=(255, 255, 255))
    return np.asarray(picture)


def _save(path: Path, pixels: Pixels) -> None:
    """Write a picture without metadata, so that its bytes depend on the content only."""
    import PIL.Image

    picture = PIL.Image.fromarray(pixels)
    with atomic_path(path) as temporary:
        if path.suffix == ".png":  # a palette keeps it small
            picture = picture.quantize(96, dither=PIL.Image.Dither.NONE)
            picture.save(temporary, format="PNG", optimize=True)
        else:
            picture.save(temporary, format="WEBP", quality=QUALITY)
