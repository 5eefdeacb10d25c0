"""What of a sidecar may be written: plain values of known keys."""

from typing import Any

import pytest

from crossmod.bids_dataset import pet_sidecar
from crossmod.privacy import SIDECAR_KEYS, allowed_sidecar

# The example of the BIDS specification (PET), with what it says of the scanner.
PET: dict[str, Any] = {
    "Manufacturer": "Siemens",
    "ManufacturersModelName": "High-Resolution Research Tomograph (HRRT, CTI/Siemens)",
    "Modality": "PT",
    "Units": "Bq/mL",
    "TracerName": "CIMBI-36",
    "TracerRadionuclide": "C11",
    "InjectedRadioactivity": 573_000_000,
    "InjectedRadioactivityUnits": "Bq",
    "InjectedMass": 0.62,
    "InjectedMassUnits": "µg",
    "SpecificRadioactivity": 929.6,
    "SpecificRadioactivityUnits": "MBq/ug",
    "ModeOfAdministration": "bolus",
    "ScanStart": 0,
    "InjectionStart": -1800,
    "FrameTimesStart": [0],
    "FrameDuration": [600],
    "AcquisitionMode": "list mode",
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 0,
    "ReconMethodName": "3D-OSEM-PSF",
    "ReconMethodParameterLabels": ["subsets", "iterations"],
    "ReconMethodParameterUnits": ["none", "none"],
    "ReconMethodParameterValues": [16, 10],
    "ReconFilterType": "none",
    "ReconFilterSize": 0,
    "AttenuationCorrection": "[137Cs]transmission scan-based",
}
MR: dict[str, Any] = {
    "Manufacturer": "GE MEDICAL SYSTEMS",
    "ManufacturersModelName": "DISCOVERY MR750w",
    "MagneticFieldStrength": 3,
    "ImageType": ["ORIGINAL", "PRIMARY", "M_SE", "M", "SE"],
    "MRAcquisitionType": "3D",
    "PulseSequenceType": "MPRAGE",
    "ScanningSequence": "GR\\IR",
    "SequenceVariant": ["SK", "SP", "MP"],
    "ScanOptions": "PFP\\FS",
    "RepetitionTime": 2.3,
    "EchoTime": 0.00298,
    "SkullStripped": False,
    "ContrastBolusIngredient": "GADOLINIUM",
    "ConvolutionKernel": "STANDARD",
}
SENTENCES = [
    "JOHN SMITH 1970-03-14", "SMITH^JOHN", "2019-03-14T10:22:33", "10:22:33", "20190314",
    "requested by Dr House for JOHN SMITH", "Prisma@Charite Berlin SN 12345", "Prisma 19700314",
    "3.5", "", "^", "ORIGINAL SMITH",
]  # fmt: skip


@pytest.mark.parametrize("content", [PET, MR])
def test_what_describes_the_scan_is_kept_as_it_is(content: dict[str, Any]) -> None:
    assert allowed_sidecar(content) == content
    assert list(allowed_sidecar(content)) == sorted(content)


def test_nothing_that_bids_requires_of_a_pet_scan_is_lost() -> None:
    assert pet_sidecar(allowed_sidecar(PET))[1] == []


def test_times_of_a_pet_scan_count_from_its_start() -> None:
    clock = {"ScanStart": 37353, "FrameTimesStart": [37353], "InjectionStart": 33753}
    content, _ = pet_sidecar(allowed_sidecar({**PET, **clock, "ImageDecayCorrectionTime": 37353}))
    times = [content[key] for key in (*clock, "ImageDecayCorrectionTime", "TimeZero")]
    assert times == [0, [0], -3600, 0, "00:00:00"]
    assert pet_sidecar(content)[0] == content
    assert pet_sidecar({**PET, "InjectionStart": [0]})[1] == ["InjectionStart"]


@pytest.mark.parametrize("text", SENTENCES)
def test_no_key_passes_free_text_or_dates(text: str) -> None:
    assert len(SIDECAR_KEYS) > 50
    values = (text, [text], ["none", text], [[text]])
    for value in values:
        assert allowed_sidecar(dict.fromkeys(SIDECAR_KEYS, value)) == {}


@pytest.mark.parametrize(
    "value", [19700314, -1552558953, 1552558953.5, float("nan"), float("inf"), 10**400, True]
)
def test_numbers_are_plain_and_tell_no_date(value: float) -> None:
    for key in ("EchoTime", "ScanStart", "FrameTimesStart"):
        assert allowed_sidecar({key: value, "FlipAngle": [value]}) == {}


@pytest.mark.parametrize(
    "content",
    [
        {"EchoTime": {"PatientName": "x"}},
        {"EchoTime": None},
        {"EchoTime": "3D"},
        {"MRAcquisitionType": 3},
        {"SkullStripped": 1},
        {"Units": "siemens"},
        {"PatientName": []},
        {"AcquisitionTime": 3},
    ],
)
def test_a_value_of_another_kind_is_left_out(content: dict[str, Any]) -> None:
    assert allowed_sidecar(content) == {}
