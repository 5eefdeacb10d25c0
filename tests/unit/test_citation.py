"""CITATION.cff holds what the format asks for, and speaks of this version."""

import re
from pathlib import Path
from typing import Any

import yaml

from crossmod import __version__

ROOT = Path(__file__).resolve().parents[2]


def citation() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_required_keys_are_there() -> None:
    """Those of Citation File Format 1.2.0, with the types it gives them."""
    content = citation()
    assert content["cff-version"] == "1.2.0"
    assert all(isinstance(content[key], str) and content[key] for key in ("message", "title"))
    assert content["authors"] == [{"name": "The crossmod developers"}]
    assert content["type"] in ("software", "dataset")


def test_no_key_is_unknown() -> None:
    known = {
        "abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi",
        "identifiers", "keywords", "license", "license-url", "message", "preferred-citation",
        "references", "repository", "repository-artifact", "repository-code", "title", "type",
        "url", "version",
    }  # fmt: skip
    content = citation()
    assert set(content) <= known
    assert len(set(content["keywords"])) == len(content["keywords"])


def test_version_and_license_are_those_of_the_package() -> None:
    content = citation()
    assert content["version"] == __version__
    (license_,) = re.findall(r'^license = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert content["license"] == license_
