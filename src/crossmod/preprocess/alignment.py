"""The scans of a session brought onto its reference, and whether that can be believed."""

from __future__ import annotations

import numpy as np

from crossmod.io import Image, same_grid
from crossmod.preprocess.registration import MOST_PEAK_SHARE, compared, peak_share, register
from crossmod.preprocess.state import FileHash, Session, StoredTransform, TransformKind
from crossmod.settings import Modality
from crossmod.spatial import Matrix


def align(session: Session, brain: Image) -> None:
    """Find the transform from the reference's world to that of every scan.

    Scans that cannot be registered are dropped; of those whose place is trusted by the settings a
    note tells. Checks: mutual information before and after, and `peak_share`.

    Parameters
    ----------
    session : Session
        Scans read, bias field corrected.
    brain : Image
        Brain mask in the world of the reference scan.
    """
    reference, wanted = session.reference, session.settings.registration
    fixed = session.scans[reference]
    session.affines[reference] = np.eye(4)
    for modality in [m for m in session.scans if m != reference]:
        moving = session.scans[modality]
        trusted = wanted == "none" or (wanted == "auto" and same_grid(moving, fixed))
        found = np.eye(4) if trusted else register(fixed, moving, brain)
        session.affines[modality] = found
        session.steps[modality] = _stored(session, modality, found, trusted)
        similarity = compared(fixed, moving, brain)
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


def _stored(session: Session, modality: Modality, matrix: Matrix, trusted: bool) -> StoredTransform:
    """The transform between a scan and the reference, to be stored."""
    reference = session.reference
    name = f"xfm-{modality}"
    if trusted:
        return StoredTransform(name, modality, reference, "identity", matrix)
    raw = (session.raw[m] for m in (reference, modality))
    files = tuple(FileHash(scan["name"], scan["sha256"]) for scan in raw)
    kind: TransformKind = "identity" if np.array_equal(matrix, np.eye(4)) else "rigid"
    return StoredTransform(name, modality, reference, kind, matrix, files)
