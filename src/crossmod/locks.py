"""One writer at a time: locks that end with their process, jobs that end with their workflow."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from crossmod.errors import CrossmodError
from crossmod.paths import STATE

WORKFLOW_VARIABLE = "CROSSMOD_WORKFLOW_PID"
_held: list[IO[str]] = []


def claim_workflow(folder: Path = STATE) -> None:
    """Make this process the only workflow at work in the working folder, until it ends.

    The kernel drops the lock with the process, however it dies. Whoever gets it knows that
    Snakemake's own lock files can only be left-overs, and removes them.

    Raises
    ------
    CrossmodError
        If another workflow is alive here.
    """
    folder.mkdir(exist_ok=True)
    stream = open(folder / "crossmod.lock", "a+")  # noqa: SIM115 - held until the process ends
    if not _try_lock(stream):
        stream.seek(0)
        owner = stream.read().strip() or "unknown"
        stream.close()
        remedy = "wait for it, or stop it first"
        raise CrossmodError(Path.cwd(), f"another run (process {owner}) is at work here", remedy)
    stream.truncate(0)
    stream.write(f"{os.getpid()}\n")
    stream.flush()
    _held.append(stream)
    for stale in (folder / "locks").glob("*"):
        stale.unlink(missing_ok=True)


def workflow_at_work(folder: Path = STATE) -> str | None:
    """Process id of the workflow alive in the working folder, None if there is none."""
    try:
        with open(folder / "crossmod.lock") as stream:
            return None if _try_lock(stream) else stream.read().strip() or "unknown"
    except FileNotFoundError:
        return None


@contextmanager
def stage_lock(output: Path, patience_s: float = 30.0) -> Iterator[None]:
    """Hold the lock of an output while a stage writes it.

    Parameters
    ----------
    output : path
        The output that names the job.
    patience_s : float
        How long to wait for a process left over from a killed run; such a process ends by
        itself within seconds (`end_with_workflow`).

    Raises
    ------
    CrossmodError
        If another process still holds the lock after that time.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    path = output.with_name(f".{output.name}.lock")
    began = time.monotonic()
    stream = open(path, "a")  # noqa: SIM115 - opened anew while waiting
    while not _try_lock(stream):
        stream.close()
        if time.monotonic() - began > patience_s:
            raise CrossmodError(output, "is being written by another process", "stop it first")
        time.sleep(0.2)
        # The owner removes the file when it is done: wait for the file that is there now.
        stream = open(path, "a")  # noqa: SIM115
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        stream.close()


def announce_workflow() -> None:
    """Tell the jobs of this workflow whom to outlive by no more than a second."""
    os.environ[WORKFLOW_VARIABLE] = str(os.getpid())


def _try_lock(stream: IO[str]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    # The file may have been unlinked by its last owner between open and lock.
    try:
        return os.fstat(stream.fileno()).st_ino == os.stat(stream.name).st_ino
    except FileNotFoundError:
        return False


def end_with_workflow(interval_s: float = 0.5) -> None:
    """End this process soon after the workflow that started it has died.

    A workflow killed with SIGKILL cannot end its jobs; an orphan would write on beside the next
    run. Without a workflow (a stage typed by hand) nothing happens.
    """
    parent = os.environ.get(WORKFLOW_VARIABLE, "")
    if not parent.isdigit():
        return
    born = _birth(int(parent))

    def watch() -> None:
        while born is not None and _birth(int(parent)) == born:
            time.sleep(interval_s)
        print("crossmod: the workflow has ended, so does this stage", file=sys.stderr, flush=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-workflow").start()


def _birth(pid: int) -> str | None:
    """Start time of a live process, None if there is none; tells a process from a reused id."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self").exists() else "unknown"
    return None if fields[0] in "ZX" else fields[19]
