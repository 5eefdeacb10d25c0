"""Pictures for quality control: right way up, lines where they belong, the same twice."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from crossmod.io import Image
from crossmod.preprocess import quality_pictures as pictures
from crossmod.preprocess.quality_pictures import Panel, Scene, draw_overview, draw_scan
from tests.unit.heads import ball

SHAPE, SPACING = (60, 72, 40), (2.0, 2.0, 3.0)
AFFINE = np.diag([*SPACING, 1.0])


def scene(mark=None, moved=0):
    """A gray ball as brain, in a T1w that is `moved` and a FLAIR with a bright corner."""
    brain = ball(SHAPE, 0.75)
    gray = np.where(brain, 100.0, 20.0).astype(np.float32)
    flair = gray.copy()
    if mark is not None:
        flair[mark] = 150
    panels = [Panel("T1w", Image(np.roll(gray, moved, axis=0), AFFINE))]
    return Scene([*panels, Panel("FLAIR", Image(flair, AFFINE))], brain)


def tile(shown, axis, *, edges=False):
    return pictures._tile(shown, shown.panels[1], axis, 0.5, 1.0, edges).astype(int)


# A mark to the right, in front and above; where it must show: (axis, upper half, right half).
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_left_is_left_and_up_is_superior_or_anterior(axis):
    mark = [slice(34, 42), slice(40, 48), slice(22, 27)]
    mark[axis] = slice(None)
    shown = tile(scene(tuple(mark)), axis).sum(axis=2)
    rows, columns = np.nonzero(shown == shown.max())
    assert rows.mean() < shown.shape[0] / 2
    assert columns.mean() > shown.shape[1] / 2


def test_a_millimeter_is_as_long_in_every_direction():
    shown = tile(scene(), 0)
    outline = (shown == pictures.OUTLINE).all(axis=2)
    height, width = (np.ptp(np.flatnonzero(outline.any(axis=k))) for k in (1, 0))
    assert height / width == pytest.approx(40 * 3 / (72 * 2), rel=0.05)


def test_edges_are_those_of_the_reference():
    still, moved = (
        (tile(scene(moved=step), 2, edges=True) == pictures.EDGES).all(axis=2) for step in (0, 4)
    )
    assert still.any()
    left = [np.flatnonzero(edges.any(axis=0))[0] for edges in (still, moved)]
    assert left[1] - left[0] == pytest.approx(4 * SPACING[0], abs=2)


def test_files_are_the_same_twice_and_the_reference_has_no_edges(tmp_path):
    shown = scene()
    heights = []
    for panel in shown.panels:
        for name in ("a", "b"):
            draw_scan(tmp_path / f"{name}.webp", shown, panel)
        assert (tmp_path / "a.webp").read_bytes() == (tmp_path / "b.webp").read_bytes()
        heights.append(Pillow.open(tmp_path / "a.webp").height)
    assert heights[1] == 2 * heights[0] + pictures.GAP
    for name in ("a", "b"):
        draw_overview(tmp_path / f"{name}.png", shown)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Pillow.open(tmp_path / "a.png").info == {}
