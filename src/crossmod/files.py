"""Text, JSON and table files: atomic writes, plain reads."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossmod.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside `path`; move it there when the block ends well.

    The temporary name ends like `path`, because writers choose the format by the suffix. A
    killed process leaves at most a hidden `.tmp-*` file, never something that looks finished.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".gz") else path.suffix
    handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mode = 0o666 & ~_umask()
        temporary.chmod(mode)
        os.replace(temporary, path)
    except OSError as error:  # a full disk is told without the file that it was full for
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically; an unchanged file is left alone.

    Of file names, bytes that are no UTF-8 are written as backslash escapes.
    """
    path, content = Path(path), text.encode(errors="backslashreplace")
    if path.is_file() and path.read_bytes() == content:
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path | str, value: Any) -> None:
    """Write indented JSON atomically, keys in the order given, no NaN."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path | str, remedy: str = "delete it and run again") -> Any:
    """Read a JSON file; `remedy` is for one that is no JSON.

    Raises
    ------
    InputError
        If the file is missing or no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(path, "does not exist", "run the stage that makes it") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", remedy) from None
    except RecursionError:
        raise InputError(path, "is no JSON (nested too deeply)", remedy) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(path, f"is no JSON ({error})", remedy) from None


def write_table(path: Path | str, table: pd.DataFrame) -> None:
    """Write a tab-separated table atomically; missing values are `n/a` as BIDS says."""
    text = table.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.10g")
    write_text(path, text)


def read_table(path: Path | str, **columns: Any) -> pd.DataFrame:
    """Read a tab-separated table with `n/a` for missing values.

    Parameters
    ----------
    path : path
        Table file.
    **columns
        Column types, as pandas' `dtype`.

    Raises
    ------
    InputError
        If the file is missing or no table.
    """
    import pandas as pd

    try:
        return pd.read_csv(
            path, sep="\t", dtype=columns or None, na_values=["n/a"], keep_default_na=False
        )
    except FileNotFoundError:
        raise InputError(path, "does not exist", "run the stage that makes it") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        problem = f"is no tab-separated table ({error})"
        raise InputError(path, problem, "save it as a tab-separated UTF-8 table") from None


def write_rows(
    path: Path | str, columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Write a table of text without pandas (the workflow's parsing must stay fast).

    Empty values are written as `n/a`; an unchanged file is left alone.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(
            [row.get(name) if row.get(name) not in (None, "") else "n/a" for name in columns]
        )
    write_text(path, stream.getvalue())


def read_rows(path: Path | str, required: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Read a tab-separated table of text without pandas; `n/a` becomes the empty string.

    Raises
    ------
    InputError
        If the file is missing, no table, or lacks a required column.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(path, "does not exist", "check the path") from None
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise InputError(path, problem, "name a file that can be read") from None
    except UnicodeDecodeError as error:
        problem = f"is no UTF-8 text ({error.reason} at byte {error.start})"
        raise InputError(path, problem, "save it as a tab-separated UTF-8 table") from None
    try:
        if "\0" in text:
            raise csv.Error("it holds zero bytes")
        return _rows(Path(path), text, required)
    except csv.Error as error:
        problem = f"is no tab-separated table ({error})"
        raise InputError(path, problem, "save it as a tab-separated UTF-8 table") from None


def _rows(path: Path, text: str, required: tuple[str, ...]) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(text), delimiter="\t")
    names = list(reader.fieldnames or [])
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(path, f"has the column {twice[0]!r} twice", "keep one of the two")
    missing = [name for name in required if name not in names]
    if missing:
        problem = f"lacks the column {missing[0]!r}" if text.strip() else "is empty"
        raise InputError(path, problem, f"give the tab-separated columns {', '.join(required)}")
    rows = []
    for number, row in enumerate(reader, start=2):
        if None in row or None in row.values():
            problem = f"line {number} has not {len(names)} columns"
            raise InputError(path, problem, "mend that line")
        rows.append({name: "" if value == "n/a" else value.strip() for name, value in row.items()})
    return rows
