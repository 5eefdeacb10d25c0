"""The site builds without a warning, and shows everything without a network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import PAGES, ROOT

MAKE = (ROOT / "Makefile").read_text()
# What a page loads, by tag: attribute that names it.
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


def build(source: Path, output: Path) -> subprocess.CompletedProcess[str]:
    """Build as `make docs` does."""
    (options,) = re.findall(r"python -m sphinx (.*) docs site$", MAKE, flags=re.MULTILINE)
    command = [sys.executable, "-m", "sphinx", *options.split(), str(source), str(output)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("site")
    done = build(ROOT / "docs", output)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return output


class References(HTMLParser):
    """What a page loads, and where it links to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in LOADS and values.get(LOADS[tag]):
            self.loaded.append(str(values[LOADS[tag]]))
        elif tag == "a" and values.get("href"):
            self.linked.append(str(values["href"]))


def test_every_page_is_on_the_site(site: Path) -> None:
    pages = [page for page in PAGES if page.is_relative_to(ROOT / "docs")]
    made = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert len(pages) >= 20
    assert {page.relative_to(ROOT / "docs").with_suffix("") for page in pages} <= made


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    loaded = [(page, what) for page in pages for what in References(page).loaded]
    assert len(loaded) > len(pages)
    for page, what in loaded:
        address = urlsplit(what)
        assert not address.scheme or address.scheme == "data", f"{page.name} loads {what}"
        assert not address.netloc, f"{page.name} loads {what}"
        if address.path and not address.scheme:
            assert (page.parent / unquote(address.path)).is_file(), f"{page.name} misses {what}"


def test_styles_load_nothing_from_elsewhere(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert len(styles) >= 3
    for path in styles:
        for found in re.findall(r"(?:@import|url\()\s*['\"]?([^'\")\s]+)", path.read_text()):
            assert not found.startswith(("http:", "https:", "//")), f"{path.name} loads {found}"


def test_links_inside_the_site_lead_somewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for link in References(page).linked:
            address = urlsplit(link)
            if address.scheme or not address.path:
                continue
            assert (page.parent / unquote(address.path)).exists(), f"{page.name} links to {link}"


@pytest.mark.parametrize("fault", ["[x](missing.md)", "![x](missing.png)", "[x](index.md#none)"])
def test_a_broken_page_fails_the_build(fault: str, tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    shutil.copy(ROOT / "docs/conf.py", source)
    shutil.copytree(ROOT / "docs/_static", source / "_static")
    (source / "index.md").write_text(f"# Title\n\n{fault}\n")
    done = build(source, tmp_path / "site")
    assert done.returncode != 0
    assert "WARNING" in done.stderr
