"""Training curves: every model can be told apart, and no legend covers a curve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from crossmod.files import write_rows
from crossmod.report import figures
from crossmod.report.inputs import Task
from crossmod.report.request import Model, RunFiles

LOSSES = ("generator_adversarial", "reconstruction_of_the_sources", "discriminator")
NAMES = {
    "few": ["unet", "pix2pix"],
    "long": [f"model-{i}-with-a-name-as-long-as-a-settings-file" for i in range(3)],
    "many": [f"model-{i:02d}" for i in range(15)],
}


def run_of(folder: Path, name: str) -> RunFiles:
    rows: list[dict[str, Any]] = []
    for epoch in (1, 2, 3):
        rows += [{"epoch": epoch, "split": "train", "name": n, "value": 4 - epoch} for n in LOSSES]
        rows.append({"epoch": epoch, "split": "validation", "name": "psnr", "value": 20 + epoch})
    curve = folder / f"{name}.tsv"
    write_rows(curve, ("epoch", "step", "split", "name", "value"), rows)
    return RunFiles("t", ("T1w",), "FLAIR", name, "unet", False, 0, 0, curve=curve)


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_legends_cover_nothing_and_lines_differ(names, tmp_path, monkeypatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, "svg_picture", lambda figure, alt: drawn.append(figure))
    runs = [run_of(tmp_path, name) for name in names]
    models = [Model(name, "unet", null=False) for name in names]
    figures.curve_plot(runs, models, Task("t", ("T1w",), "FLAIR"))
    (figure,) = drawn
    figure.draw_without_rendering()
    panels = [axes for axes in figure.get_axes() if axes.axison]
    assert len(panels) == 1 + len(names)
    for axes in panels:
        legend = axes.get_legend().get_window_extent()
        assert not [other for other in panels if other.bbox.overlaps(legend)]
        assert figure.bbox.x0 <= legend.x0 <= legend.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= legend.y0 <= legend.y1 <= figure.bbox.y1
        assert axes.bbox.width > 0.2 * figure.bbox.width
    styles = {(line.get_color(), str(line._dash_pattern)) for line in panels[0].get_lines()}
    assert len(styles) == len(names)
