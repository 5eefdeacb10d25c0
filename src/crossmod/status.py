"""Status files: what a job made of a subject, so that a bad subject is a result, not a crash.

Every job on a session (or a batch of sessions) declares one status file as its output. It holds
the verdict, the reason in one line, and the SHA-256 of everything the job wrote, so that a stage
that takes the status file as input runs again exactly when a file behind it changed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from crossmod.errors import CrossmodError, InputError
from crossmod.files import read_json, write_json
from crossmod.hashing import hash_file

Verdict = Literal["ok", "failed"]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Status:
    """Verdict of one stage on one session.

    Attributes
    ----------
    stage : str
        Name of the sub-command.
    session : str
        Session key, `sub-01[_ses-2]`.
    verdict : {"ok", "failed"}
        `failed` means: left out from here on, for `reason`.
    reason : str
        One line; empty when `ok`.
    outputs : dict of str to dict
        `{name: {"path": relative to the status file, "sha256": ...}}`.
    details : dict
        Plain values a later stage or the report needs; no times, no absolute paths.
    """

    stage: str
    session: str
    verdict: Verdict = "ok"
    reason: str = ""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether later stages may use the session."""
        return self.verdict == "ok"

    def path(self, name: str, status_file: Path | str) -> Path:
        """Path of output `name`.

        Raises
        ------
        InputError
            If the status lists no such output or the file is gone.
        """
        if name not in self.outputs:
            problem = f"stage {self.stage} made no {name} for {self.session}"
            raise InputError(status_file, problem, "check which modalities the session has")
        path = Path(status_file).parent / self.outputs[name]["path"]
        if not path.is_file():
            remedy = f"delete {status_file} and run again"
            raise InputError(path, "is listed by a status file but does not exist", remedy)
        return path


def describe_outputs(status_file: Path | str, paths: dict[str, Path]) -> dict[str, dict[str, str]]:
    """Relative path and SHA-256 of each written file, for `Status.outputs`."""
    root = Path(status_file).parent
    return {
        name: {"path": path.relative_to(root).as_posix(), "sha256": hash_file(path)}
        for name, path in paths.items()
    }


def write_status(path: Path | str, status: Status) -> None:
    """Write one status file."""
    write_json(path, asdict(status))


def read_status(path: Path | str) -> Status:
    """Read one status file; `InputError` if it is missing or malformed."""
    content = read_json(path)
    try:
        return Status(**content)
    except TypeError as error:
        raise InputError(path, f"is no status file ({error})", "delete it, run again") from None


def guarded(stage: str, session: str, work: Callable[[], Status]) -> Status:
    """Run `work`; turn a fault of the input into a `failed` status, let program faults pass.

    The end is logged too, so that a log read on its own tells what happened.
    """
    began = time.monotonic()
    try:
        status = work()
    except CrossmodError as error:
        status = Status(stage=stage, session=session, verdict="failed", reason=str(error))
    if status.ok:
        log_done(stage, session, began)
    else:
        log.warning("%s left out: %s", session, status.reason)
    return status


def log_done(stage: str, session: str, began: float) -> None:
    """Tell that a stage is done with a session, and the seconds since `began` (monotonic)."""
    log.info("%s: %s done (%.1f s)", session, stage, time.monotonic() - began)


def write_batch(path: Path | str, statuses: Iterable[Status]) -> None:
    """Write the statuses of a batch of sessions as one file, a JSON list."""
    write_json(path, [asdict(status) for status in statuses])


def read_batch(path: Path | str) -> list[Status]:
    """Read the statuses of a batch of sessions."""
    content = read_json(path)
    if not isinstance(content, list):
        raise InputError(path, "is no list of statuses", "delete it and run again")
    return [Status(**entry) for entry in content]
