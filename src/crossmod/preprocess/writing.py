"""Volumes, masks and transforms of a session on its common grid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod import __version__
from crossmod.bids_dataset import sidecar_path
from crossmod.errors import InputError
from crossmod.files import write_json
from crossmod.io import Image, write_image
from crossmod.preprocess.appearance import View
from crossmod.preprocess.field_of_view import depth_mm, field_of_view
from crossmod.preprocess.normalization import UNFIT, fit_normalization
from crossmod.preprocess.resampling import Grid, covered, resample
from crossmod.preprocess.state import Session, StoredTransform
from crossmod.preprocess.transforms import write_itk
from crossmod.settings import Modality
from crossmod.spatial import Field
from crossmod.stored_transforms import write_field

WHOLE_BRAIN = 0.999
LEAST_COVER = 0.05


def write_volumes(session: Session, grid: Grid, mask: NDArray[np.bool_]) -> dict[Modality, View]:
    """Resample each scan once, fit its normalizer and write it; returns the whole heads."""
    settings = session.settings
    views: dict[Modality, View] = {}
    for modality, scan in list(session.scans.items()):
        transform = session.transforms[modality]
        head = resample(scan, grid, transform, settings.interpolation)
        brain_only = session.brain_only[modality] is not None
        cover = field_of_view(scan, brain_only, grid, transform, mask)
        found = fit_normalization(head.data[cover], partial(_depth_of, cover, mask, grid), settings)
        share = float(cover.sum() / max(mask.sum(), 1))
        if share < LEAST_COVER or found is None:
            _refuse(session, modality, share)
            continue
        if share < WHOLE_BRAIN:
            path = session.paths.field_of_view(modality, session.space)
            write_image(path, Image(cover, grid.affine))
            session.outputs[f"fov-{modality}"] = path
            session.notes.append(f"{modality} covers {100 * share:.1f} % of the brain")
        # What is not covered becomes 0 after normalization too, also where intensities are
        # partly negative.
        unseen = min(0.0, found.normalizer.low)
        volume = np.where(cover, head.data, np.where(mask, unseen, 0)).astype(np.float32)
        path = session.paths.volume(modality, session.space)
        write_image(path, Image(volume, grid.affine))
        session.outputs[modality] = path
        session.normalizers[modality] = found
        seen = covered(Grid.of(scan), grid, transform)
        shown = head.with_data(np.where(seen, head.data, found.normalizer.low))
        views[modality] = View(shown, cover)
    return views


def _depth_of(
    cover: NDArray[np.bool_], mask: NDArray[np.bool_], grid: Grid
) -> NDArray[np.floating]:
    return depth_mm(mask, grid)[cover[mask]]


def _refuse(session: Session, modality: Modality, share: float) -> None:
    """Drop a scan that shows no brain; without the reference there is no session."""
    problem = f"covers {100 * share:.1f} % of the brain"
    if share >= LEAST_COVER:
        problem = UNFIT[session.settings.intensity]
    if modality == session.reference:
        remedy = "look at the scan and its brain mask or exclude the session"
        raise InputError(session.files[modality], problem, remedy)
    session.drop(modality, f"{session.files[modality].name} {problem}")


def write_masks(session: Session, grid: Grid, mask: NDArray[np.bool_]) -> None:
    """Write brain mask and lesion mask."""
    paths, space = session.paths, session.space
    path = paths.brain_mask(space)
    write_image(path, Image(mask, grid.affine))
    session.outputs["brain"] = path
    lesion = np.zeros(grid.shape, dtype=bool)
    for owner, labels in session.placed.lesions:
        if owner in session.affines:
            lesion |= resample(labels, grid, session.transforms[owner], "nearest").data > 0
    if lesion.any():
        path = paths.lesion_mask(space)
        write_image(path, Image(lesion, grid.affine))
        session.outputs["lesion"] = path
    elif any(m in session.affines and labels.data.any() for m, labels in session.placed.lesions):
        session.notes.append("lesion labels left out: they mark no voxel of the common grid")


def write_transforms(session: Session, to_space: Sequence[StoredTransform]) -> None:
    """Write what was estimated: between the scans, and to the common space."""
    for step in (*session.steps.values(), *to_space):
        if isinstance(step.content, Field):
            path = session.paths.warp(step.source, step.target)
            write_field(path, step.content)
        else:
            path = session.paths.transform(step.source, step.target)
            write_itk(path, step.content)
        write_json(sidecar_path(path), _describe(step))
        session.outputs[step.name] = path


def _describe(step: StoredTransform) -> dict[str, Any]:
    """Sidecar of a transform."""
    ends = ("Fixed", "Moving")
    return {
        "From": step.source,
        "To": step.target,
        "Type": step.kind,
        "Direction": f"takes points of {step.target} to points of {step.source}, "
        f"by which images are resampled from {step.source} to {step.target}",
        "Coordinates": "mm, axes to left, posterior, superior (LPS), as ITK and ANTs have them",
        "EstimatedOn": {
            end: {"Name": file.name, "SHA256": file.sha256}
            for end, file in zip(ends, step.estimated_on, strict=False)
        },
        "Software": {"crossmod": __version__, "antspyx": version("antspyx")},
    }
