"""The stage: raw scans of one session to volumes on a common grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.bids_dataset import dataset_description
from crossmod.config import PreprocessSettings
from crossmod.files import write_json
from crossmod.io import Image, same_grid
from crossmod.paths import TEMPLATE_SPACE, PreprocessedPaths
from crossmod.preprocess import quality
from crossmod.preprocess.annotations import Annotations
from crossmod.preprocess.appearance import View, judge_names
from crossmod.preprocess.brain_extraction import Reference, chosen_backend, extract_brain
from crossmod.preprocess.face import FACE_SHARE, face_border, face_share
from crossmod.preprocess.reading import read_scans
from crossmod.preprocess.registration import (
    COARSE_MM,
    near_brain,
    normalized_mutual_information,
    register,
)
from crossmod.preprocess.resampling import Grid, resample_mask, working_copy
from crossmod.preprocess.spaces import CommonSpace, find_common_space
from crossmod.preprocess.state import FileHash, Session, StoredTransform, TransformKind
from crossmod.preprocess.writing import write_masks, write_transforms, write_volumes
from crossmod.settings import Modality
from crossmod.status import Status, describe_outputs, guarded, write_status

STAGE = "preprocess"


def run(
    paths: PreprocessedPaths,
    scans: dict[Modality, Path],
    annotations: Annotations,
    settings: PreprocessSettings,
    notes: Iterable[str] = (),
    earlier: Sequence[Path] = (),
) -> Status:
    """Preprocess one session and write its status file, also when the input is at fault.

    `notes` tells what was left out before; they come first in the status. `earlier` as for
    `preprocess_session`.
    """
    _clean(paths)
    description = dataset_description("crossmod preprocessed scans", "derivative")
    write_json(paths.root / "dataset_description.json", description)
    status = guarded(
        STAGE, paths.key, lambda: preprocess_session(paths, scans, annotations, settings, earlier)
    )
    if not status.ok:
        return write_failed(paths, status)
    status.details["notes"] = [*notes, *status.details["notes"]]
    write_status(paths.status, status)
    return status


def write_failed(paths: PreprocessedPaths, status: Status) -> Status:
    """Write the status of a session that is left out, and nothing else of it."""
    _clean(paths)
    write_status(paths.status, status)
    return status


def _clean(paths: PreprocessedPaths) -> None:
    """Remove what an earlier run left, so that nothing stale looks current."""
    for path in (paths.status, paths.figure, *sorted(paths.folder.glob(f"{paths.key}_*"))):
        path.unlink(missing_ok=True)


def preprocess_session(
    paths: PreprocessedPaths,
    scans: dict[Modality, Path],
    annotations: Annotations,
    settings: PreprocessSettings,
    earlier: Sequence[Path] = (),
) -> Status:
    """Align, correct, extract and resample the scans of one session.

    Parameters
    ----------
    paths : PreprocessedPaths
        Where to write.
    scans : dict of modality to path
        Raw scans.
    annotations : Annotations
        Brain masks and lesion labels drawn on the raw scans.
    settings : PreprocessSettings
        What to do.
    earlier : sequence of path
        Status files of the participant's earlier sessions, in their order (space `subject`).

    Returns
    -------
    Status
        `ok`, with outputs and details as docs/explanation/data-flow.md says.

    Raises
    ------
    InputError
        If no scan can be used or the reference cannot be processed.
    """
    session = Session(paths, settings, scans)
    read_scans(session, annotations)
    brain = _find_brain(session)
    volume_ml = float(brain.data.sum()) * Grid.of(brain).voxel_ml
    session.checks["brain_volume_ml"] = round(volume_ml, 3)
    _align(session, brain)
    _look_for_faces(session, brain)
    space = find_common_space(session, brain, earlier)
    session.transforms = {m: space.to_reference.then(a) for m, a in session.affines.items()}
    mask = resample_mask(brain, space.grid, space.to_reference)
    views = write_volumes(session, space.grid, mask)
    write_masks(session, space.grid, mask)
    write_transforms(session, (*space.steps, *space.others))
    _judge(session, views, mask)
    _draw(session, views, mask)
    return _status(session, space)


def _find_brain(session: Session) -> Image:
    """Brain mask of the reference scan, in its world coordinates."""
    reference = session.reference
    provided = [mask for owner, mask in session.placed.brain_masks if owner == reference]
    seen = Reference(
        session.scans[reference],
        session.files[reference],
        session.brain_only[reference],
        provided[0] if provided else None,
    )
    session.brain_from = chosen_backend(seen, session.settings.brain_extraction)
    return extract_brain(seen, session.settings.brain_extraction)


def _align(session: Session, brain: Image) -> None:
    """Find the transform from the reference's world to that of every scan."""
    reference = session.reference
    fixed = session.scans[reference]
    coarse = working_copy(fixed, COARSE_MM)
    region = near_brain(brain, Grid.of(coarse))
    session.affines[reference] = np.eye(4)
    for modality, moving in session.scans.items():
        if modality == reference:
            continue
        wanted = session.settings.registration
        trusted = wanted == "none" or (wanted == "auto" and same_grid(moving, fixed))
        found = np.eye(4) if trusted else register(fixed, moving, brain)
        session.affines[modality] = found
        session.steps[modality] = _within(session, modality, trusted)
        copy = working_copy(moving, COARSE_MM)
        for when, transform in (("before", np.eye(4)), ("after", found)):
            value = normalized_mutual_information(coarse, copy, transform, region)
            session.checks[f"nmi_{when}-{modality}"] = round(value, 6)


def _within(session: Session, modality: Modality, trusted: bool) -> StoredTransform:
    """The transform between a scan and the reference, to be stored."""
    reference, matrix = session.reference, session.affines[modality]
    name = f"xfm-{modality}"
    if trusted:
        return StoredTransform(name, modality, reference, "identity", matrix)
    raw = (session.raw[m] for m in (reference, modality))
    files = tuple(FileHash(scan["name"], scan["sha256"]) for scan in raw)
    kind: TransformKind = "identity" if np.array_equal(matrix, np.eye(4)) else "rigid"
    return StoredTransform(name, modality, reference, kind, matrix, files)


def _look_for_faces(session: Session, brain: Image) -> None:
    """Warn of scans by which a person may be recognized."""
    border = face_border(brain)
    heads = (m for m in session.scans if session.brain_only[m] is None)
    for modality in heads:
        share = face_share(session.scans[modality], border, session.affines[modality])
        session.face_shares[modality] = None if share is None else round(share, 3)
    faces = [m for m, share in session.face_shares.items() if share and share >= FACE_SHARE]
    if faces:
        who = f"{', '.join(faces)} {'shows' if len(faces) == 1 else 'show'} the face"
        session.notes.append(f"{who}; deface before you pass scans on (dataset.deface)")


def _judge(session: Session, views: dict[Modality, View], mask: NDArray[np.bool_]) -> None:
    """Warn of names that what the scans show contradicts."""
    placed = session.space == TEMPLATE_SPACE
    found, notes = judge_names(views, mask, session.reference, placed)
    session.appearance = {m: appearance.details() for m, appearance in found.items()}
    session.notes += notes


def _draw(session: Session, views: dict[Modality, View], mask: NDArray[np.bool_]) -> None:
    order = sorted(views, key=lambda m: m != session.reference)
    panels = [quality.Panel(m, views[m].image, mask) for m in order]
    volume_ml = session.checks["brain_volume_ml"]
    title = f"{session.paths.key}  space {session.space}  brain {volume_ml:.0f} ml"
    quality.draw(session.paths.figure, title, panels)
    session.outputs["figure"] = session.paths.figure


def _status(session: Session, space: CommonSpace) -> Status:
    steps = [step.name for step in space.steps]
    within = {m: [f"xfm-{m}"] if m in session.steps else [] for m in session.affines}
    details = {
        "settings": session.settings.model_dump(mode="json"),
        "space": session.space,
        "reference": session.reference,
        "normalizers": {m: {"low": n.low, "high": n.high} for m, n in session.normalizers.items()},
        "affines": {m: session.transforms[m].linear.tolist() for m in session.affines},
        "transforms": {m: [*steps, *own] for m, own in within.items()},
        **({"base": session.base} if session.base else {}),
        "raw": session.raw,
        "bias_corrected": [m for m in session.corrected if m in session.affines],
        "brain_from": session.brain_from,
        "brain_volume_ml": session.checks["brain_volume_ml"],
        "checks": session.checks,
        "appearance": session.appearance,
        "face_shares": session.face_shares,
        "notes": session.notes,
    }
    return Status(
        stage=STAGE,
        session=session.paths.key,
        outputs=describe_outputs(session.paths.status, session.outputs),
        details=details,
    )
