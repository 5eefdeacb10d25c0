"""Synthesis methods: one file each, found by name. Importing this package imports no torch.

A method `foo` is two files: `foo.py` with the class (needs torch) and `foo_settings.py` with its
settings and its declaration (does not), so that the workflow reads the second only.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from crossmod.methods.base import Method
    from crossmod.settings import Settings

SUFFIX = "_settings"


@dataclass(frozen=True)
class Declaration:
    """What a method needs and how it learns; the workflow derives its data from this.

    Attributes
    ----------
    pairing : {"paired", "unpaired", "mixed", "misaligned"}
        Whether source and target of one subject must fit voxel by voxel.
    arity : {"one-to-one", "many-to-one", "any-to-one", "any-to-any"}
        How many modalities go in and out; `any`: synthesis needs not all sources of the task.
    dimensionality : tuple of {"2D", "2.5D", "3D"}
        What it can be given.
    fitting : {"gradient", "classical"}
        Trained by the loop, or fitted at once.
    null : bool
        A null model: a control that no synthesis method may fail to beat.
    """

    pairing: Literal["paired", "unpaired", "mixed", "misaligned"] = "paired"
    arity: Literal["one-to-one", "many-to-one", "any-to-one", "any-to-any"] = "many-to-one"
    dimensionality: tuple[Literal["2D", "2.5D", "3D"], ...] = ("2D",)
    fitting: Literal["gradient", "classical"] = "gradient"
    null: bool = False

    @property
    def takes_part(self) -> bool:
        """Whether synthesis can do with some of the sources."""
        return self.arity.startswith("any-")

    def serves(self, sources: Collection[str], available: Collection[str]) -> bool:
        """Whether a target can be made of what is available of a task's sources."""
        if self.takes_part:
            return not set(sources).isdisjoint(available)
        return set(sources) <= set(available)


def method_names() -> list[str]:
    """Names of all methods, sorted."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(
        name.removesuffix(SUFFIX).replace("_", "-") for name in names if name.endswith(SUFFIX)
    )


def module_name(method: str) -> str:
    """Module of a method: `linear-regression` lives in `linear_regression.py`."""
    return method.replace("-", "_")


def _settings_module(method: str) -> Any:
    if method not in method_names():
        near = difflib.get_close_matches(method, method_names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(method_names())}"
        raise ValueError(f"unknown method {method!r}; {hint}")
    return importlib.import_module(f"{__name__}.{module_name(method)}{SUFFIX}")


def declaration(method: str) -> Declaration:
    """Declaration of a method; `ValueError` for an unknown name."""
    found: Declaration = _settings_module(method).DECLARATION
    return found


def settings_class(method: str) -> type[Settings]:
    """Settings of a method, a frozen dataclass; `ValueError` for an unknown name."""
    found: type[Settings] = _settings_module(method).MethodSettings
    return found


def method_class(method: str) -> type[Method]:
    """Class of a method; imports torch."""
    _settings_module(method)
    from crossmod.methods import registry

    importlib.import_module(f"{__name__}.{module_name(method)}")
    return registry.get(method)
