"""Make three phantom subjects with every modality and draw them for docs/explanation/phantom.md.

`python workflow/draw_phantom.py` writes docs/explanation/phantom.png in about a minute.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from crossmod.config import PhantomSettings
from crossmod.io import Image, read_image, to_ras
from crossmod.paths import raw_scan
from crossmod.phantom import generate_subject, lesion_file, plan
from crossmod.phantom.roster import Group, brain_file
from crossmod.settings import MODALITIES

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "phantom.png"
# Group, its name in the picture, and the world axis that the section cuts across.
ROWS: tuple[tuple[Group, str, int], ...] = (
    ("tumour", "tumor", 2),
    ("tumour", "tumor", 1),
    ("ms", "multiple sclerosis", 2),
    ("healthy", "healthy", 0),
)
HALF_WIDTH_MM = 112.0
DOTS_PER_INCH = 100


@dataclass(frozen=True)
class View:
    """A section through a subject: RAS world point in mm, and the axis it is perpendicular to."""

    participant: str
    label: str
    axis: int
    point: NDArray[np.float64]
    center: NDArray[np.float64]


def settings_of(resolution_mm: float) -> PhantomSettings:
    """One subject of each group, no scan missing."""
    return PhantomSettings(
        subjects=3, modalities=MODALITIES, missing=0, resolution_mm=resolution_mm
    )


def views(settings: PhantomSettings, root: Path) -> list[View]:
    """The section of each row: where the lesion is largest, else through the brain's center."""
    people = {subject.group: subject for subject in plan(settings)}
    found = []
    for group, label, axis in ROWS:
        name = people[group].participant
        brain = to_ras(read_image(root / brain_file(name)))
        shown = to_ras(read_image(root / lesion_file(name))) if group != "healthy" else brain
        center = _middle(brain)
        point = center.copy()
        if group != "healthy":
            point[axis] = _largest(shown, axis)
        found.append(View(name, label, axis, point, center))
    return found


def _middle(mask: Image) -> NDArray[np.float64]:
    """Middle of a mask's box, RAS mm."""
    inside = np.argwhere(mask.data > 0)
    middle = (inside.min(axis=0) + inside.max(axis=0)) / 2
    return mask.affine[:3, :3] @ middle + mask.affine[:3, 3]


def _largest(mask: Image, axis: int) -> float:
    """World coordinate along an axis where a mask is largest, mm."""
    others = tuple(k for k in range(3) if k != axis)
    index = int(np.argmax((mask.data > 0).sum(axis=others)))
    return float(mask.affine[axis, axis] * index + mask.affine[axis, 3])


def draw(settings: PhantomSettings, root: Path, output: Path) -> None:
    """Draw the rows; each scan as it was acquired, the nearest of its own sections."""
    rows = views(settings, root)
    size = (1.5 * len(MODALITIES), 1.54 * len(rows))
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, facecolor="black")
    grid = figure.subplots(len(rows), len(MODALITIES))
    figure.subplots_adjust(0.025, 0.01, 0.995, 0.96, 0.02, 0.02)
    for row, view in zip(grid, rows, strict=True):
        for axes, modality in zip(row, MODALITIES, strict=True):
            path = root / raw_scan(view.participant, modality)
            _section(axes, to_ras(read_image(path)), view, modality == "CT")
            axes.set(xticks=[], yticks=[], facecolor="black")
            axes.spines[:].set_visible(False)
        row[0].set_ylabel(view.label, color="white", fontsize=9)
    for axes, modality in zip(grid[0], MODALITIES, strict=True):
        axes.set_title(modality, color="white", fontsize=9)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # Gray, and without metadata: small, and its bytes depend on the heads only.
    picture = PIL.Image.fromarray(np.asarray(canvas.buffer_rgba())[..., 0])
    picture.save(output, format="PNG", optimize=True)


def _section(axes: Axes, scan: Image, view: View, is_ct: bool) -> None:
    """Draw the section of a scan that lies nearest to the view's point."""
    across, up = (k for k in range(3) if k != view.axis)
    index = np.linalg.solve(scan.affine[:3, :3], view.point - scan.affine[:3, 3])
    nearest = int(np.clip(round(index[view.axis]), 0, scan.data.shape[view.axis] - 1))
    low, high = (-40.0, 120.0) if is_ct else (0.0, float(np.percentile(scan.data, 99.5)))
    edges = []
    for k in (across, up):
        step = scan.spacing_mm[k]
        first = view.point[k] - step * (index[k] + 0.5)
        edges += [first, first + step * scan.data.shape[k]]
    axes.imshow(
        np.take(scan.data, nearest, axis=view.axis).T,
        origin="lower", cmap="gray", vmin=low, vmax=high, extent=tuple(edges),
    )  # fmt: skip
    middle = view.center
    axes.set_xlim(middle[across] - HALF_WIDTH_MM, middle[across] + HALF_WIDTH_MM)
    axes.set_ylim(middle[up] - HALF_WIDTH_MM, middle[up] + HALF_WIDTH_MM)


def main() -> None:
    """Parse, make, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--resolution-mm", type=float, default=1.0, help="voxel size of the heads")
    parser.add_argument("--output", type=Path, default=PICTURE, help="picture to write")
    given = parser.parse_args()
    settings = settings_of(given.resolution_mm)
    with tempfile.TemporaryDirectory(prefix="crossmod-") as folder:
        for subject in plan(settings):
            generate_subject(settings, subject.participant, Path(folder))
        draw(settings, Path(folder), given.output)


if __name__ == "__main__":
    main()
