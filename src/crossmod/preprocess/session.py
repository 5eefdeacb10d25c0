"""The stage: raw scans of one session to volumes on a common grid."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.bids_dataset import dataset_description
from crossmod.config import PreprocessSettings
from crossmod.errors import InputError
from crossmod.files import write_json
from crossmod.io import Image, same_grid
from crossmod.paths import TEMPLATE_SPACE, PreprocessedPaths
from crossmod.preprocess.annotations import Annotations
from crossmod.preprocess.appearance import Overlay, View, judge_names, lay_over
from crossmod.preprocess.atlas import read_template
from crossmod.preprocess.bias_field import MODALITIES_WITHOUT_FIELD as WITHOUT_FIELD
from crossmod.preprocess.brain_extraction import (
    ESTIMATES,
    Head,
    extract_brain,
    majority,
    resolve,
)
from crossmod.preprocess.face import FACE_SHARE, face_border, face_share
from crossmod.preprocess.quality import assess
from crossmod.preprocess.quality_pictures import Panel, Scene, draw_overview, draw_scan
from crossmod.preprocess.reading import read_scans
from crossmod.preprocess.registration import (
    COARSE_MM,
    MOST_PEAK_SHARE,
    Similarity,
    near_brain,
    peak_share,
    register,
)
from crossmod.preprocess.resampling import (
    Grid,
    dice,
    isotropic_grid,
    resample_mask,
    working_copy,
)
from crossmod.preprocess.state import Session
from crossmod.preprocess.transforms import Matrix
from crossmod.preprocess.writing import write_masks, write_volumes
from crossmod.settings import Modality
from crossmod.status import Status, describe_outputs, guarded, write_status

STAGE = "preprocess"


def run(
    paths: PreprocessedPaths,
    scans: dict[Modality, Path],
    annotations: Annotations,
    settings: PreprocessSettings,
    notes: Iterable[str] = (),
) -> Status:
    """Preprocess one session and write its status file, also when the input is at fault.

    `notes` tells what was left out before; they come first in the status.
    """
    _clean(paths)
    description = dataset_description("crossmod preprocessed scans", "derivative")
    write_json(paths.root / "dataset_description.json", description)
    status = guarded(
        STAGE, paths.key, lambda: preprocess_session(paths, scans, annotations, settings)
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
    _align(session, brain)
    brain = _agree_on_brain(session, brain)
    volume_ml = float(brain.data.sum()) * Grid.of(brain).voxel_ml
    session.checks["brain_volume_ml"] = round(volume_ml, 3)
    _look_for_faces(session, brain)
    grid, to_native = _common_space(session, brain)
    mask = resample_mask(brain, grid, to_native)
    views = write_volumes(session, grid, mask)
    write_masks(session, grid, mask)
    overlay = _judge(session, views, mask)
    _write_quality(session, overlay, views, mask)
    return _status(session)


def _find_brain(session: Session) -> Image:
    """Brain mask of the reference scan, in its world coordinates."""
    return extract_brain(_head(session, session.reference), session.settings.brain_extraction)


def _head(session: Session, modality: Modality) -> Head:
    provided = [mask for owner, mask in session.placed.brain_masks if owner == modality]
    return Head(
        session.scans[modality],
        session.files[modality],
        session.brain_only[modality],
        provided[0] if provided else None,
    )


def _agree_on_brain(session: Session, brain: Image) -> Image:
    """Brain mask that most MR scans of the session agree on, where masks are estimated."""
    settings, reference = session.settings, session.reference
    name = resolve(_head(session, reference), settings.brain_extraction)
    if name not in ESTIMATES or not settings.brain_consensus:
        return brain
    masks = {reference: (brain, session.affines[reference])}
    for modality in (m for m in session.scans if m != reference and m not in WITHOUT_FIELD):
        try:
            found = extract_brain(_head(session, modality), name)
        except InputError as error:
            session.notes.append(f"{modality} {error.problem}; the other scans decide")
            continue
        masks[modality] = (found, session.affines[modality])
    grid = Grid.of(brain)
    agreed = majority(masks.values(), grid)
    for modality, (found, transform) in masks.items() if len(masks) > 1 else ():
        overlap = dice(resample_mask(found, grid, transform), agreed)
        session.checks[f"brain_agreement-{modality}"] = round(overlap, 6)
    return brain.with_data(agreed)


def _align(session: Session, brain: Image) -> None:
    """Find the transform from the reference's world to that of every scan."""
    reference = session.reference
    fixed = session.scans[reference]
    coarse = working_copy(fixed, COARSE_MM)
    region = near_brain(brain, Grid.of(coarse))
    session.affines[reference] = np.eye(4)
    for modality in [m for m in session.scans if m != reference]:
        moving = session.scans[modality]
        wanted = session.settings.registration
        trusted = wanted == "none" or (wanted == "auto" and same_grid(moving, fixed))
        found = np.eye(4) if trusted else register(fixed, moving, brain)
        session.affines[modality] = found
        similarity = Similarity(coarse, working_copy(moving, COARSE_MM), region)
        share = peak_share(similarity, found)
        for name, value in (
            ("nmi_before", similarity(np.eye(4))),
            ("nmi_after", similarity(found)),
            ("peak_share", share),
        ):
            session.checks[f"{name}-{modality}"] = round(value, 6)
        if share > MOST_PEAK_SHARE:
            _doubt(session, modality, trusted)


def _doubt(session: Session, modality: Modality, trusted: bool) -> None:
    """Leave out a scan that was not brought onto the reference; warn of one that was trusted."""
    if trusted:
        session.notes.append(
            f"{modality} may not lie on {session.reference}; set preprocess.registration to rigid"
        )
        return
    name = session.files[modality].name
    session.drop(modality, f"{name} cannot be registered to {session.reference}")


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


def _common_space(session: Session, brain: Image) -> tuple[Grid, Matrix]:
    """Grid to resample onto, and its world -> world of the reference.

    In template space the affine transform is composed with those already found.
    """
    reference = session.scans[session.reference]
    spacing_mm = session.settings.spacing_mm
    if session.settings.space == "native":
        grid = Grid.of(reference)
        return (grid if spacing_mm is None else isotropic_grid(grid, spacing_mm)), np.eye(4)
    template = read_template()
    template_brain = template.with_data(template.data > 0)
    inside = resample_mask(brain, Grid.of(reference), np.eye(4))
    cut_out = reference.with_data(np.where(inside, reference.data, 0).astype(np.float32))
    to_native = register(template, cut_out, template_brain, "Affine")
    session.affines = {m: matrix @ to_native for m, matrix in session.affines.items()}
    grid = Grid.of(template)
    grid = grid if spacing_mm is None else isotropic_grid(grid, spacing_mm)
    mask = resample_mask(brain, grid, to_native)
    expected = resample_mask(template_brain, grid, np.eye(4))
    session.checks["dice_template"] = round(dice(mask, expected), 6)
    return grid, to_native


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


def _status(session: Session) -> Status:
    details = {
        "space": session.space,
        "reference": session.reference,
        "normalizers": {m: n.record() for m, n in session.normalizers.items()},
        "affines": {m: matrix.tolist() for m, matrix in session.affines.items()},
        "raw": session.raw,
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
