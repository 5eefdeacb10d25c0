"""The stage: raw scans of one session to volumes on a common grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod.bids_dataset import dataset_description
from crossmod.config import PreprocessSettings
from crossmod.errors import InputError
from crossmod.files import write_json
from crossmod.hashing import hash_file
from crossmod.intensity import Normalizer
from crossmod.io import (
    Image,
    describe_header,
    read_scan,
    same_grid,
    to_ras,
    write_image,
)
from crossmod.paths import TEMPLATE_SPACE, PreprocessedPaths
from crossmod.preprocess import quality
from crossmod.preprocess.annotations import Annotations, Placed, place
from crossmod.preprocess.appearance import View, judge_names
from crossmod.preprocess.atlas import read_template
from crossmod.preprocess.bias_field import MODALITIES_WITHOUT_FIELD, correct_bias_field
from crossmod.preprocess.brain_extraction import Reference, extract_brain
from crossmod.preprocess.field_of_view import field_of_view
from crossmod.preprocess.foreground import brain_only_mask
from crossmod.preprocess.registration import (
    COARSE_MM,
    near_brain,
    normalized_mutual_information,
    register,
)
from crossmod.preprocess.resampling import (
    Grid,
    covered,
    isotropic_grid,
    resample,
    resample_mask,
    working_copy,
)
from crossmod.preprocess.transforms import Matrix, write_itk
from crossmod.settings import Modality
from crossmod.status import Status, describe_outputs, guarded, write_status

STAGE = "preprocess"
WHOLE_BRAIN = 0.999
LEAST_COVER = 0.05


@dataclass
class _Session:
    """What is known of a session on the way; world coordinates are RAS mm."""

    paths: PreprocessedPaths
    settings: PreprocessSettings
    files: dict[Modality, Path]
    raw: dict[Modality, dict[str, Any]] = field(default_factory=dict)
    scans: dict[Modality, Image] = field(default_factory=dict)
    brain_only: dict[Modality, NDArray[np.bool_] | None] = field(default_factory=dict)
    placed: Placed = field(default_factory=Placed)
    affines: dict[Modality, Matrix] = field(default_factory=dict)
    normalizers: dict[Modality, Normalizer] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    appearance: dict[Modality, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, Path] = field(default_factory=dict)

    @property
    def reference(self) -> Modality:
        """First of the preferred modalities that there is."""
        return next(m for m in self.settings.reference if m in self.scans)

    @property
    def space(self) -> str:
        """Name of the common space."""
        return self.reference if self.settings.space == "native" else TEMPLATE_SPACE

    def drop(self, modality: Modality, reason: str) -> None:
        """Go on without a modality and say why."""
        self.notes.append(f"{modality} left out: {reason}")
        for known in (self.scans, self.raw, self.affines, self.normalizers):
            known.pop(modality, None)  # type: ignore[attr-defined]


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
    for path in (paths.status, paths.figure, *sorted(paths.folder.glob(f"{paths.key}_*"))):
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
    session = _Session(paths, settings, scans)
    _read(session, annotations)
    brain = _find_brain(session)
    volume_ml = float(brain.data.sum()) * Grid.of(brain).voxel_ml
    session.checks["brain_volume_ml"] = round(volume_ml, 3)
    _align(session, brain)
    grid, to_native = _common_space(session, brain)
    mask = resample_mask(brain, grid, to_native)
    views = _resample_scans(session, grid, mask)
    _write_masks(session, grid, mask)
    _judge(session, views, mask)
    _draw(session, views, mask)
    return _status(session)


def _read(session: _Session, annotations: Annotations) -> None:
    """Read, bring to RAS, correct the bias field; unreadable scans are dropped."""
    settings = session.settings
    as_stored: dict[Modality, Image] = {}
    wanted = [m for m in settings.reference if m in session.files]
    wanted += [m for m in session.files if m not in wanted]
    faults = []
    for modality in (m for m in wanted if m in settings.modalities):
        path = session.files[modality]
        try:
            image = read_scan(path)
        except InputError as error:
            faults.append(error)
            session.drop(modality, f"{path.name} {error.problem}")
            continue
        as_stored[modality] = image
        session.raw[modality] = {
            "name": path.name,
            "sha256": hash_file(path),
            "shape": list(image.data.shape),
            "affine": image.affine.tolist(),
            "header": describe_header(image),
        }
        session.notes += [f"{modality} {remark}" for remark in image.remarks]
        session.notes += quality.remarks(modality, image.data)
        session.scans[modality] = _corrected(to_ras(image), modality, settings)
        session.brain_only[modality] = brain_only_mask(to_ras(image))
    if not any(m in session.scans for m in settings.reference):
        if faults:
            raise faults[0]
        where = session.paths.key
        raise InputError(where, "has no scan to process", "check the index of its scans")
    session.placed = place(annotations, as_stored)
    session.notes += session.placed.notes


def _corrected(image: Image, modality: Modality, settings: PreprocessSettings) -> Image:
    if settings.bias_field == "none" or modality in MODALITIES_WITHOUT_FIELD:
        return image
    return correct_bias_field(image)


def _find_brain(session: _Session) -> Image:
    """Brain mask of the reference scan, in its world coordinates."""
    reference = session.reference
    provided = [mask for owner, mask in session.placed.brain_masks if owner == reference]
    return extract_brain(
        Reference(
            session.scans[reference],
            session.files[reference],
            session.brain_only[reference],
            provided[0] if provided else None,
        ),
        session.settings.brain_extraction,
    )


def _align(session: _Session, brain: Image) -> None:
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
        copy = working_copy(moving, COARSE_MM)
        for when, transform in (("before", np.eye(4)), ("after", found)):
            value = normalized_mutual_information(coarse, copy, transform, region)
            session.checks[f"nmi_{when}-{modality}"] = round(value, 6)


def _common_space(session: _Session, brain: Image) -> tuple[Grid, Matrix]:
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
    overlap = 2 * (mask & expected).sum() / (mask.sum() + expected.sum())
    session.checks["dice_template"] = round(float(overlap), 6)
    return grid, to_native


def _resample_scans(session: _Session, grid: Grid, mask: NDArray[np.bool_]) -> dict[Modality, View]:
    """Resample each scan once, fit its normalizer and write it; returns the whole heads."""
    settings = session.settings
    views: dict[Modality, View] = {}
    for modality, scan in list(session.scans.items()):
        transform = session.affines[modality]
        head = resample(scan, grid, transform, settings.interpolation)
        brain_only = session.brain_only[modality] is not None
        cover = field_of_view(scan, brain_only, grid, transform, mask)
        normalizer = _fit_normalizer(head.data[cover], settings)
        share = float(cover.sum() / max(mask.sum(), 1))
        if share < LEAST_COVER or normalizer is None:
            _refuse(session, modality, share)
            continue
        if share < WHOLE_BRAIN:
            path = session.paths.field_of_view(modality, session.space)
            write_image(path, Image(cover, grid.affine))
            session.outputs[f"fov-{modality}"] = path
            session.notes.append(f"{modality} covers {100 * share:.1f} % of the brain")
        # What is not covered becomes 0 after normalization too, also where intensities are
        # partly negative.
        unseen = min(0.0, normalizer.low)
        volume = np.where(cover, head.data, np.where(mask, unseen, 0)).astype(np.float32)
        path = session.paths.volume(modality, session.space)
        write_image(path, Image(volume, grid.affine))
        session.outputs[modality] = path
        session.normalizers[modality] = normalizer
        seen = covered(Grid.of(scan), grid, transform)
        shown = head.with_data(np.where(seen, head.data, normalizer.low))
        views[modality] = View(shown, cover)
    return views


def _fit_normalizer(values: NDArray, settings: PreprocessSettings) -> Normalizer | None:
    if settings.intensity == "maximum":
        return Normalizer.of_maximum(values)
    return Normalizer.fit(values, settings.percentiles)


def _refuse(session: _Session, modality: Modality, share: float) -> None:
    """Drop a scan that shows no brain; without the reference there is no session."""
    problem = f"covers {100 * share:.1f} % of the brain"
    if share >= LEAST_COVER:
        problem = "is constant in the brain"
        problem += " or nowhere positive" if session.settings.intensity == "maximum" else ""
    if modality == session.reference:
        remedy = "look at the scan and its brain mask or exclude the session"
        raise InputError(session.files[modality], problem, remedy)
    session.drop(modality, f"{session.files[modality].name} {problem}")


def _write_masks(session: _Session, grid: Grid, mask: NDArray[np.bool_]) -> None:
    """Write brain mask, lesion mask and transforms."""
    paths, space = session.paths, session.space
    path = paths.brain_mask(space)
    write_image(path, Image(mask, grid.affine))
    session.outputs["brain"] = path
    lesion = np.zeros(grid.shape, dtype=bool)
    for owner, labels in session.placed.lesions:
        if owner in session.affines:
            lesion |= resample(labels, grid, session.affines[owner], "nearest").data > 0
    if lesion.any():
        path = paths.lesion_mask(space)
        write_image(path, Image(lesion, grid.affine))
        session.outputs["lesion"] = path
    for modality, matrix in session.affines.items():
        if modality == space:
            continue  # the reference in its own space needs no transform
        path = paths.transform(modality, space)
        write_itk(path, matrix)
        session.outputs[f"xfm-{modality}"] = path


def _judge(session: _Session, views: dict[Modality, View], mask: NDArray[np.bool_]) -> None:
    """Warn of names that what the scans show contradicts."""
    placed = session.space == TEMPLATE_SPACE
    found, notes = judge_names(views, mask, session.reference, placed)
    session.appearance = {m: appearance.details() for m, appearance in found.items()}
    session.notes += notes


def _draw(session: _Session, views: dict[Modality, View], mask: NDArray[np.bool_]) -> None:
    order = sorted(views, key=lambda m: m != session.reference)
    panels = [quality.Panel(m, views[m].image, mask) for m in order]
    volume_ml = session.checks["brain_volume_ml"]
    title = f"{session.paths.key}  space {session.space}  brain {volume_ml:.0f} ml"
    quality.draw(session.paths.figure, title, panels)
    session.outputs["figure"] = session.paths.figure


def _status(session: _Session) -> Status:
    details = {
        "space": session.space,
        "reference": session.reference,
        "normalizers": {m: {"low": n.low, "high": n.high} for m, n in session.normalizers.items()},
        "affines": {m: matrix.tolist() for m, matrix in session.affines.items()},
        "raw": session.raw,
        "brain_volume_ml": session.checks["brain_volume_ml"],
        "checks": session.checks,
        "appearance": session.appearance,
        "notes": session.notes,
    }
    return Status(
        stage=STAGE,
        session=session.paths.key,
        outputs=describe_outputs(session.paths.status, session.outputs),
        details=details,
    )
