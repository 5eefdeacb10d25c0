"""Register of method classes; importing a method's file fills it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from crossmod.methods.base import Inputs, Method

M = TypeVar("M", bound="type[Method]")

_classes: dict[str, type[Method]] = {}


def register(name: str) -> Callable[[M], M]:
    """Class decorator: make a method known by `name`."""

    def keep(cls: M) -> M:
        if name in _classes and _classes[name].__qualname__ != cls.__qualname__:
            raise ValueError(f"two methods are named {name}")
        _classes[name] = cls
        return cls

    return keep


def get(name: str) -> type[Method]:
    """Class registered by `name`; `KeyError` if its file registers another name."""
    return _classes[name]


def build(name: str, settings: dict[str, Any], inputs: Inputs) -> Method:
    """Instance of method `name` with its own settings, for `inputs`.

    Raises
    ------
    ConfigError
        If the method cannot be built for these inputs.
    """
    from crossmod.methods import method_class, settings_class

    return method_class(name)(settings_class(name)(**settings), inputs)
