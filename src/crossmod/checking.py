"""Settings checked with pydantic, and what is wrong with them in words."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")
_NO_MAPPING = ("dict_type", "model_type", "dataclass_type")


class Section(BaseModel):
    """Base of the sections of a study file: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def check(kind: type[T], content: Any, where: str) -> T:
    """Settings of a kind (dataclass or pydantic model) made from plain values.

    Raises
    ------
    ValueError
        With `where`, the key, and what is wrong with it.
    """
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        problem, hint = first_fault(error, kind, where)
        raise ValueError(f"{problem}; {hint}" if hint else problem) from None


def first_fault(error: ValidationError, kind: Any, where: str = "") -> tuple[str, str]:
    """Problem with the full key, and a hint ("" if there is none) from the keys that are known."""
    # A misspelled key that is needed is unknown and missing at once: the spelling says more.
    faults = error.errors()
    fault = next((fault for fault in faults if fault["type"] in _UNKNOWN), faults[0])
    location = fault["loc"]
    key = ".".join([where, *map(str, location)]).lstrip(".")
    if fault["type"] in _UNKNOWN:
        return f"unknown key {key}", nearest(str(location[-1]), _known_keys(kind, location[:-1]))
    if fault["type"] in _MISSING:
        return f"the key {key} is missing", "add it; see config/README.md"
    if fault["type"] in _NO_MAPPING:
        return f"{key}: needs keys with values, such as `name: value`", ""
    message = fault["msg"].removeprefix("Value error, ")
    return (f"{key}: {message}" if key else message), ""


def nearest(name: str, known: Sequence[str]) -> str:
    """Hint for a name that is not known."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"


def _known_keys(kind: Any, location: Sequence[int | str]) -> list[str]:
    """Keys of the settings that lie at `location` below `kind`."""
    for part in map(str, location):  # places in a list are no fields
        fields = _fields(kind)
        kind = _settings_in(fields[part]) if part in fields else kind
    return list(_fields(kind))


def _fields(kind: Any) -> dict[str, Any]:
    """Types of the fields of settings by name."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    return get_type_hints(kind) if is_dataclass(kind) else {}


def _settings_in(annotation: Any) -> Any:
    """The settings that an annotation holds, alone, in a list or as an option."""
    if isinstance(annotation, type) and (is_dataclass(annotation) or _fields(annotation)):
        return annotation
    found = (_settings_in(inner) for inner in get_args(annotation))
    return next((inner for inner in found if inner is not None), None)
