"""Preprocessing of a session that was converted to BIDS first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crossmod.config import PreprocessSettings
from crossmod.paths import PreprocessedPaths
from crossmod.preprocess.annotations import Annotations
from crossmod.preprocess.session import STAGE, run, write_failed
from crossmod.settings import MODALITIES
from crossmod.status import Status, read_status


def run_ingested(
    paths: PreprocessedPaths,
    status_file: Path,
    settings: PreprocessSettings,
    earlier: Sequence[Path] = (),
) -> Status:
    """Preprocess what `crossmod ingest` wrote of a session.

    Scans and annotations that it left out become notes of the session; a session that it left out
    stays out, for the same reason.

    Parameters
    ----------
    paths : PreprocessedPaths
        Where to write.
    status_file : path
        Status file of the ingest stage.
    settings : PreprocessSettings
        What to do.
    earlier : sequence of path
        As for `preprocess_session`.

    Raises
    ------
    InputError
        If the status file is missing or malformed.
    """
    ingested = read_status(status_file)
    if not ingested.ok:
        failed = Status(STAGE, paths.key, "failed", ingested.reason)
        return write_failed(paths, failed)
    files = {name: ingested.path(name, status_file) for name in ingested.outputs}
    scans = {m: files[m] for m in MODALITIES if m in files}
    kinds = ("brain", "lesion")
    brain, lesion = (tuple(p for n, p in files.items() if n.split("-")[0] == k) for k in kinds)
    left_out = ingested.details["left_out"]
    notes = [f"{name} left out: {reason}" for name, reason in left_out.items()]
    notes += ingested.details["notes"]
    return run(paths, scans, Annotations(brain, lesion), settings, notes, earlier)
