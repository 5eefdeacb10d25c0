"""Scans of one session without the face."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from crossmod.errors import InputError
from crossmod.io import Image, read_image, to_ras
from crossmod.preprocess.bias_field import MODALITIES_WITHOUT_FIELD, correct_bias_field
from crossmod.preprocess.brain_extraction import Head, extract_brain
from crossmod.preprocess.face import face_border, without_face
from crossmod.preprocess.foreground import brain_only_mask
from crossmod.preprocess.registration import register
from crossmod.settings import MODALITIES, Modality


def deface(scans: Mapping[Modality, Path]) -> dict[Modality, Image]:
    """Take the face out of the scans of one session, on their own grids.

    The brain is found in one scan, to which the others are registered, so that all lose the
    same part of the head. Scans that show nothing but brain are not among those returned.

    Parameters
    ----------
    scans : dict of modality to path
        NIfTI files.

    Returns
    -------
    dict of modality to Image
        Scans without face, with the headers they had.

    Raises
    ------
    InputError
        If no brain is found to say where the face is.
    """
    stored = {m: read_image(path) for m, path in scans.items()}
    heads = {m: to_ras(image) for m, image in stored.items()}
    foregrounds = {m: brain_only_mask(head) for m, head in heads.items()}
    if all(mask is not None for mask in foregrounds.values()):
        return {}
    reference = next(m for m in MODALITIES if m in scans)
    fixed = heads[reference]
    if reference not in MODALITIES_WITHOUT_FIELD:
        fixed = correct_bias_field(fixed)
    try:
        brain = extract_brain(Head(fixed, scans[reference], foregrounds[reference]), "auto")
    except InputError as error:
        problem = f"cannot be defaced: {reference} {error.problem}"
        remedy = "deface it by other means and set dataset.deface to false, or exclude the session"
        raise InputError(error.where, problem, remedy) from None
    border = face_border(brain)
    return {
        m: without_face(
            stored[m], border, np.eye(4) if m == reference else register(fixed, heads[m], brain)
        )
        for m in scans
        if foregrounds[m] is None
    }
