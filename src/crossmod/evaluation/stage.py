"""The stage `evaluate`: scores of one model on one batch of sessions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmod.data.store import Store
from crossmod.errors import InputError
from crossmod.evaluation.protocol import (
    PROTOCOLS,
    SENSITIVITY_PROTOCOL,
    Score,
    sensitivity_variants,
)
from crossmod.evaluation.truth import (
    Truth,
    Volume,
    load_delivered,
    load_normalized,
    load_truth,
)
from crossmod.files import write_rows
from crossmod.paths import split_key
from crossmod.spatial import Transform
from crossmod.status import Status, guarded, read_batch, read_status, write_batch
from crossmod.stored_transforms import to_raw

STAGE = "evaluate"
COLUMNS = (
    "participant",
    "session",
    "task",
    "model",
    "variant",
    "fold",
    "seed",
    "region",
    "protocol",
    "metric",
    "value",
    "voxels",
)


@dataclass(frozen=True)
class EvaluateRequest:
    """What to score.

    Attributes
    ----------
    synthetic : path
        Batch status file of synthesis.
    preprocessed : tuple of path
        Preprocessed status files, at least of the sessions of the batch.
    task, sources, target, model, fold, seed
        Keys of the run, for the rows of the table.
    manifests : tuple of path
        Slice manifests of the same sessions; they tell which slices the sources cover.
    protocols : tuple of str
        Protocol ids.
    sensitivity : bool
        Whether to add the rows of shifted, blurred and scaled predictions.
    """

    synthetic: Path
    preprocessed: tuple[Path, ...]
    task: str
    sources: Sequence[str]
    target: str
    model: str
    fold: int
    seed: int
    manifests: tuple[Path, ...] = ()
    protocols: tuple[str, ...] = tuple(PROTOCOLS)
    sensitivity: bool = False


def evaluate_batch(request: EvaluateRequest, output: Path, status_file: Path) -> list[Status]:
    """Score a batch of synthetic sessions.

    Parameters
    ----------
    request : EvaluateRequest
        Inputs, keys and protocols.
    output : path
        Table of scores to write.
    status_file : path
        Batch status to write. A session without an acquired target is `ok` with the details
        `{"scored": false, "reason": ...}`; one that failed before keeps its first reason.

    Returns
    -------
    list of Status
        In the order of the batch.

    Raises
    ------
    InputError
        If a status file or manifest is missing, malformed, or of none of the sessions, or a
        protocol is unknown.
    """
    unknown = [name for name in request.protocols if name not in PROTOCOLS]
    if unknown:
        problem = f"there is no protocol {unknown[0]!r}"
        raise InputError("--protocols", problem, f"choose from {', '.join(PROTOCOLS)}")
    preprocessed = {read_status(path).session: path for path in request.preprocessed}
    stores = {store.session: store for store in map(Store.open, request.manifests)}
    rows: list[dict[str, Any]] = []
    statuses = []
    for synthetic in read_batch(request.synthetic):
        session = synthetic.session
        if session not in preprocessed:
            problem = f"lists {session}, whose preprocessed status is not given"
            raise InputError(request.synthetic, problem, "give the status of every session")
        if not synthetic.ok:
            statuses.append(Status(STAGE, session, synthetic.verdict, synthetic.reason))
            continue
        found: list[dict[str, Any]] = []

        def work(synthetic: Status = synthetic, found: list[dict[str, Any]] = found) -> Status:
            path, store = preprocessed[synthetic.session], stores.get(synthetic.session)
            return _score_session(request, synthetic, path, store, found)

        statuses.append(guarded(STAGE, session, work))
        if statuses[-1].ok:
            rows += found
    write_rows(output, COLUMNS, rows)
    write_batch(status_file, statuses)
    return statuses


def _score_session(
    request: EvaluateRequest,
    synthetic: Status,
    preprocessed_file: Path,
    store: Store | None,
    rows: list[dict[str, Any]],
) -> Status:
    """Score one session into `rows`."""
    status = read_status(preprocessed_file)
    target, session = request.target, status.session
    if not status.ok:
        return Status(STAGE, session, status.verdict, status.reason)
    if target not in status.outputs or target not in status.details.get("normalizers", {}):
        return Status(STAGE, session, details={"scored": False, "reason": f"no acquired {target}"})
    usable = store if store is not None and store.has(request.sources) else None
    truth = load_truth(status, preprocessed_file, target, tuple(request.sources), usable)
    transform = to_raw(status, preprocessed_file, status.details["reference"])
    for variant, score in _scores(request, truth, synthetic, transform):
        rows.append(_row(request, session, variant, score))
    return Status(STAGE, session, details={"scored": True})


def _scores(
    request: EvaluateRequest, truth: Truth, synthetic: Status, transform: Transform
) -> list[tuple[str, Score]]:
    """Scores of one session under all protocols, with the name of the variant."""
    volumes: dict[str, Volume] = {}

    def volume(kind: str) -> Volume:
        if kind not in volumes:
            path = synthetic.path(kind, request.synthetic)
            if kind == "normalized":
                volumes[kind] = load_normalized(truth, path)
            else:
                volumes[kind] = load_delivered(truth, path, transform)
        return volumes[kind]

    rows: list[tuple[str, Score]] = []
    for protocol in request.protocols:
        kind, scorer = PROTOCOLS[protocol]
        rows += [("", score) for score in scorer(truth, volume(kind), protocol)]
    if request.sensitivity:
        kind, scorer = PROTOCOLS[SENSITIVITY_PROTOCOL]
        for name, changed in sensitivity_variants(truth, volume(kind)):
            rows += [(name, score) for score in scorer(truth, changed, SENSITIVITY_PROTOCOL)]
    return rows


def _row(request: EvaluateRequest, session: str, variant: str, score: Score) -> dict[str, Any]:
    return {
        "participant": split_key(session)[0],
        "session": session,
        "task": request.task,
        "model": request.model,
        "variant": variant,
        "fold": request.fold,
        "seed": request.seed,
        "region": score.region,
        "protocol": score.protocol,
        "metric": score.metric,
        "value": None if math.isnan(score.value) else f"{score.value:.10g}",
        "voxels": score.voxels,
    }
