"""Quality control: one small picture per session, and a remark on coarse scans."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod.files import atomic_path
from crossmod.io import Image
from crossmod.preprocess.foreground import background_value
from crossmod.settings import Modality

PIXELS = 150
COLORS = 96
# Axis that each column cuts across, and whether it shows edges instead of the outline.
VIEWS = ((0, False), (1, False), (2, False), (2, True), (1, True))
EDGE_PERCENTILE = 88
# Copies quantized to 6 bits have at most 64 values; exports of 8 bits, up to 256, are no worry.
FEW_GRAY_LEVELS = 64


@dataclass(frozen=True)
class Panel:
    """One row of the picture.

    Attributes
    ----------
    modality : str
    image : Image
        Whole head on the common grid, brain not cut out, so that a wrong mask shows.
    brain : array of bool, shape (X, Y, Z)
    """

    modality: Modality
    image: Image
    brain: NDArray[np.bool_]


def gray_levels(scan: NDArray[np.floating]) -> int:
    """Number of distinct values in a scan (X, Y, Z) beside that of its background."""
    return int(np.unique(scan).size) - (background_value(scan) is not None)


def remarks(modality: Modality, scan: NDArray[np.floating]) -> list[str]:
    """What the reader should know of a raw scan (X, Y, Z), in one line each."""
    levels = gray_levels(scan)
    if levels > FEW_GRAY_LEVELS:
        return []
    return [f"{modality} has only {levels} gray levels: contrast is coarse"]


def draw(path: Path, title: str, panels: list[Panel]) -> None:
    """Draw three planes per modality with the brain mask, and the reference's edges on it.

    Parameters
    ----------
    path : path
        PNG to write; the bytes depend on the content only.
    title : str
        Session key and what the reader should know.
    panels : list of Panel
        The reference first; all on one grid.
    """
    import PIL.Image
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = len(VIEWS)
    figure = Figure(figsize=(1.5 * columns, 1.5 * len(panels) + 0.35), dpi=PIXELS / 1.5)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), columns, squeeze=False)
    center = np.argwhere(panels[0].brain).mean(axis=0).astype(int)
    for row, panel in zip(axes, panels, strict=True):
        _draw_row(row, panel, panels[0], center)
    figure.suptitle(title, fontsize=7, x=0.01, ha="left", color="white")
    figure.patch.set_facecolor("black")
    figure.subplots_adjust(0, 0, 1, 1 - 0.3 / figure.get_figheight(), 0.02, 0.02)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    # A palette keeps the picture small; without metadata its bytes depend on the scans only.
    picture = PIL.Image.fromarray(pixels).quantize(COLORS, dither=PIL.Image.Dither.NONE)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)


def _draw_row(row: Any, panel: Panel, reference: Panel, center: NDArray[np.intp]) -> None:
    values = panel.image.data[panel.brain]
    # Room above the brain's range, so that scalp and tumour do not look alike.
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    window = {"cmap": "gray", "vmin": low, "vmax": low + 1.2 * max(high - low, 1e-6)}
    spacing = panel.image.spacing_mm
    for axes, (axis, shows_edges) in zip(row, VIEWS, strict=True):
        section = _section(panel.image.data, axis, center)
        across, up = (spacing[k] for k in range(3) if k != axis)
        axes.imshow(section, origin="lower", aspect=up / across, interpolation="nearest", **window)
        brain = _section(reference.brain, axis, center)
        if shows_edges:
            _overlay_edges(axes, _section(reference.image.data, axis, center), brain)
        elif brain.any() and not brain.all():
            axes.contour(brain.astype(float), [0.5], colors="#ff5a36", linewidths=0.7)
        axes.set_axis_off()
    row[0].text(0.03, 0.03, panel.modality, transform=row[0].transAxes, color="white", fontsize=8)


def _section(data: NDArray, axis: int, center: NDArray[np.intp]) -> NDArray:
    """Section through the center, up is superior (or anterior)."""
    return np.take(data, center[axis], axis=axis).T


def _overlay_edges(axes: Any, section: NDArray, brain: NDArray[np.bool_]) -> None:
    """Strong edges of the reference within the brain, as colored pixels."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(section.astype(np.float64), 1.0)
    strength = np.hypot(*np.gradient(smooth))
    region = ndimage.binary_dilation(brain, iterations=2)
    if not region.any():
        return
    threshold = np.percentile(strength[region], EDGE_PERCENTILE)
    edges = np.zeros((*section.shape, 4))
    edges[(strength > threshold) & region] = (0.2, 0.9, 1.0, 0.75)
    axes.imshow(edges, origin="lower", aspect=axes.get_aspect(), interpolation="nearest")
