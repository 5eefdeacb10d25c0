"""Which modality a DICOM series is: acquisition times first, words last."""

from __future__ import annotations

from typing import cast

from crossmod.ingest.dicom.headers import IMAGE_STORAGE, STORAGE_ROOT, Header
from crossmod.ingest.dicom.words import AFTER, BEFORE, KINDS, MODALITIES, NOT_AFTER
from crossmod.settings import Modality

_OTHER_STORAGE = (
    ("7", "a screen page"),
    ("66.4", "a segmentation"),
    ("66", "raw data"),
    ("481.", "a radiotherapy object"),
    ("88.", "a report"),
    ("11.", "a display setting"),
    ("4.2", "spectroscopy"),
    ("104.", "a document"),
)
# Terms of ImageType, in the order in which they tell most.
_TYPES = (
    ({"LOCALIZER", "SCOUT"}, "a localizer"),
    ({"MPR", "MIP", "MINIP", "PROJECTION IMAGE", "REFORMATTED"}, "a projection or reformat"),
    ({"ADC", "TRACEW", "FA", "DIFFUSION", "ADC_UNSPECIFIED"}, "a diffusion series"),
    ({"PERFUSION", "ASL", "RCBV", "RCBF"}, "a perfusion series"),
    ({"FMRI", "MOSAIC"}, "functional imaging or diffusion"),
    ({"P", "PHASE", "PHASE MAP", "VELOCITY", "R", "REAL", "I", "IMAGINARY"}, "a phase image"),
    ({"SWI", "MNIP"}, "susceptibility-weighted"),
    ({"T1 MAP", "T2 MAP", "B0 MAP", "B1 MAP"}, "a parameter map"),
    ({"SCREEN SAVE", "SCREEN CAPTURE"}, "a screen page"),
    ({"DERIVED"}, "derived from other series"),
    ({"SECONDARY"}, "derived from other series"),
)


def why_left_out(header: Header) -> str:
    """Why a series is no scan to use, as a noun (`a localizer`); empty if it may be one."""
    if header.storage not in IMAGE_STORAGE:
        end = header.storage.removeprefix(STORAGE_ROOT)
        return next((why for start, why in _OTHER_STORAGE if end.startswith(start)), "no image")
    if header.modality not in ("MR", "CT", "PT"):
        return "no MR, CT or PET image"
    for terms, why in _TYPES:
        if terms & set(header.image_type) and not (header.modality != "MR" and "phase" in why):
            return why
    for why, words in KINDS.items():
        if words & set(header.words):
            return why
    if header.model == "viewer":
        return "an image made with a viewing program"
    if header.b_value:
        return "a diffusion series"
    if header.modality == "MR" and "EP" in header.sequence:
        return "an echo-planar series (diffusion, perfusion or function)"
    if header.modality == "PT" and header.corrections and "ATTN" not in header.corrections:
        return "a PET image without attenuation correction"
    return ""


def modality_of(header: Header) -> tuple[Modality | None, str]:
    """Modality of a series that may be a scan, and on what grounds.

    Repetition, echo and inversion time decide; words of the description count only where the
    times are missing, or leave open what a plain spin or gradient echo is. Whether a contrast agent
    was given is told by ContrastBolusAgent, else by words; where the two contradict each other
    nothing is said.

    Returns
    -------
    (Modality or None, str)
        With None the reason, else `headers` or `description`.

    Notes
    -----
    Ranges in ms, at 1.5 and 3 T, as in Bushberg et al., The Essential Physics of Medical Imaging,
    3rd ed. 2012, ch. 12-13, widened to the 3-D sequences of today: see the table in the how-to
    page on DICOM.
    """
    if header.modality in ("CT", "PT"):
        return ("CT" if header.modality == "CT" else "PET"), "headers"
    found, grounds = _by_times(header), "headers"
    if found is None and _is_open(header):
        found, grounds = _by_words(header), "description"
    if found is None:
        return None, f"not recognized ({_times(header)})"
    if found == "T1w":
        return _with_agent(header, grounds)
    return found, grounds


def _by_times(header: Header) -> Modality | None:
    tr, te = header.tr_ms, header.te_ms
    if not tr or not te:
        return None
    if header.ti_ms or "IR" in header.sequence:
        return _inverted(header, tr, te)
    if "GR" in header.sequence and "SE" not in header.sequence:
        prepared = {"MP", "SP"} & set(header.variant) or (header.flip_deg or 0) >= 8
        return "T1w" if te <= 10 and tr <= 3000 and prepared else None
    if tr <= 1200 and te <= 35:
        return "T1w"
    if tr >= 1800 and te >= 60:
        return "T2w"
    return "PDw" if tr >= 1800 and te <= 40 else None


def _inverted(header: Header, tr: float, te: float) -> Modality | None:
    """Of the sequences with an inversion pulse."""
    ti = header.ti_ms
    if te <= 45 and tr <= 4000 and (ti is None or ti >= 300):
        return "T1w"  # MPRAGE, T1-weighted FLAIR; TR of a gradient echo may be one excitation's
    if te >= 60 and tr >= 4000 and (ti is None or ti >= 1400):
        return "FLAIR"
    return None


def _is_open(header: Header) -> bool:
    """Whether words may tell: no times, or a spin or gradient echo of unclear weighting."""
    if not header.tr_ms or not header.te_ms:
        return True
    inverted = header.ti_ms or "IR" in header.sequence
    return not inverted and ("GR" not in header.sequence or header.te_ms <= 10)


def _by_words(header: Header) -> Modality | None:
    said = {
        name
        for name, pattern in MODALITIES.items()
        if any(pattern.fullmatch(word) for word in header.words)
    }
    if said == {"T2w", "FLAIR"}:  # "T2 FLAIR" is a FLAIR
        said = {"FLAIR"}
    return cast(Modality, said.pop()) if len(said) == 1 else None


def _with_agent(header: Header, grounds: str) -> tuple[Modality | None, str]:
    words = set(header.words)
    after = words & AFTER - ({"post"} if words & NOT_AFTER else set())
    before = words & BEFORE
    if header.agent and before:
        return None, "T1-weighted, but unclear whether before or after contrast agent"
    return ("T1ce" if header.agent or (after and not before) else "T1w"), grounds


def _times(header: Header) -> str:
    names = (("TR", header.tr_ms), ("TE", header.te_ms), ("TI", header.ti_ms))
    return ", ".join(f"{name} {time:g} ms" for name, time in names if time) or "no times"
