"""Pictures of the documentation can be made again by the command that their page names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.docs.pages import ROOT


def test_the_phantom_is_drawn_as_large_as_the_page_shows_it(tmp_path: Path) -> None:
    page = ROOT / "docs/explanation/phantom.md"
    script = "workflow/draw_phantom.py"
    assert f"python {script}" in page.read_text()
    picture = tmp_path / "phantom.png"
    command = [sys.executable, script, "--resolution-mm", "4", "--output", str(picture)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Image.open(picture) as drawn, Image.open(page.with_name("phantom.png")) as stored:
        assert drawn.size == stored.size
        cells = np.asarray(drawn.convert("L")).reshape(4, drawn.height // 4, 7, -1)
    # Three diagnoses in four rows, seven modalities: a head in every cell, on black.
    heads = (cells > 40).mean(axis=(1, 3))
    assert heads.min() > 0.1
    assert heads.max() < 0.7
