"""Settings, imports and links that the pages show are true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

import crossmod
from crossmod.errors import ConfigError
from crossmod.study_file import parse_study
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
