"""The brain of a session: found in the reference scan, put to the vote of all."""

from __future__ import annotations

from crossmod.errors import InputError
from crossmod.io import Image
from crossmod.preprocess.bias_field import MODALITIES_WITHOUT_FIELD
from crossmod.preprocess.brain_extraction import (
    ESTIMATES,
    Head,
    extract_brain,
    majority,
    resolve,
)
from crossmod.preprocess.resampling import Grid, dice, resample_mask
from crossmod.preprocess.state import Session
from crossmod.settings import Modality


def find_brain(session: Session) -> Image:
    """Brain mask of the reference scan, in its world coordinates."""
    head = _head(session, session.reference)
    session.brain_from = resolve(head, session.settings.brain_extraction)
    session.brain_voters = [session.reference]
    return extract_brain(head, session.brain_from)


def agree_on_brain(session: Session, brain: Image) -> Image:
    """Brain mask that most MR scans of the session agree on, where masks are estimated.

    Parameters
    ----------
    session : Session
        Aligned; the overlap of each mask with the vote goes into its checks.
    brain : Image
        What `find_brain` found; the result lies on its grid.
    """
    if session.brain_from not in ESTIMATES or not session.settings.brain_consensus:
        return brain
    reference = session.reference
    masks = {reference: (brain, session.affines[reference])}
    for modality, transform in session.affines.items():
        if modality == reference or modality in MODALITIES_WITHOUT_FIELD:
            continue
        try:
            masks[modality] = extract_brain(_head(session, modality), session.brain_from), transform
        except InputError as error:
            session.notes.append(f"{modality} {error.problem}; the other scans decide")
    if len(masks) == 1:
        return brain
    session.brain_voters = list(masks)
    grid = Grid.of(brain)
    agreed = majority(masks.values(), grid)
    for modality, (found, transform) in masks.items():
        overlap = dice(resample_mask(found, grid, transform), agreed)
        session.checks[f"brain_agreement-{modality}"] = round(overlap, 6)
    return brain.with_data(agreed)


def _head(session: Session, modality: Modality) -> Head:
    provided = [mask for owner, mask in session.placed.brain_masks if owner == modality]
    return Head(
        session.scans[modality],
        session.files[modality],
        session.brain_only[modality],
        provided[0] if provided else None,
    )
