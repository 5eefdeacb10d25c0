"""Which job wrote a file: the status file that lists it, and whether it is still the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmod.errors import InputError
from crossmod.files import read_json
from crossmod.hashing import hash_file
from crossmod.paths import CONVERTED, IngestedPaths
from crossmod.status import Status, read_status

LEVELS = 6  # from a file up to the folder of its status file, at most


@dataclass(frozen=True)
class Owner:
    """A status, where it lies, and which of its outputs is meant."""

    status: Status
    status_file: Path
    output: str = ""

    def path(self, name: str) -> Path:
        """Path of one of the outputs.

        Raises
        ------
        InputError
            If it is missing, or is not what the job wrote.
        """
        path = self.status.path(name, self.status_file)
        check_hash(path, self.status.outputs[name]["sha256"], self.status_file)
        return path

    def detail(self, name: str) -> Any:
        """One of the details.

        Raises
        ------
        InputError
            If an older version wrote the status, without it.
        """
        if name not in self.status.details:
            problem = f"does not tell {name}"
            raise InputError(self.status_file, problem, "delete it and run the study again")
        return self.status.details[name]


def find_owner(path: Path) -> Owner | None:
    """Find the status file that lists a file; None if there is none.

    Raises
    ------
    InputError
        If the file has changed since.
    """
    where = path.resolve()
    for folder in where.parents[:LEVELS]:
        for status_file in sorted(folder.glob("*_status.json")):
            key = status_file.name.split("_desc-")[0]
            if not where.name.startswith(f"{key}_") and not key.startswith("batch-"):
                continue
            for status in _statuses(status_file):
                for name, output in status.outputs.items():
                    if folder / output["path"] == where:
                        check_hash(where, output["sha256"], status_file)
                        return Owner(status, status_file, name)
    return None


def conversion_of(preprocessed: Owner) -> Status | None:
    """What `crossmod ingest` tells of the session that was preprocessed, if it converted it."""
    folder = preprocessed.status_file.parent.parent / CONVERTED
    path = IngestedPaths(folder, preprocessed.status.session).status
    return read_status(path) if path.is_file() else None


def _statuses(path: Path) -> list[Status]:
    content = read_json(path)
    if not isinstance(content, list):
        return [read_status(path)]
    return [Status(**entry) for entry in content]


def check_hash(path: Path, sha256: str, recorded_in: Path) -> None:
    """Refuse a file that is not what was recorded.

    Raises
    ------
    InputError
        With the name of the file that says so.
    """
    if hash_file(path) != sha256:
        problem = f"has changed since {recorded_in.name} was written"
        raise InputError(path, problem, "delete that and run the study again")


def session_of(path: Path, key: str, settings_hash: str, raw: set[str]) -> Owner:
    """The preprocessed session that a synthetic image was made from.

    Parameters
    ----------
    path : path
        The image; `derivatives` lies beside the `results` that it is in.
    key : str
        Session key.
    settings_hash : str
        Hash of the settings of preprocessing.
    raw : set of str
        Hashes of raw scans that the session must have.

    Raises
    ------
    InputError
        If there is none.
    """
    pattern = f"derivatives/*/preproc-{settings_hash}/{key}_desc-preproc_status.json"
    for folder in path.resolve().parents:
        for status_file in sorted(folder.glob(pattern)):
            status = read_status(status_file)
            found = {scan["sha256"] for scan in status.details.get("raw", {}).values()}
            if raw <= found:
                return Owner(status, status_file)
    problem = f"was made from {key} in preproc-{settings_hash}, which is not there"
    raise InputError(path, problem, "keep derivatives beside results, or run the study again")
