"""Write the pages and the schema that come from the code: settings, command line, study files.

`python workflow/make_reference.py` writes them, `--check` says whether they are up to date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from command_page import command_page
from pydantic import TypeAdapter
from study_schema import study_schema

from crossmod.config import Study
from crossmod.methods import declaration, method_names, settings_class

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "workflow" / "schemas" / "study.schema.json"
README = ROOT / "config" / "README.md"
COMMANDS = ROOT / "docs" / "reference" / "command-line.md"
HEAD = """\
# Study files

`config.yaml` is the default study, on the embedded phantom. Your own studies go to
`studies/NAME.yaml` and run with `snakemake --cores all --configfile config/studies/NAME.yaml`.
A study file says what is done (the science); cores, memory and GPUs belong to a profile.

The least a study needs:

```yaml
study: mine                     # results/mine
data_dir: /data/my-bids         # or --config data_dir=..., or CROSSMOD_DATA_DIR
dataset: {name: my-data}        # names the shared derivatives
tasks:
  - {sources: [T1w, T2w], target: FLAIR}
models:
  unet: {method: unet}
  pix2pix: {method: pix2pix}
  linear: {method: linear-regression}
```

An unknown key is an error that names the nearest known one. An editor with a YAML language
server (the YAML extension of VS Code, for example) completes and checks a study file whose first
line names the schema; for a file in `studies/` that line is

```yaml
# yaml-language-server: $schema=../../workflow/schemas/study.schema.json
```

This page is made by `workflow/make_reference.py`; do not edit it.
"""


def main() -> int:
    """Write or check."""
    texts = {
        SCHEMA: json.dumps(study_schema(), indent=2) + "\n",
        README: HEAD + "".join(_sections()),
        COMMANDS: command_page(),
    }
    stale = [p for p, text in texts.items() if not (p.is_file() and p.read_text() == text)]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not up to date: run workflow/make_reference.py")
        return len(stale)
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path])
    return 0


def _sections() -> list[str]:
    schema = Study.model_json_schema()
    definitions = schema["$defs"]
    sections = ["\n## The study\n\n", _table(schema)]
    for key, field in schema["properties"].items():
        name = _reference(field)
        if name and name != "ModelSettings":
            sections += [
                f"\n## `{key}`\n\n{_text(definitions[name])}\n\n",
                _table(definitions[name]),
            ]
            for inner, inner_field in definitions[name]["properties"].items():
                deeper = _reference(inner_field)
                if deeper:
                    title = f"\n### `{key}.{inner}`\n\n{_text(definitions[deeper])}\n\n"
                    sections += [title, _table(definitions[deeper])]
    sections.append(
        "\n## `models`\n\nEach entry: `method`, `training` (overrides), and own keys.\n"
    )
    for name in method_names():
        found = declaration(name)
        kind = "null model" if found.null else found.fitting
        sections.append(f"\n### `method: {name}`\n\n{kind}; {found.pairing}; {found.arity}.\n\n")
        sections.append(_table(TypeAdapter(settings_class(name)).json_schema()))
    return sections


def _table(model: dict[str, Any]) -> str:
    properties = model.get("properties", {})
    if not properties:
        return "No keys of its own.\n"
    lines = ["| key | default | what |", "| --- | --- | --- |"]
    required = model.get("required", [])
    for key, field in properties.items():
        default = "required" if key in required else f"`{json.dumps(field.get('default'))}`"
        if _reference(field) and key not in required:
            default = "see below"
        text = " ".join(field.get("description", "").split())
        choices = field.get("enum")
        text += f" One of {', '.join(f'`{c}`' for c in choices)}." if choices else ""
        lines.append(f"| `{key}` | {default} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def _reference(field: dict[str, Any]) -> str:
    """Name of the settings model that a field holds, alone, in a list or as an option."""
    places = [field, field.get("items", {}), *field.get("anyOf", ()), *field.get("allOf", ())]
    for place in places:
        if "$ref" in place:
            return place["$ref"].rsplit("/", 1)[1]
    return ""


def _text(model: dict[str, Any]) -> str:
    return " ".join(model.get("description", "").split())


if __name__ == "__main__":
    sys.exit(main())
