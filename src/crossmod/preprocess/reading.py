"""Raw scans of a session as preprocessing begins with them."""

from __future__ import annotations

from crossmod.config import PreprocessSettings
from crossmod.errors import InputError
from crossmod.hashing import hash_file
from crossmod.io import Image, describe_header, read_scan, to_ras
from crossmod.preprocess.annotations import Annotations, place
from crossmod.preprocess.bias_field import MODALITIES_WITHOUT_FIELD, correct_bias_field
from crossmod.preprocess.foreground import brain_only_mask
from crossmod.preprocess.raw_look import look_at_raw, remarks
from crossmod.preprocess.state import Session
from crossmod.settings import Modality


def read_scans(session: Session, annotations: Annotations) -> None:
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
        session.looks[modality] = look_at_raw(image)
        session.notes += remarks(modality, session.looks[modality])
        upright = to_ras(image)
        session.scans[modality] = _corrected(upright, modality, settings)
        if session.scans[modality] is not upright:
            session.corrected.append(modality)
        session.brain_only[modality] = brain_only_mask(upright)
    if not any(m in session.scans for m in settings.reference):
        if faults:
            raise faults[0]
        there = ", ".join(session.scans)
        problem = f"has none of {', '.join(settings.reference)}" + (there and f", only {there}")
        remedy = "add one that it has to preprocess.reference, or check the index of its scans"
        raise InputError(session.paths.key, problem, remedy)
    session.placed = place(annotations, as_stored)
    session.notes += session.placed.notes


def _corrected(image: Image, modality: Modality, settings: PreprocessSettings) -> Image:
    if settings.bias_field == "none" or modality in MODALITIES_WITHOUT_FIELD:
        return image
    return correct_bias_field(image)
