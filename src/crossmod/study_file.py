"""Study files: how they are found, laid over the default study, and refused."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import yaml
from pydantic import ValidationError

from crossmod.checking import first_fault
from crossmod.config import Study
from crossmod.errors import ConfigError
from crossmod.paths import DEFAULT_STUDY

DATA_DIR_VARIABLE = "CROSSMOD_DATA_DIR"
MOST_VALUES = 100_000
"""Values in a study file, its aliases written out."""


class _TooLargeError(Exception):
    """A few lines of YAML that stand for more values than any study has."""


def load_study(overrides: Mapping[str, Any] | None = None, path: Path | str | None = None) -> Study:
    """Load, complete and check a study.

    Parameters
    ----------
    overrides : mapping, optional
        Keys given on the command line (Snakemake's `config`). If they name a study, they are
        the study; otherwise they are laid over the default study.
    path : path, optional
        Study file to start from.

    Raises
    ------
    ConfigError
        With the full key path, and the nearest known key for an unknown one.
    """
    given = dict(overrides or {})
    if path is None and "study" not in given:
        path = DEFAULT_STUDY
    base = read_yaml(path) if path is not None else {}
    merged = {**base, **given}
    if os.environ.get(DATA_DIR_VARIABLE) and "data_dir" not in given and not _is_phantom(merged):
        merged["data_dir"] = os.environ[DATA_DIR_VARIABLE]
    return parse_study(merged, where=path or "the configuration")


def study_from(text: str, data_dir: str | None = None) -> Study:
    """Load the study that a command line names.

    Parameters
    ----------
    text : str
        Study file, or the content of one as JSON.
    data_dir : str, optional
        Folder of the raw data, instead of the study's own.

    Raises
    ------
    ConfigError
        As `load_study`.
    """
    overrides = {"data_dir": data_dir} if data_dir else {}
    if not text.lstrip().startswith("{"):
        return load_study(overrides, text)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError("STUDY", f"is no JSON ({error})", "name a study file") from None
    return parse_study({**content, **overrides}, "the study given")


def read_yaml(path: Path | str) -> dict[str, Any]:
    """Read a YAML mapping with the safe loader (no Python objects)."""
    try:
        with open(path, encoding="utf-8") as stream:
            content = _load_yaml(stream)
    except FileNotFoundError:
        raise ConfigError(path, "does not exist", "check the path") from None
    except OSError as error:
        raise ConfigError(path, f"cannot be read ({error.strerror})", "name a study file") from None
    except UnicodeDecodeError as error:
        problem = f"is no UTF-8 text ({error.reason} at byte {error.start})"
        raise ConfigError(path, problem, "name a study file saved as UTF-8") from None
    except yaml.YAMLError as error:
        problem = f"is no YAML ({' '.join(str(error).split())})"
        raise ConfigError(path, problem, "mend the line named") from None
    except (_TooLargeError, RecursionError):
        problem = f"nests too deeply or repeats itself to more than {MOST_VALUES} values"
        raise ConfigError(path, problem, "write out what its aliases (*name) stand for") from None
    if not isinstance(content, dict):
        raise ConfigError(path, "holds no keys", "see config/README.md")
    return content


def _load_yaml(stream: TextIO) -> Any:
    loader = yaml.SafeLoader(stream)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _count(node: yaml.Node, counts: dict[yaml.Node, int]) -> int:
    """Values below a node once its aliases are written out; each node is visited once."""
    if node in counts:
        return counts[node]
    counts[node] = MOST_VALUES  # so that an alias to a node around it is too much
    parts = node.value if isinstance(node, yaml.CollectionNode) else ()
    below = chain.from_iterable(parts) if isinstance(node, yaml.MappingNode) else parts
    counts[node] = 1 + sum(_count(part, counts) for part in below)
    if counts[node] > MOST_VALUES:
        raise _TooLargeError
    return counts[node]


def parse_study(content: Mapping[str, Any], where: Path | str) -> Study:
    """Check the content of a study file; the first fault becomes a `ConfigError`."""
    try:
        study = Study.model_validate(dict(content))
    except ValidationError as error:
        problem, hint = first_fault(error, Study)
        raise ConfigError(where, problem, hint or "see config/README.md") from None
    if study.dataset.layout == "phantom" and study.data_dir is not None:
        remedy = "leave it away, or name a study file of your own (--configfile)"
        raise ConfigError(where, "data_dir is set, but the phantom makes its own data", remedy)
    if study.dataset.layout != "phantom" and study.data_dir is None:
        remedy = f"set it there, with --config data_dir=..., or in {DATA_DIR_VARIABLE}"
        raise ConfigError(where, "data_dir is not set", remedy)
    return study


def _is_phantom(content: Mapping[str, Any]) -> bool:
    dataset = content.get("dataset")
    return isinstance(dataset, Mapping) and dataset.get("layout") == "phantom"
