"""Content hashes: of settings, of files, of source code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SHORT = 8


def canonical_json(value: Any) -> str:
    """One JSON text per value: sorted keys, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hash_settings(value: Any) -> str:
    """First 8 hex digits of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:SHORT]


def hash_file(path: Path | str) -> str:
    """SHA-256 of a file, 64 hex digits, read in pieces of 1 MiB."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_files(paths: Sequence[Path]) -> str:
    """SHA-256 of one file, or over the SHA-256 of several in their order, 64 hex digits."""
    hashes = [hash_file(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def hash_code() -> str:
    """First 8 hex digits of the SHA-256 over the package's own source files."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:SHORT]
