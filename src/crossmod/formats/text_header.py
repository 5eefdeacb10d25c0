"""Text headers of `key = value` or `key: value` lines, as MetaImage and NRRD have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.formats.stored import unreadable

MOST_BYTES = 2**20


def read_start(path: Path) -> bytes:
    """First MiB of a file; headers end before that.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES)
    except OSError as error:
        raise unreadable(path, error) from None


def numbers(path: Path, key: str, text: str, count: int) -> NDArray[np.float64]:
    """Numbers of a field.

    Raises
    ------
    InputError
        If they are not `count` numbers.
    """
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        values = np.empty(0)
    if len(values) != count:
        problem = f"has {key} {text[:40]!r} where {count} numbers are due"
        raise InputError(path, problem, "repair its header or convert it again")
    return values


def whole_numbers(path: Path, key: str, text: str, count: int) -> list[int]:
    """Whole numbers of a field.

    Raises
    ------
    InputError
        As `numbers`, and if one is no whole number.
    """
    values = numbers(path, key, text, count)
    if not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        problem = f"has {key} {text[:40]!r} where whole numbers are due"
        raise InputError(path, problem, "repair its header or convert it again")
    return [int(v) for v in values]


def required(path: Path, fields: dict[str, str], keys: Sequence[str]) -> None:
    """Refuse a header without one of the keys.

    Raises
    ------
    InputError
        Naming the first that is missing.
    """
    for key in keys:
        if key not in fields:
            problem = f"has no {key} in its header"
            raise InputError(path, problem, "repair its header or convert it again")
