"""Headers read once: a record per participant, private to the working folder and the user.

Records lie in Snakemake's folder of state, which is no result. Besides the facts of `Header` they
hold the folder's path, and paths below it, sizes and times of files; a record changes exactly when
these do, so that it stands for a participant's files among the inputs of a rule.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from crossmod.errors import InputError
from crossmod.files import atomic_path
from crossmod.hashing import hash_file
from crossmod.ingest.dicom import headers, identity, words
from crossmod.ingest.dicom.headers import Header, Slice, read_header
from crossmod.paths import STATE

_RECORDS = STATE / "dicom"
_READERS = (headers, identity, words)


@dataclass(frozen=True)
class Folder:
    """What lies in one participant's folder.

    Attributes
    ----------
    record : path
        File that keeps all this, relative to the working folder.
    pairs : list of (Header, Slice)
        DICOM images, in the order of paths.
    others : dict of str to int
        What else there is: a fault in words and how many files have it.
    closed : int
        Number of folders in it that may not be read.
    """

    record: Path
    pairs: list[tuple[Header, Slice]]
    others: dict[str, int]
    closed: int = 0


def read_folder(folder: Path) -> Folder:
    """Headers of all DICOM files below a folder; only new and changed files are read.

    Hidden files and folders are passed over, links to folders are not followed.

    Parameters
    ----------
    folder : path
        Folder of one participant.
    """
    record = record_of(folder)
    old = _load(record)
    known = [_header(values) for values in old["headers"]]
    numbers = {header: number for number, header in enumerate(known)}
    files: dict[str, list[Any]] = {}
    changed = False
    closed: list[Path] = []
    for path, status in _files(folder, closed):
        name = path.relative_to(folder).as_posix()
        stamp = [status.st_size, status.st_mtime_ns]
        entry = old["files"].get(name)
        if entry is None or entry[:2] != stamp:
            entry, changed = stamp + _read(path, folder.name, numbers), True
        files[name] = entry
    known = list(numbers)
    if changed or len(files) != len(old["files"]):
        _save(record, folder, known, files)
    return replace(_folder(record, folder, known, files), closed=len(closed))


def open_record(record: Path) -> Folder:
    """What a record says, without a look at the folder.

    Raises
    ------
    InputError
        If it is missing or was made by another version of the reader.
    """
    content = _load(record)
    if not content["folder"]:
        raise InputError(record, "is no record of DICOM headers", "index the data set again")
    known = [_header(values) for values in content["headers"]]
    return _folder(record, Path(content["folder"]), known, content["files"])


def record_of(folder: Path) -> Path:
    """Where the record of a folder lies; its name does not tell the folder's, not even by trial."""
    name = hashlib.blake2b(os.fsencode(folder.absolute()), key=_key(), digest_size=12)
    return _RECORDS / f"{name.hexdigest()}.json"


def _key() -> bytes:
    """A random key of the working folder, made once."""
    path = _RECORDS / "key"
    if not path.is_file():
        _RECORDS.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_path(path) as temporary:
            temporary.write_bytes(secrets.token_bytes(32))
        path.chmod(0o600)
    return path.read_bytes()


def _files(folder: Path, closed: list[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            inside = sorted((e for e in entries if e.name[0] != "."), key=lambda e: e.name)
    except PermissionError:
        closed.append(folder)
        return
    for entry in inside:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), closed)
        elif entry.is_file():
            yield Path(entry.path), entry.stat()


def _read(path: Path, folder: str, numbers: dict[Header, int]) -> list[Any]:
    """What a record says of a file after size and time: header, instance, positions, or why not."""
    found = read_header(path, folder)
    if isinstance(found, str):
        return [found]
    header, piece = found
    return [
        numbers.setdefault(header, len(numbers)),
        piece.instance,
        piece.positions,
        piece.pixel_bytes,
    ]


def _folder(record: Path, folder: Path, known: list[Header], files: dict[str, list[Any]]) -> Folder:
    found = Folder(record, [], {})
    for name, (size, _, what, *rest) in files.items():
        if isinstance(what, str):
            found.others[what] = found.others.get(what, 0) + 1
        else:
            instance, positions, pixel_bytes = rest
            places = tuple(tuple(place) for place in positions)
            piece = Slice(folder / name, instance, places, size, pixel_bytes)
            found.pairs.append((known[what], piece))
    return found


def _version() -> str:
    """Changes with the code that reads headers."""
    return "".join(hash_file(str(module.__file__))[:8] for module in _READERS)


def _load(record: Path) -> dict[str, Any]:
    empty = {"version": _version(), "folder": "", "headers": [], "files": {}}
    try:
        content = json.loads(record.read_text(encoding="utf-8", errors="surrogateescape"))
        return content if content["version"] == empty["version"] else empty
    except (OSError, ValueError, KeyError, TypeError):
        return empty


def _save(record: Path, folder: Path, known: list[Header], files: dict[str, list[Any]]) -> None:
    """Write a record; its content depends on the files alone, not on the order of reading."""
    used = dict.fromkeys(entry[2] for entry in files.values() if isinstance(entry[2], int))
    numbers = {old: new for new, old in enumerate(used)}
    for entry in files.values():
        entry[2] = numbers.get(entry[2], entry[2])
    content = {
        "version": _version(),
        "folder": str(folder.absolute()),
        "headers": [list(asdict(known[number]).values()) for number in numbers],
        "files": files,
    }
    known[:] = [known[number] for number in numbers]
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    with atomic_path(record) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    record.chmod(0o600)


def _header(values: list[Any]) -> Header:
    names = [field.name for field in fields(Header)]
    plain: list[Any] = [tuple(v) if isinstance(v, list) else v for v in values]
    return Header(**dict(zip(names, plain, strict=True)))
