"""Settings, imports and links that the pages show are true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

import crossmod
from crossmod.errors import ConfigError
from crossmod.paths import raw_scan
from crossmod.planning import make_plan
from crossmod.study_file import parse_study
from tests.conftest import write_scan
from tests.docs.pages import PAGES, ROOT, Block, blocks_of, relative

MINIMAL = {
    "study": "mine",
    "data_dir": "raw",
    "dataset": {"name": "mine"},
    "tasks": [{"sources": ["T1w", "T2w"], "target": "FLAIR"}],
    "models": {"unet": {"method": "unet"}},
}
# Its example is a method that the page adds; test_how_to.py runs it.
NEW_METHOD = ROOT / "docs/how-to/add-a-method.md"
SETTINGS = [
    pytest.param(block, id=f"{relative(page)}-{number}")
    for page in (*PAGES, ROOT / "config/README.md")
    for number, block in enumerate(blocks_of(page))
    if block.language == "yaml" and page != NEW_METHOD
]


def parse(block: Block) -> None:
    """A whole study stands for itself; a part is laid over a small one."""
    content = yaml.safe_load(block.text) or {}
    if "method" in str(content) and "models" not in content:
        content = {"models": {**MINIMAL["models"], **content}}
    parse_study(content if "study" in content else {**MINIMAL, **content}, "the page")


@pytest.mark.parametrize("block", SETTINGS)
def test_settings_on_pages_are_accepted(block: Block) -> None:
    parse(block)


def test_settings_were_found_and_wrong_ones_are_refused() -> None:
    assert len(SETTINGS) >= 7
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        parse(Block("yaml", "training: {epoch: 3}"))


def test_the_python_page_uses_what_the_package_offers() -> None:
    blocks = [b for b in blocks_of(ROOT / "docs/how-to/python.md") if b.language == "python"]
    nodes = [node for block in blocks for node in ast.walk(ast.parse(block.text))]
    used = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "crossmod"
    }
    assert {"open_study", "synthesize"} <= used <= set(crossmod.__all__)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "config/README.md"])
def test_pages_outside_the_site_link_to_files_that_exist(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    assert links or name.startswith("config")
    for link in links:
        assert link.startswith("https://") or (page.parent / Path(link)).is_file(), link


def test_the_study_of_the_page_on_own_scans_runs_as_it_is_and_with_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = next(b.text for b in blocks_of(ROOT / "docs/how-to/own-data.md") if "study:" in b.text)
    people = [f"sub-{number:02d}" for number in (*range(1, 12), 30, 31)]
    for key in [*people, "sub-12_ses-2", "sub-12_ses-1"]:
        for modality in ("T1w", "T2w", "FLAIR"):
            write_scan(tmp_path / "raw" / raw_scan(key, modality))  # type: ignore[arg-type]
    rows = ["participant_id\tgroup", *(f"{name}\ta" for name in (*people, "sub-12"))]
    (tmp_path / "raw/participants.tsv").write_text("\n".join(rows) + "\n")
    for name, content in (
        ("as-it-is", text),
        ("options", re.sub(r"^(\s+)# (?=  |\w+:)", r"\1", text, flags=re.MULTILINE)),
    ):
        study = {**yaml.safe_load(content), "data_dir": "raw", "study": name}
        plan = make_plan(parse_study(study, "the page"))
        assert bool(study["dataset"].get("exclude")) == (name == "options")
        assert ("sub-30", 0) in plan.split
        assert (plan.split["sub-30", 0] == "external") == (name == "options")
