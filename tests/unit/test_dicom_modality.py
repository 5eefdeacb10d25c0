"""Modality and kind of a series from its header."""

from pathlib import Path
from typing import Any

import pytest

from crossmod.ingest.dicom.headers import Header, read_header
from crossmod.ingest.dicom.modality import modality_of, why_left_out
from crossmod.ingest.dicom.words import known_words
from tests.dicom_files import FLAIR, T1W, T2W, write_series


def head(folder: Path, **elements: Any) -> Header:
    (path,) = write_series(folder / "series", slices=1, **elements)
    found = read_header(path, "01")
    assert not isinstance(found, str), found
    return found[0]


MPRAGE = {
    "ScanningSequence": ["GR", "IR"],
    "SequenceVariant": ["SK", "SP", "MP"],
    "RepetitionTime": 2300.0,
    "EchoTime": 2.98,
    "InversionTime": 900.0,
}
GRADIENT = {"ScanningSequence": "GR", "RepetitionTime": 8.2, "EchoTime": 3.2, "FlipAngle": 12}
T1_FLAIR = {
    "ScanningSequence": ["SE", "IR"],
    "RepetitionTime": 3280.0,
    "EchoTime": 6.2,
    "InversionTime": 1238.0,
}
NO_TIMES = {"RepetitionTime": None, "EchoTime": None}


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        (T1W, "T1w"),
        (MPRAGE, "T1w"),
        ({**GRADIENT, "SequenceVariant": "SP"}, "T1w"),
        (T2W, "T2w"),
        ({**T2W, "RepetitionTime": 3200.0, "EchoTime": 408.0}, "T2w"),
        (FLAIR, "FLAIR"),
        ({**FLAIR, "RepetitionTime": 4800.0, "EchoTime": 340.0, "InversionTime": 1650.0}, "FLAIR"),
        ({**T2W, "EchoTime": 15.0}, "PDw"),
        ({**T1_FLAIR, "SeriesDescription": "AX_T1_pre_GD_FLAIR"}, "T1w"),
        ({**T1_FLAIR, "SeriesDescription": "AX_T1_POST_GD_FLAIR"}, "T1ce"),
        ({**MPRAGE, "ContrastBolusAgent": "Dotarem"}, "T1ce"),
        ({**MPRAGE, "ContrastBolusAgent": "NONE"}, "T1w"),
        ({**MPRAGE, "SeriesDescription": "T1 post op"}, "T1w"),
        ({**MPRAGE, "SeriesDescription": "T1 post op +Gd"}, "T1ce"),
        ({**T2W, "SeriesDescription": "T1 axial"}, "T2w"),
        ({**T2W, "ContrastBolusAgent": "Dotarem"}, "T2w"),
        ({**NO_TIMES, "SeriesDescription": "t2_space_dark-fluid_sag"}, "FLAIR"),
        ({**NO_TIMES, "ProtocolName": "sT1W/TSE"}, "T1w"),
        ({**NO_TIMES, "ProtocolName": "T1CE"}, "T1ce"),
        ({"modality": "CT"}, "CT"),
        ({"modality": "PT"}, "PET"),
    ],
)
def test_times_decide_the_modality(elements, expected, tmp_path: Path) -> None:
    header = head(tmp_path, **elements)
    assert why_left_out(header) == ""
    assert modality_of(header)[0] == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        *((text, "T1ce") for text in ("T1 C+", "AX T1 +C", "T1 +GD", "T1 + C", "T1 (C+)", "T1C")),
        *(
            (text, "T1ce")
            for text in ("t1_c+_sag", "T1C+", "T1w+C", "T1CE sag", "VIBE KM+", "T1-GD")
        ),
        *((text, "T1w") for text in ("T1 C-", "T1_C- sag", "T1 -C", "T1C-", "T1 -GD", "T1 KM-")),
        *((text, "T1w") for text in ("T1 C-spine", "T1 +/- C", "T1 +CSF", "T1 C", "3D T1C3")),
    ],
)
def test_signs_tell_whether_contrast_agent_was_given(description, expected, tmp_path) -> None:
    assert modality_of(head(tmp_path, **MPRAGE, SeriesDescription=description))[0] == expected


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({**FLAIR, "InversionTime": 160.0, "SeriesDescription": "T2 TIRM"}, "not recognized"),
        ({**GRADIENT, "EchoTime": 20.0, "SeriesDescription": "AX T2 GRE"}, "not recognized"),
        ({**NO_TIMES, "SeriesDescription": "T1 and T2"}, "not recognized (no times)"),
        ({**MPRAGE, "ContrastBolusAgent": "x", "SeriesDescription": "pre"}, "unclear whether"),
        ({**MPRAGE, "ContrastBolusAgent": "x", "SeriesDescription": "T1 C-"}, "unclear whether"),
    ],
)
def test_what_stays_open_is_said(elements, reason: str, tmp_path: Path) -> None:
    modality, grounds = modality_of(head(tmp_path, **elements))
    assert modality is None
    assert reason in grounds


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
        ({"SeriesDescription": "3-plane scout"}, "a localizer"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "a projection or reformat"),
        ({"ImageType": ["DERIVED", "PRIMARY", "PROJECTION IMAGE"]}, "a projection or reformat"),
        ({"ImageType": ["DERIVED", "PRIMARY", "M"]}, "derived from other series"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "a phase image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "SE"]}, "a phase image"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, "a diffusion series"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "FMRI"]}, "functional imaging or diffusion"),
        ({"SeriesDescription": "gre_field_mapping"}, "a parameter map"),
        ({"SeriesDescription": "B0map"}, "a field map"),
        ({"SeriesDescription": "SWI_Images"}, "susceptibility-weighted"),
        ({"SeriesDescription": "TOF 3D"}, "an angiography"),
        ({"ManufacturerModelName": "OsiriX"}, "an image made with a viewing program"),
        ({"DiffusionBValue": 1000.0}, "a diffusion series"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "a screen page"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"}, "a segmentation"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.2"}, "spectroscopy"),
        ({"modality": "PT", "CorrectedImage": ["DECY", "SCAT"]}, "a PET image without"),
        ({"modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "P"]}, ""),
        ({"modality": "PT", "CorrectedImage": ["DECY", "ATTN"]}, ""),
        ({"SeriesDescription": "t1_mpr_sag"}, ""),
    ],
)
def test_other_kinds_are_told_apart(elements, reason: str, tmp_path: Path) -> None:
    told = why_left_out(head(tmp_path, **elements))
    assert told.startswith(reason)
    assert bool(told) == bool(reason)


def test_words_of_a_description_are_kept_only_if_known() -> None:
    kept = known_words("AX_T1_pre_GD_FLAIR Smith 20190314", None)
    assert kept == ("flair", "gd", "pre", "pregd", "t1")
    assert known_words("t2 dark-fluid") == ("darkfluid", "t2")
    assert known_words(None, "") == ()
