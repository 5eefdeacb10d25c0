"""The common space of a session: its grid, and how its points are found in the reference scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.hashing import hash_file
from crossmod.io import Image, read_image
from crossmod.paths import AFFINE_TEMPLATE_SPACE, TEMPLATE_SPACE
from crossmod.preprocess.atlas import read_template, template_brain, template_file
from crossmod.preprocess.deformation import deform, working_grid
from crossmod.preprocess.registration import register
from crossmod.preprocess.resampling import Grid, dice, isotropic_grid, resample, resample_mask
from crossmod.preprocess.state import FileHash, Session, StoredTransform, TransformKind
from crossmod.settings import MODALITIES, Modality
from crossmod.spatial import Matrix, Transform, Warp, inverted
from crossmod.status import Status, read_status
from crossmod.stored_transforms import WARP, WARP_BACK

LEAST_OVERLAP = 0.75  # brains of people, rigidly laid over one another, overlap by .85 and more


@dataclass(frozen=True)
class CommonSpace:
    """What the scans of a session are resampled onto.

    Attributes
    ----------
    grid : Grid
        Where and how fine.
    to_reference : Transform
        World of the grid to world of the reference scan, RAS mm.
    steps : tuple of StoredTransform
        What it is put together of, in the order in which points go through them.
    others : tuple of StoredTransform
        What is stored beside that: the way back.
    """

    grid: Grid
    to_reference: Transform
    steps: tuple[StoredTransform, ...] = ()
    others: tuple[StoredTransform, ...] = ()


def find_common_space(session: Session, brain: Image, earlier: Sequence[Path] = ()) -> CommonSpace:
    """Find the grid that the settings ask for, and the way from it to the reference scan.

    Parameters
    ----------
    session : Session
        Scans, aligned with each other; checks are added to it.
    brain : Image
        Brain mask in the world of the reference scan.
    earlier : sequence of path
        Status files of the participant's earlier sessions (space `subject`).

    Raises
    ------
    InputError
        If a status file is missing, or the deformation to the template folds space.
    """
    if session.settings.space == "template":
        return _template_space(session, brain)
    base = _base(earlier) if session.settings.space == "subject" else None
    if base is not None:
        return _space_of(session, brain, *base)
    grid = _spaced(Grid.of(session.scans[session.reference]), session)
    own = CommonSpace(grid, Transform(np.eye(4)))
    if session.settings.space == "native":
        return own
    return replace(own, steps=(_to_space(session, np.eye(4), "identity"),))


def _spaced(grid: Grid, session: Session) -> Grid:
    spacing_mm = session.settings.spacing_mm
    return grid if spacing_mm is None else isotropic_grid(grid, spacing_mm)


def _to_space(
    session: Session,
    matrix: Matrix,
    kind: TransformKind,
    estimated_on: tuple[FileHash, ...] = (),
) -> StoredTransform:
    """The linear transform from the reference scan to the common space."""
    reference, space = session.reference, session.space
    return StoredTransform(f"xfm-{reference}", reference, space, kind, matrix, estimated_on)


def _cut_out(scan: Image, brain: Image, to_brain: Matrix) -> Image:
    """The scan, no brighter than any brain outside; `to_brain`: its world to that of the mask."""
    inside = resample_mask(brain, Grid.of(scan), to_brain)
    least = min(0.0, float(scan.data[inside].min(initial=0.0)))
    return scan.with_data(np.where(inside, scan.data, least).astype(np.float32))


def _template_space(session: Session, brain: Image) -> CommonSpace:
    """The template's grid, by the registration that the settings name."""
    template, inside = read_template(), template_brain()
    wanted = session.settings.template_registration
    cut_out = _cut_out(session.scans[session.reference], brain, np.eye(4))
    rigid = wanted == "rigid"
    matrix = register(template, cut_out, inside, "Rigid" if rigid else "Affine")
    raw = session.raw[session.reference]
    files = (
        FileHash(template_file().name, hash_file(template_file())),
        FileHash(raw["name"], raw["sha256"]),
    )
    step = _to_space(session, matrix, "rigid" if rigid else "affine", files)
    space = CommonSpace(_spaced(Grid.of(template), session), Transform(matrix), (step,))
    if wanted == "deformable":
        warp = deform(template, cut_out, matrix, _lesions(session, working_grid(template), matrix))
        _check_warp(session, warp, inside)
        space = _warped(space, warp, files)
    mask = resample_mask(brain, space.grid, space.to_reference)
    expected = resample_mask(inside, space.grid, np.eye(4))
    _check_overlap(session, "dice_template", dice(mask, expected), "the template")
    return space


def _check_overlap(session: Session, name: str, overlap: float, fixed: str) -> None:
    """Refuse a session whose brain was not brought onto that of the common space."""
    session.checks[name] = round(overlap, 6)
    if overlap < LEAST_OVERLAP:
        problem = f"cannot be registered to {fixed}: the brains overlap by a Dice of {overlap:.2f}"
        remedy = "look at its brain mask, or exclude the session"
        raise InputError(session.files[session.reference], problem, remedy)


def _lesions(session: Session, grid: Grid, to_reference: Matrix) -> NDArray[np.bool_]:
    """Voxels of a grid that any of the session's lesion labels marks."""
    marked = np.zeros(grid.shape, dtype=bool)
    for owner, labels in session.placed.lesions:
        if owner in session.affines:
            transform = session.affines[owner] @ to_reference
            marked |= resample(labels, grid, transform, "nearest").data > 0
    return marked


def _warped(space: CommonSpace, warp: Warp, files: tuple[FileHash, ...]) -> CommonSpace:
    """The same with a warp between the template and the affinely aligned scan."""
    (linear,) = space.steps
    first, second = AFFINE_TEMPLATE_SPACE, TEMPLATE_SPACE
    kind: TransformKind = "displacement field"
    forward = StoredTransform(WARP, first, second, kind, warp.forward, files)
    backward = StoredTransform(WARP_BACK, second, first, kind, warp.backward, files)
    steps = (forward, replace(linear, target=AFFINE_TEMPLATE_SPACE))
    return replace(space, to_reference=replace(space.to_reference, warp=warp), steps=steps,
                   others=(backward,))  # fmt: skip


def _check_warp(session: Session, warp: Warp, inside: Image) -> None:
    """Measure growth and the way back; a warp that folds space is refused."""
    growth = warp.forward.jacobian()
    points = np.argwhere(inside.data[::2, ::2, ::2]) * 2.0
    points = points @ inside.affine[:3, :3].T + inside.affine[:3, 3]
    there = Transform(np.eye(4), warp=warp)
    error = np.linalg.norm(there.inverse().apply(there.apply(points)) - points, axis=1)
    session.checks |= {
        "jacobian_min": round(float(growth.min()), 6),
        "jacobian_max": round(float(growth.max()), 6),
        "warp_back_error_mm": round(float(error.mean()), 6),
        "warp_back_error_max_mm": round(float(error.max()), 6),
    }
    if growth.min() <= 0:
        problem = f"folds when it is deformed to the template (Jacobian {growth.min():.2f})"
        remedy = "look at its brain mask, or set preprocess.template_registration: affine"
        raise InputError(session.files[session.reference], problem, remedy)


def _base(earlier: Sequence[Path]) -> tuple[Status, Path] | None:
    """The first earlier session that could be preprocessed."""
    found = ((read_status(path), path) for path in earlier)
    return next(((status, path) for status, path in found if status.ok), None)


def _space_of(session: Session, brain: Image, base: Status, base_file: Path) -> CommonSpace:
    """The grid of an earlier session, to which this one is registered rigidly.

    Two scans of one modality are compared, brain with brain: what lies outside moves between
    visits. The one that references prefer is taken; where no modality is shared, the references.
    """
    fixed_name, moving_name = _pair(session, base)
    fixed = read_image(base.path(fixed_name, base_file))
    mask = read_image(base.path("brain", base_file), dtype=np.uint8)
    mask = mask.with_data(mask.data > 0)
    from_pair = inverted(session.affines[moving_name])
    moving = _cut_out(session.scans[moving_name], brain, from_pair)
    matrix = from_pair @ register(fixed, moving, mask)
    grid = Grid.of(mask)
    overlap = dice(resample_mask(brain, grid, matrix), mask.data)
    _check_overlap(session, "dice_subject", overlap, base.session)
    session.base = base.session
    output, raw = base.outputs[fixed_name], session.raw[moving_name]
    files = (
        FileHash(Path(output["path"]).name, output["sha256"]),
        FileHash(raw["name"], raw["sha256"]),
    )
    return CommonSpace(grid, Transform(matrix), (_to_space(session, matrix, "rigid", files),))


def _pair(session: Session, base: Status) -> tuple[Modality, Modality]:
    """Modalities of the fixed and the moving scan."""
    preferred = dict.fromkeys((*session.settings.reference, *MODALITIES))
    shared = [m for m in preferred if m in base.outputs and m in session.scans]
    if shared:
        return shared[0], shared[0]
    return base.details["reference"], session.reference
