"""The brain of a session: found in the reference scan, put to the vote of all."""

from __future__ import annotations

from crossmod.errors import InputError
from crossmod.io import Image
from crossmod.preprocess.bias_field import MODALITIES_WITHOUT_FIELD
from crossmod.preprocess.brain_extraction import (
    ESTIMATES,
    Head,
    check_volume,
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
    _tell_unused_masks(session, head)
    return extract_brain(head, session.brain_from)


def _tell_unused_masks(session: Session, head: Head) -> None:
    """Note which brain masks that came with the scans decide nothing."""
    for owner, mask in session.placed.brain_masks:
        if mask is not head.provided:
            session.notes.append(
                f"brain mask of {owner} not used: one is taken, of {session.reference};"
                f" name {owner} first in preprocess.reference"
                if owner != session.reference
                else f"a second brain mask of {owner} not used"
            )
        elif session.brain_from != "provided":
            session.notes.append(f"brain mask of {owner} not used, as brain_extraction says")


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
    vote = brain.with_data(agreed)
    check_volume(vote, session.files[reference], f"and {', '.join(list(masks)[1:])} agree on")
    return vote


def _head(session: Session, modality: Modality) -> Head:
    provided = [mask for owner, mask in session.placed.brain_masks if owner == modality]
    return Head(
        session.scans[modality],
        session.files[modality],
        session.brain_only[modality],
        provided[0] if provided else None,
    )
