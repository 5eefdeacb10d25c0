"""The tutorial notebook: stored with its outputs, and working on any finished study."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.workflow.conftest import ROOT, Project

TUTORIAL = ROOT / "docs" / "tutorial" / "notebook.ipynb"


def outputs(path: Path) -> list[list[nbformat.NotebookNode]]:
    """Outputs of the code cells."""
    notebook = nbformat.read(path, as_version=4)
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def printed(cells: list[list[nbformat.NotebookNode]]) -> str:
    """Everything the cells printed."""
    return "".join(o.text for cell in cells for o in cell if o.output_type == "stream")


def pictures(cells: list[list[nbformat.NotebookNode]]) -> int:
    """Number of pictures the cells drew."""
    return sum("image/png" in o.get("data", {}) for cell in cells for o in cell)


def test_it_is_stored_executed_small_and_without_warnings() -> None:
    assert TUTORIAL.stat().st_size < 500_000
    cells = outputs(TUTORIAL)
    assert pictures(cells) == 3
    assert "same place in the world: True" in printed(cells)
    kinds = {(o.output_type, o.get("name")) for cell in cells for o in cell}
    assert not [kind for kind in kinds if kind[0] == "error" or kind[1] == "stderr"]
    notebook = nbformat.read(TUTORIAL, as_version=4)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_it_runs_on_another_study(finished: Project, tmp_path: Path) -> None:
    pytest.importorskip(
        "nbclient", reason="the tutorial is NOT run: nbclient is missing "
        "(pip install -r requirements.lock)",
    )  # fmt: skip
    study = "config/studies/small.yaml"
    place = ("--folder", str(finished.root), "--output", str(tmp_path / "run.ipynb"))
    script = str(ROOT / "workflow" / "run_tutorial.py")
    done = finished.run("python", script, "--study", study, *place)
    assert done.returncode == 0, done.stderr
    cells = outputs(tmp_path / "run.ipynb")
    assert pictures(cells) == pictures(outputs(TUTORIAL))
    text = printed(cells)
    assert "model: linear" in text
    assert "same place in the world: True" in text
    difference = float(text.split("largest difference:")[1])
    assert difference < 1e-6, "the notebook and the study made different images of the same scans"
