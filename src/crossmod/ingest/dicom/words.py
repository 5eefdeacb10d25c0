"""The words of series descriptions that crossmod knows; all others are passed over."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

# Reason to leave a series out -> words that say so.
KINDS: dict[str, set[str]] = {
    "a localizer": {
        *("scout", "localizer", "localiser", "loc", "survey", "topogram", "scanogram"),
        *("surview", "smartbrain", "3plane", "threeplane", "tracker"),
    },
    "a mask or region drawn on another series": {"roi", "rois", "seg", "segmentation", "mask"},
    "a diffusion series": {"dwi", "dti", "dki", "adc", "diff", "diffusion", "trace", "tracew"},
    "a perfusion series": {
        *("perf", "perfusion", "pwi", "dsc", "dce", "asl", "pasl", "pcasl"),
        *("cbf", "cbv", "mtt", "ttp"),
    },
    "functional imaging": {"bold", "fmri", "func"},
    "a field map": {"fieldmap", "fmap", "b0map", "b1map", "b0", "b1"},
    "a parameter map": {"map", "mapping", "mapit", "t1map", "t2map", "relaxometry", "mp2rage"},
    "susceptibility-weighted": {"swi", "swan", "venbold", "qsm", "hemo", "t2s", "t2star"},
    "an angiography": {"tof", "mra", "mrv", "angio", "angiography", "venography"},
    "spectroscopy": {"spectro", "spectroscopy", "mrs", "svs", "csi"},
    "a STIR series": {"stir"},
    "a double-inversion series": {"dir"},
    "a steady-state series": {"ciss", "fiesta", "trufi", "truefisp", "bssfp"},
    "a difference of series": {"subtraction", "subtr", "subtracted"},
    "a magnetization-transfer series": {"mtc", "mtr", "mton", "mtoff"},
    "a projection or reformat": {"mip", "minip", "reformat"},
    "a calibration series": {"calibration", "cal", "asset"},
    "a screen page": {"screen", "screensave", "capture", "dose", "report"},
}
_SIDE = r"(?:ax|axial|sag|cor|tra|s|3d|2d)?"
MODALITIES = {
    "T1w": re.compile(
        rf"{_SIDE}t1(w|wi)?(c|ce|gd|km)?|mprage|mpr|spgr|fspgr|bravo|tfl|vibe|flash", re.IGNORECASE
    ),
    "T2w": re.compile(rf"{_SIDE}t2(w|wi)?"),
    "FLAIR": re.compile(rf"{_SIDE}flair|darkfluid"),
    "PDw": re.compile(r"pd(w|wi)?|dp|protondensity|rho"),
}
# Signs of contrast agent, which are no words: "T1 C+", "AX T1 +C", "T1C"; "T1 C-", "T1 -GD".
# A hyphen between words (`T1-GD`, `C-spine`) is no minus.
_SIGNS = {
    "c+": re.compile(
        r"(?<![a-z0-9])(c|cm|km|gd)\s?\(?\+|\+\s?(c|cm|km|gd|contrast)(?![a-z0-9])"
        r"|t1w?(c|ce|gd|km)(?![a-z0-9-])"
    ),
    "c-": re.compile(
        r"(?<![a-z0-9])(t1)?(c|cm|km)\(?-(?![a-z0-9])|(?<=[\s_(])-(c|cm|km|gd)(?![a-z0-9])"
    ),
}
BEFORE = {
    *("pre", "precontrast", "pregd", "without", "wo", "ohne", "nativ", "native", "noncontrast"),
    "c-",
}
AFTER = {
    *("gd", "gad", "gado", "gadolinium", "post", "postgd", "postcontrast"),
    *("contrast", "ce", "cm", "km", "c+"),
}
NOT_AFTER = {"op", "surgery", "treatment", "rt"}  # "T1 post op" is after an operation
_COMPOUNDS = {"darkfluid", "protondensity"}
_KNOWN = set().union(*KINDS.values(), BEFORE, AFTER, NOT_AFTER)


def known_words(*texts: Any) -> tuple[str, ...]:
    """Known words of free texts, sorted; nothing else of them.

    >>> known_words("AX_T1_pre_GD_FLAIR Smith", None)
    ('flair', 'gd', 'pre', 'pregd', 't1')
    >>> known_words("AX T1 +C Smith")
    ('c+', 't1')
    """
    said = " ".join(str(text or "") for text in texts).lower()
    signs = {sign for sign, pattern in _SIGNS.items() if pattern.search(said)}
    words = re.findall(r"[a-z0-9]+", said)
    joined = {"".join(pair) for pair in pairwise(words)} & (_KNOWN | _COMPOUNDS)
    return tuple(sorted({word for word in words if _is_known(word)} | joined | signs))


def _is_known(word: str) -> bool:
    return word in _KNOWN or any(pattern.fullmatch(word) for pattern in MODALITIES.values())
