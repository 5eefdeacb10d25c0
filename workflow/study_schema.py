"""JSON schema of study files, for editors: the settings models, plus each method's own keys."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from crossmod.config import Study
from crossmod.methods import method_names, settings_class


def study_schema() -> dict[str, Any]:
    """The schema that pydantic gives, with the entries of `models` told apart by their method.

    pydantic checks a method's keys after the fact, so its own schema lets any key of a model pass.
    """
    schema = Study.model_json_schema()
    entry = schema["$defs"]["ModelSettings"]
    common = entry["properties"]
    common["method"]["enum"] = method_names()
    common["training"] = {
        "$ref": "#/$defs/TrainingSettings",
        "description": common["training"]["description"],
    }
    entry["allOf"] = [_of_method(name, common) for name in method_names()]
    # pydantic gives the pattern of a model's name, and lets other names pass.
    schema["properties"]["models"]["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _of_method(name: str, common: dict[str, Any]) -> dict[str, Any]:
    """If the method is `name`, these keys and no others."""
    own = TypeAdapter(settings_class(name)).json_schema()
    chosen = {"properties": {"method": {"const": name}}, "required": ["method"]}
    keys = {**dict.fromkeys(common, True), **own.get("properties", {})}
    return {"if": chosen, "then": {"properties": keys, "additionalProperties": False}}
