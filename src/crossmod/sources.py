"""Which source files decide the result of a stage: the closure of its imports.

Snakemake does not look into imported modules, so rules list these files as inputs. They are found
by reading import statements, so that the list cannot go stale.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from crossmod.methods import module_name

ROOT = Path(__file__).parent
# Modules that carry values but do not decide them: a change there does not change a result.
PLUMBING = {
    "crossmod.checking",
    "crossmod.config",
    "crossmod.errors",
    "crossmod.files",
    "crossmod.hashing",
    "crossmod.methods",
    "crossmod.methods.registry",
    "crossmod.paths",
    "crossmod.settings",
    "crossmod.status",
    "crossmod.study_file",
}
STAGES = {
    "phantom": ("crossmod.phantom",),
    "ingest": ("crossmod.ingest.stage",),
    "participants": ("crossmod.ingest.dataset",),
    "preprocess": ("crossmod.preprocess.session",),
    "slices": ("crossmod.slices",),
    "train": ("crossmod.training.loop",),
    "synthesize": ("crossmod.synthesis",),
    "evaluate": ("crossmod.evaluation.stage",),
    "quality": ("crossmod.report.quality.pages",),
    "summarize": ("crossmod.evaluation.summary", "crossmod.evaluation.curves"),
    "report": ("crossmod.report.page", "crossmod.description"),
}


TEMPLATES = {"report": ("report",), "quality": ("report/quality", "report")}
"""Folders of the templates, styles and scripts of the stages that write pages."""


def stage_sources(stage: str, method: str | None = None) -> list[str]:
    """Source files of a stage, and of a method if one is named, as sorted paths."""
    modules: set[str] = set()
    for name in STAGES[stage]:
        modules |= closure(name)
    if method is not None:
        for suffix in ("", "_settings"):
            modules |= closure(f"crossmod.methods.{module_name(method)}{suffix}")
    files = {_file(name) for name in modules} - {None}
    for folder in TEMPLATES.get(stage, ()):
        kinds = (".html", ".css", ".js")
        files |= {path for path in (ROOT / folder).iterdir() if path.suffix in kinds}
    return sorted(str(path) for path in files)


@cache
def closure(module: str) -> frozenset[str]:
    """The module and every module of this package that it imports, directly or not."""
    seen: set[str] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        if name in seen or name in PLUMBING or _file(name) is None:
            continue
        seen.add(name)
        queue += _imports(name)
    return frozenset(seen)


@cache
def _imports(module: str) -> tuple[str, ...]:
    file = _file(module)
    assert file is not None
    found = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(name for name in found if name.startswith("crossmod."))


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
