"""The schema that editors read, held against the study files and against wrong ones."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from crossmod.methods import method_names

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "study.schema.json"
# Files "as written" are laid over another study and are none by themselves.
SHIPPED = sorted(p for p in (ROOT / "config").rglob("*.yaml") if "as-written" not in p.stem)


def faults(content: dict[str, Any]) -> list[str]:
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    found = Draft202012Validator(schema).iter_errors(content)
    return [f"{error.json_path}: {error.message}" for error in found]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_studies_fit_the_schema_that_they_name(path: Path) -> None:
    first = path.read_text().split("\n", 1)[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named, first
    assert (path.parent / named[1]).resolve() == SCHEMA
    assert faults(yaml.safe_load(path.read_text())) == []


def test_all_shipped_studies_were_seen() -> None:
    assert {path.name for path in SHIPPED} >= {"config.yaml", "real-flair.yaml"}


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        ((), "taks", []),
        (("dataset",), "layuot", "bids"),
        (("training",), "epoch", 3),
        (("training",), "epochs", 0),
        (("models", "unet"), "method", "unte"),
        (("models", "unet"), "widht", 8),
        (("models", "unet"), "width", 0),
        (("models", "unet"), "adversarial", "lsgan"),  # a key of pix2pix
        (("models", "unet"), "training", {"epoch": 3}),
        (("models",), "Bad Name", {"method": "unet"}),
    ],
)
def test_a_wrong_key_or_value_is_refused(where: tuple[str, ...], key: str, value: Any) -> None:
    content = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    changed = copy.deepcopy(content)
    place = changed
    for name in where:
        place = place[name]
    place[key] = value
    assert faults(content) == []
    assert faults(changed), f"{key}: {value} passed"


def test_every_method_has_its_own_keys_in_the_schema() -> None:
    entry = json.loads(SCHEMA.read_text())["$defs"]["ModelSettings"]
    assert entry["properties"]["method"]["enum"] == method_names()
    names = [case["if"]["properties"]["method"]["const"] for case in entry["allOf"]]
    assert names == method_names()
    assert all(case["then"]["additionalProperties"] is False for case in entry["allOf"])
