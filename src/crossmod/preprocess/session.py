"""The stage: raw scans of one session to volumes on a common grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.bids_dataset import dataset_description
from crossmod.config import PreprocessSettings
from crossmod.files import write_json
from crossmod.io import Image
from crossmod.paths import TEMPLATE_SPACE, PreprocessedPaths
from crossmod.preprocess.alignment import align
from crossmod.preprocess.annotations import Annotations
from crossmod.preprocess.appearance import Overlay, View, judge_names, lay_over
from crossmod.preprocess.brain import agree_on_brain, find_brain
from crossmod.preprocess.face import FACE_SHARE, face_border, face_share
from crossmod.preprocess.quality import assess
from crossmod.preprocess.quality_pictures import Panel, Scene, draw_overview, draw_scan
from crossmod.preprocess.reading import read_scans
from crossmod.preprocess.resampling import Grid, resample_mask
from crossmod.preprocess.spaces import CommonSpace, find_common_space
from crossmod.preprocess.state import Session
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
    figures = sorted(paths.figure.parent.glob(f"{paths.key}_desc-qc*"))
    for path in (paths.status, *figures, *sorted(paths.folder.glob(f"{paths.key}_*"))):
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
    brain = find_brain(session)
    align(session, brain)
    brain = agree_on_brain(session, brain)
    volume_ml = float(brain.data.sum()) * Grid.of(brain).voxel_ml
    session.checks["brain_volume_ml"] = round(volume_ml, 3)
    _look_for_faces(session, brain)
    space = find_common_space(session, brain, earlier)
    session.transforms = {m: space.to_reference.then(a) for m, a in session.affines.items()}
    mask = resample_mask(brain, space.grid, space.to_reference)
    views = write_volumes(session, space.grid, mask)
    write_masks(session, space.grid, mask)
    write_transforms(session, (*space.steps, *space.others))
    overlay = _judge(session, views, mask)
    _write_quality(session, overlay, views, mask)
    return _status(session, space)


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


def _judge(session: Session, views: dict[Modality, View], mask: NDArray[np.bool_]) -> Overlay:
    """Warn of names that what the scans show contradicts."""
    placed = session.space == TEMPLATE_SPACE
    overlay = lay_over(views, mask, session.reference, placed)
    found, notes = judge_names(overlay)
    session.appearance = {m: appearance.details() for m, appearance in found.items()}
    session.notes += notes
    return overlay


def _write_quality(
    session: Session, overlay: Overlay, views: dict[Modality, View], mask: NDArray[np.bool_]
) -> None:
    """Measures and pictures for the pages of quality control."""
    paths = session.paths
    write_json(paths.quality, assess(session, overlay, views))
    session.outputs["quality"] = paths.quality
    order = sorted(views, key=lambda m: m != session.reference)
    scene = Scene([Panel(m, views[m].image) for m in order], mask)
    draw_overview(paths.figure, scene)
    session.outputs["figure"] = paths.figure
    for panel in scene.panels:
        draw_scan(paths.picture(panel.modality), scene, panel)
        session.outputs[f"picture-{panel.modality}"] = paths.picture(panel.modality)


def _status(session: Session, space: CommonSpace) -> Status:
    steps = [step.name for step in space.steps]
    within = {m: [f"xfm-{m}"] if m in session.steps else [] for m in session.affines}
    details = {
        "settings": session.settings.model_dump(mode="json"),
        "space": session.space,
        "reference": session.reference,
        "normalizers": {m: n.record() for m, n in session.normalizers.items()},
        "affines": {m: session.transforms[m].linear.tolist() for m in session.affines},
        "transforms": {m: [*steps, *own] for m, own in within.items()},
        **({"base": session.base} if session.base else {}),
        "raw": session.raw,
        "bias_corrected": [m for m in session.corrected if m in session.affines],
        "brain_from": session.brain_from,
        "brain_voters": session.brain_voters,
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
