"""Whole volumes of single subjects for the page's viewer: small, and complete in all three planes.

A volume becomes one picture of all its axial slices side by side. The script in the page cuts
every plane, and the error maps, out of these pictures, so that nothing is stored twice.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.intensity import scored_by, to_scored
from crossmod.io import Image, read_image
from crossmod.report.inputs import Made, Task
from crossmod.report.picture import data_uri
from crossmod.status import Status

MARGIN = 3
MOST_VOXELS = 112
"""Longest edge of a shown volume; finer grids are averaged, so that a page stays a few MB."""
QUALITY = 72
BRAIN, COVERED, LESION = 1, 2, 4
BIT_STEP = 32
"""The bits of the mask are spread over the gray values, so that they survive any color profile."""
# Half a voxel of brain is brain; a small lesion must not vanish when eight voxels become one.
LEAST_BRAIN, LEAST_LESION = 0.5, 0.25

Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Shown:
    """One volume of a viewer.

    Attributes
    ----------
    label, kind : str, {"source", "acquired", "synthetic"}
        Modality or model, and what it is.
    null : bool
        Made by a null model.
    uri : str
        Its axial slices, row by row from the lowest, each with anterior at the bottom.
    """

    label: str
    kind: str
    null: bool
    uri: str


@dataclass(frozen=True)
class Viewer:
    """Everything the script needs to draw one subject.

    Attributes
    ----------
    shape : tuple of int
        Voxels along right, anterior, superior.
    columns : int
        Slices side by side in a picture.
    spacing_mm, origin_mm : tuple of float
        Voxel size; place of the first voxel's center along each axis.
    start : tuple of int
        Voxel that is shown first.
    mask : str
        Picture of the bits `BRAIN`, `COVERED` (acquired target known) and `LESION`.
    volumes : tuple of Shown
    has_lesion : bool
    """

    shape: tuple[int, int, int]
    columns: int
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    start: tuple[int, int, int]
    mask: str
    volumes: tuple[Shown, ...]
    has_lesion: bool


class Frame:
    """Box around the brain and the averaging inside it, the same for all volumes of a subject.

    Parameters
    ----------
    brain : Image
        Brain mask, not empty.
    """

    def __init__(self, brain: Image) -> None:
        spacing = np.array(brain.spacing_mm)
        inside = np.argwhere(brain.data > 0.5)
        low = np.maximum(inside.min(axis=0) - MARGIN, 0)
        high = np.minimum(inside.max(axis=0) + MARGIN + 1, brain.data.shape)
        coarse_mm = float(((high - low) * spacing).max()) / MOST_VOXELS
        self.steps = np.maximum(np.ceil(coarse_mm / spacing - 1e-6).astype(int), 1)
        self.low, self.size = low, -(-(high - low) // self.steps)
        self.box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        self.spacing_mm = spacing * self.steps
        middle = low + (self.steps - 1) / 2
        center = (low + high - 1) / 2
        # Along each axis through the middle of the box: the grid may lie oblique in the world.
        places = [np.where(np.arange(3) == i, middle, center) for i in range(3)]
        self.origin_mm = np.array([(brain.affine @ [*p, 1])[i] for i, p in enumerate(places)])
        self.columns = math.ceil(math.sqrt(self.size[2]))

    def cut(self, data: NDArray) -> Volume:
        """The box of a volume, averaged over blocks of voxels."""
        part = np.nan_to_num(np.asarray(data[self.box], dtype=np.float32))
        ends = [(0, -n % s) for n, s in zip(part.shape, self.steps, strict=True)]
        x, y, z = self.size
        blocks = np.pad(part, ends, mode="edge").reshape(
            x, self.steps[0], y, self.steps[1], z, self.steps[2]
        )
        return np.asarray(blocks.mean(axis=(1, 3, 5)))

    def mosaic(self, volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """All axial slices of an (X, Y, Z) volume in one image of (rows * Y, columns * X)."""
        x, y, z = volume.shape
        rows = math.ceil(z / self.columns)
        slices = np.zeros((rows * self.columns, y, x), np.uint8)
        slices[:z] = volume.transpose(2, 1, 0)
        tiles = slices.reshape(rows, self.columns, y, x).transpose(0, 2, 1, 3)
        return tiles.reshape(rows * y, self.columns * x)

    def voxel(self, index: Sequence[int]) -> tuple[int, int, int]:
        """Shown voxel in which a voxel of the whole grid lies."""
        found = np.clip((np.array(index) - self.low) // self.steps, 0, self.size - 1)
        return int(found[0]), int(found[1]), int(found[2])


def make_viewer(
    task: Task, session: tuple[Status, Path], made: Sequence[Made], height: int
) -> Viewer:
    """Volumes of one session for the viewer.

    Parameters
    ----------
    task : Task
        Direction of synthesis; the session has the acquired target.
    session : tuple of Status and path
        Preprocessing.
    made : sequence of Made
        Synthetic images, one per model.
    height : int
        Index of the axial slice that is shown first.
    """
    status, file = session
    brain = read_image(status.path("brain", file))
    frame = Frame(brain)
    bits, lesion = _bits(frame, status, file, task.target, brain)
    volumes = [
        Shown(name, "acquired" if name == task.target else "source", False, uri)
        for name in (*task.sources, task.target)
        if (uri := _acquired(frame, status, file, name, brain))
    ]
    for entry in made:
        synthetic = read_image(entry.status.path("normalized", entry.batch)).data
        synthetic = to_scored(synthetic, status.details["normalizers"][task.target])
        uri = _compressed(frame, frame.cut(np.where(brain.data > 0.5, synthetic, 0)))
        volumes.append(Shown(entry.run.model, "synthetic", entry.run.null, uri))
    return Viewer(
        shape=_three(frame.size, int),
        columns=frame.columns,
        spacing_mm=_three(frame.spacing_mm, float),
        origin_mm=_three(frame.origin_mm, float),
        start=frame.voxel(_start(brain, lesion, height)),
        mask=_png(frame.mosaic(bits * BIT_STEP)),
        volumes=tuple(volumes),
        has_lesion=bool((bits & LESION).any()),
    )


def _three(values: NDArray, kind: type) -> tuple:
    return tuple(kind(round(float(value), 4)) for value in values)


def _start(brain: Image, lesion: NDArray[np.bool_] | None, height: int) -> list[int]:
    """Center of what is most worth a look in the axial slice at `height`."""
    for mask in (lesion, brain.data > 0.5):
        if mask is not None and mask[..., height].any():
            x, y = np.argwhere(mask[..., height]).mean(axis=0)
            return [round(float(x)), round(float(y)), height]
    return [n // 2 for n in brain.data.shape]


def _bits(
    frame: Frame, status: Status, file: Path, target: str, brain: Image
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Mask bits of the shown voxels, and the lesion mask on the whole grid."""
    inside = brain.data > 0.5
    covered, lesion = inside, None
    if f"fov-{target}" in status.outputs:
        covered = inside & (read_image(status.path(f"fov-{target}", file)).data > 0.5)
    bits = np.where(frame.cut(inside) >= LEAST_BRAIN, BRAIN, 0)
    bits |= np.where(frame.cut(covered) >= LEAST_BRAIN, COVERED, 0)
    if "lesion" in status.outputs:
        lesion = inside & (read_image(status.path("lesion", file)).data > 0.5)
        bits |= np.where(frame.cut(lesion) >= LEAST_LESION, LESION, 0)
    return bits.astype(np.uint8), lesion


def _acquired(frame: Frame, status: Status, file: Path, modality: str, brain: Image) -> str:
    """Picture of an acquired volume, on the scale of scores; empty without one."""
    if modality not in status.outputs:
        return ""
    scale = scored_by(status.details["normalizers"][modality])
    data = scale.apply(read_image(status.path(modality, file)).data)
    return _compressed(frame, frame.cut(np.where(brain.data > 0.5, data, 0)))


def _compressed(frame: Frame, volume: Volume) -> str:
    from PIL import Image as Pillow

    levels = np.rint(np.clip(volume, 0, 1) * 255).astype(np.uint8)
    stream = io.BytesIO()
    Pillow.fromarray(frame.mosaic(levels)).save(stream, format="WEBP", quality=QUALITY, method=4)
    return data_uri(stream.getvalue(), "webp")


def _png(image: NDArray[np.uint8]) -> str:
    from PIL import Image as Pillow

    stream = io.BytesIO()
    Pillow.fromarray(image).save(stream, format="PNG", optimize=True)
    return data_uri(stream.getvalue(), "png")
