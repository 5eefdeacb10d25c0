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
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically; an unchanged file is left alone."""
    path = Path(path)
    if path.is_file() and path.read_bytes() == text.encode():
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Write indented JSON atomically, keys in the order given, no NaN."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        If the file is missing or no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(path, "does not exist", "run the stage that makes it") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(path, f"is no JSON ({error})", "delete it and run again") from None


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
    except (UnicodeDecodeError, OSError) as error:
        problem = f"cannot be read ({error})"
        raise InputError(path, problem, "save it as a tab-separated UTF-8 table") from None
    reader = csv.DictReader(io.StringIO(text), delimiter="\t")
    names = reader.fieldnames or []
    missing = [name for name in required if name not in names]
    if missing:
        problem = f"lacks the column {missing[0]!r}"
        raise InputError(path, problem, f"give the tab-separated columns {', '.join(required)}")
    rows = []
    for number, row in enumerate(reader, start=2):
        if None in row or None in row.values():
            problem = f"line {number} has not {len(names)} columns"
            raise InputError(path, problem, "mend that line")
        rows.append({name: "" if value == "n/a" else value.strip() for name, value in row.items()})
    return rows
