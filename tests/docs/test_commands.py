"""Every command of README and tutorial is run, in order, in one small project.

The pages' own text is run by bash, as a reader would paste it. What makes the project small: the
default study and README's study keep their text but for numbers, and made-up heads replace both
the phantom and the reader's scans.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from crossmod.cli import make_parser
from tests.docs.pages import PAGES, ROOT, SHELLS, blocks_of, commands_of, relative
from tests.workflow.conftest import copy_project, write_subject

README = ROOT / "README.md"
TUTORIAL = [
    ROOT / "docs/tutorial" / f"{name}.md"
    for name in ("first-study", "change-and-rerun", "missing-scan")
]
RUN = (README, *TUTORIAL)
# Commands that this test leaves out, and why. Nothing else is.
NOT_RUN = {"make test": "would call this test again"}
# Page to command to what it printed, each time it was run.
Printed = dict[Path, dict[str, list[str]]]
# Languages of blocks that hold no command.
TEXTS = {"yaml", "text", "python", "diff", "{toctree}", "{include}", "{eval-rst}", "{warning}"}
# The default study, smaller: pattern to replacement, each found at least once.
SMALLER = {
    r"  layout: phantom\n  phantom:\n(    .*\n)+": "",
    r"\ndataset:": "\ndata_dir: data/phantom\ndataset:",
    r"  stratify: \w+\n": "",
    r"  spacing_mm: \S+\n": "  spacing_mm: null\n  bias_field: none\n  registration: none\n",
    r"  size: \d+\n": "  size: 48\n",
    r"epochs: \d+\n": "epochs: 1\n",
    r"width: \d+": "width: 4",
    r"\nbatch: \d+\n": "\nbatch: 1\nnulls: false\n",
    r"(?<=primary: \{model: unet\})\n": "\n  bootstrap: 100\n",
}
SMALL = {
    "preprocess": {"spacing_mm": None, "bias_field": "none", "registration": "none"},
    "split": {"test": 0.4, "validation": 0.2},
    "slices": {"size": 48},
    "training": {"epochs": 1, "batch_size": 8},
    "nulls": False,
    "evaluation": {"bootstrap": 100},
}


def small_project(root: Path) -> None:
    """The project with small studies, heads under the names that the pages use, an environment."""
    copy_project(root)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, root / name)
    # `make study` finds its environment ready: the one that runs this test.
    (root / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():
        (root / ".venv" / part.name).symlink_to(part)
    (root / ".venv/.ready").unlink(missing_ok=True)
    (root / ".venv/.ready").touch()
    config = root / "config/config.yaml"
    config.write_text(smaller(config.read_text()))
    for number in (1, 3, 5, 9, 18):
        write_subject(root / "data/phantom", number, digits=4)
    for number in range(4):
        write_subject(root / "mine", number)
    write_readme_study(root)
    for number, modality in ((1, "T1w"), (2, "T2w")):
        source = root / f"mine/sub-00/anat/sub-00_{modality}.nii.gz"
        shutil.copy(source, root / f"t{number}.nii.gz")


def smaller(text: str) -> str:
    for pattern, replacement in SMALLER.items():
        text, count = re.subn(pattern, replacement, text)
        assert count, f"config/config.yaml does not hold {pattern!r}"
    return text


def write_readme_study(root: Path) -> None:
    """README's study file: the reader writes it, on scans of his own."""
    (text,) = [block.text for block in blocks_of(README) if block.language == "yaml"]
    content = {**yaml.safe_load(text), **SMALL, "data_dir": "mine"}
    content["models"] = {k: {**model, "width": 4} for k, model in content["models"].items()}
    (root / "config/studies/mine.yaml").write_text(yaml.safe_dump(content))


def commands_to_run(page: Path) -> list[str]:
    return [command for command in commands_of(page) if command not in NOT_RUN]


def script_of(page: Path) -> str:
    """All commands of a page, each announced."""
    commands = enumerate(commands_to_run(page))
    numbered = [f"echo '>>> {i}'\n{command}\n" for i, command in commands]
    return "set -eo pipefail\n" + "".join(numbered)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands") / "project"
    small_project(folder)
    return folder


@pytest.fixture(scope="module")
def printed(root: Path) -> Printed:
    """Run the pages; fails at the first command that does."""
    venv = str(Path(sys.executable).parent)
    places = [place for place in os.environ["PATH"].split(os.pathsep) if place != venv]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CROSSMOD", "PYTEST"))}
    answers: Printed = {}
    for page in RUN:
        done = subprocess.run(
            ["bash"], input=script_of(page), cwd=root, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**env, "PATH": os.pathsep.join(places), "SHELL": "/bin/bash"},
        )  # fmt: skip
        # The next pages assume the environment that the first one activates.
        places = [venv, *[place for place in places if place != venv]]
        assert done.returncode == 0, f"{relative(page)}:\n{done.stdout[-6000:]}"
        parts = re.split(r"^>>> \d+\n", done.stdout, flags=re.MULTILINE)[1:]
        answers[page] = {}
        for command, part in zip(commands_to_run(page), parts, strict=True):
            answers[page].setdefault(command, []).append(part)
    return answers


def test_no_command_goes_unnoticed(printed: Printed) -> None:
    """Each command ran or is an exception, each exception is on a page, no block hides one."""
    commands = {command for page in RUN for command in commands_of(page)}
    ran = {command for answers in printed.values() for command in answers}
    assert commands == ran | set(NOT_RUN)
    assert not ran & set(NOT_RUN)
    assert len(ran) >= 12
    for page in PAGES:
        languages = {block.language for block in blocks_of(page)}
        assert languages <= {*SHELLS, *TEXTS, ""}, relative(page)
        unnamed = [block.text for block in blocks_of(page) if not block.language]
        assert not unnamed or "data-flow" in page.name, f"{relative(page)}: a block has no language"


def test_commands_are_found_in_every_kind_of_block(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\none  # why\n# two\nthree \\\n  --four\n```\n"
        "~~~sh\nfive\n~~~\n- item\n\n  ```console\n  $ six\n  answer\n  ```\n"
        "```yaml\nkey: no command\n```\n"
    )
    assert commands_of(page) == ["one", "three \\\n  --four", "five", "six"]


def test_readme_leads_to_a_study_and_an_image(printed: Printed, root) -> None:
    answers = printed[README]
    assert "report: results/phantom/report/index.html" in answers["make study"][0]
    (index,) = answers["crossmod index config/studies/mine.yaml"]
    assert "4 subjects, 4 sessions in mine" in index
    assert (root / "results/mine/report/index.html").is_file()
    assert (root / "flair.nii.gz").is_file()


def test_the_tutorial_prints_what_it_says(printed: Printed, root) -> None:
    first, change, missing = (printed[page] for page in TUTORIAL)
    assert "Nothing to be done" in first["make study"][0]  # README has run it before
    assert "trained models" in first["crossmod headline"][0]
    assert "sub-0018_FLAIR.nii.gz" in first["ls data/phantom/sub-0018/anat"][0]
    before, after = change["snakemake --cores all"]
    assert "Nothing to be done" in before
    assert "unet-nearest" in after
    said = jobs(next(b.text for b in blocks_of(TUTORIAL[1]) if b.language == "text"))
    assert said["train"] == 1
    assert jobs(change["snakemake -n"][0]) == said
    sidecar = json.loads((root / "sub-0018_synthetic-FLAIR.json").read_text())
    assert sidecar["Synthetic"] is True
    assert len(missing) == 2


def test_the_shell_adds_the_line_to_add_and_the_page_undoes_it(tmp_path: Path) -> None:
    page = TUTORIAL[1]
    (line,) = [block.text for block in blocks_of(page) if block.language == "yaml"]
    (tmp_path / "config").mkdir()
    study = Path(shutil.copy(ROOT / "config/config.yaml", tmp_path / "config"))
    before = study.read_text()
    commands = [c for c in commands_of(page) if c.startswith(("echo", "sed"))]
    subprocess.run(["bash", "-ec", "\n".join(commands)], cwd=tmp_path, check=True)
    after = study.read_text().splitlines(keepends=True)
    place = after.index(line)
    assert after[place - 1].startswith("  pix2pix:")
    assert "".join(after[:place] + after[place + 1 :]) == before
    (undo,) = re.findall(r"`(mv \S+ \S+)`", page.read_text())
    subprocess.run(undo.split(), cwd=tmp_path, check=True)
    assert study.read_text() == before


def jobs(text: str) -> dict[str, int]:
    """The last table of jobs that Snakemake printed."""
    table = re.findall(r"^(\w+) +(\d+)$", text, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in table}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_crossmod_commands_of_all_pages_are_accepted(page: Path) -> None:
    """Pages that are not run: their `crossmod` commands parse, their `make` targets exist."""
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for command in commands_of(page):
        words = command.replace("\\\n", " ").split()
        if words[0] == "crossmod":
            make_parser().parse_args(words[1:])
        elif words[0] == "make":
            assert words[1] in targets
