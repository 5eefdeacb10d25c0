"""Execute docs/tutorial/notebook.ipynb on a finished study and store it with its outputs.

`python workflow/run_tutorial.py` takes the default study of this folder and writes in place.
Another study, folder or output can be named, as the test does that keeps the tutorial working.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "tutorial" / "notebook.ipynb"
DEFAULT_STUDY = 'STUDY = "config/config.yaml"'


def execute(study: str, folder: Path) -> nbformat.NotebookNode:
    """The notebook, executed in `folder` on `study`; the first cell keeps what it says."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    shown = first.source
    if DEFAULT_STUDY not in shown:
        raise SystemExit(f"run_tutorial: the first code cell does not say {DEFAULT_STUDY}")
    first.source = shown.replace(DEFAULT_STUDY, f"STUDY = {study!r}")
    # Without times in the cells, a run that changes nothing changes no line of the file.
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    first.source = shown
    return notebook


def main() -> None:
    """Parse, execute, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--study", default="config/config.yaml", help="study file")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where the study ran")
    parser.add_argument("--output", type=Path, default=NOTEBOOK, help="notebook to write")
    given = parser.parse_args()
    nbformat.write(execute(given.study, given.folder), given.output)


if __name__ == "__main__":
    main()
