"""The code of the how-to pages is applied to a copy of the project, and run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks_of, commands_of

PARTS = ("src", "tests", "workflow", "config", "docs/reference", "pyproject.toml")


def copy_of_project(root: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in PARTS:
        source, target = ROOT / name, root / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignore)
        else:
            shutil.copy2(source, target)
    return root


def apply(page: Path, root: Path) -> list[str]:
    """Do what the page says with its Python and diff blocks; names of the files it touched."""
    touched = []
    for block in blocks_of(page):
        first, _, rest = block.text.partition("\n")
        if block.language == "diff":
            touched.append(patch(block.text, root))
        elif block.language == "python":
            name = first.removeprefix("# append to ").removeprefix("# ")
            path = root / name
            assert path.parent.is_dir(), f"the first line of a block names no file: {first}"
            if first.startswith("# append to "):
                path.write_text(f"{path.read_text()}\n\n{rest}")
            else:
                assert not path.exists(), f"{name} is there already"
                path.write_text(rest)
            touched.append(name)
    return touched


def patch(diff: str, root: Path) -> str:
    """Replace the one place that the diff's old lines describe."""
    lines = diff.splitlines()
    name = next(line for line in lines if line.startswith("+++ b/")).removeprefix("+++ b/")
    lines = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    old = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " -")
    new = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " +")
    text = (root / name).read_text()
    assert text.count(old) == 1, f"{name} holds the old lines {text.count(old)} times"
    (root / name).write_text(text.replace(old, new))
    return name


def run(root: Path, *arguments: str) -> str:
    """Run Python in the copy, on the copy's package."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False,
        env={**env, "PYTHONPATH": str(root / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_commands(page: Path, root: Path) -> str:
    """Run the page's commands; in one process each, whatever pyproject says."""
    outputs = []
    for command in commands_of(page):
        program, *arguments = command.split()
        assert program == "python", command
        serial = ["-n0", "-p", "no:cacheprovider"] if "pytest" in arguments else []
        outputs.append(run(root, *arguments, *serial))
    return "\n".join(outputs)


def test_the_method_of_the_page_conforms(tmp_path: Path) -> None:
    page = ROOT / "docs/how-to/add-a-method.md"
    root = copy_of_project(tmp_path)
    assert len(apply(page, root)) == 3
    output = run_commands(page, root)
    assert " passed" in output
    assert " failed" not in output
    run(root, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "tests/methods/test_conformance.py",
        "-k", "finds_all_methods")  # fmt: skip
    assert "`lambda_edges`" in (root / "config/README.md").read_text()
    assert '"unet-edges"' in (root / "workflow/schemas/study.schema.json").read_text()
    style(root, "src/crossmod/methods")


def test_the_metric_of_the_page_is_scored(tmp_path: Path) -> None:
    page = ROOT / "docs/how-to/add-a-metric.md"
    root = copy_of_project(tmp_path)
    assert len(apply(page, root)) == 4
    assert "1 passed" in run_commands(page, root)
    assert run(root, "-c", SCORE).split() == ["1.000", "Correlation"]
    style(root, "src/crossmod/evaluation")


SCORE = """
from types import SimpleNamespace
import numpy as np
from crossmod.evaluation.protocol import score_regions
from crossmod.report.tables import ordered_metrics
volume = np.random.default_rng(0).random((16, 16, 16))
truth = SimpleNamespace(volume=volume, regions={"brain": volume > 0.1}, frame=(128, 128))
scores = {s.metric: s.value for s in score_regions(truth, volume * 0.5, "brain-v1")}
print(f"{scores['correlation']:.3f}", ordered_metrics(scores)[4].name)
"""


def style(root: Path, folder: str) -> None:
    """The page's code passes the linter that it would meet."""
    ruff = str(Path(sys.executable).parent / "ruff")
    for options in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        command = [ruff, *options, folder]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("broken", ["no such line", "METHODS"])
def test_a_diff_that_does_not_fit_is_refused(broken: str, tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text("METHODS\nMETHODS\n")
    with pytest.raises(AssertionError, match=r"holds the old lines [02] times"):
        patch(f"--- a/file.py\n+++ b/file.py\n-{broken}\n+x\n", tmp_path)
