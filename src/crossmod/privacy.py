"""What of headers, sidecars and tables may reach an output: lists of what is allowed.

Everything else is left behind, known or not: names, dates, accession numbers, institutions, free
text. A key belongs here only if its value describes the scan or the person coarsely and says
neither who nor where nor when.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import nibabel as nib

_FORMS = """
sform_code srow_x srow_y srow_z qform_code quatern_b quatern_c quatern_d
qoffset_x qoffset_y qoffset_z pixdim xyzt_units
"""
HEADER_FIELDS = tuple(_FORMS.split())
"""Fields of NIfTI headers that are passed on: where voxels lie."""

PARTICIPANT_COLUMNS = ("age", "sex", "handedness", "group", "diagnosis", "grade")
"""Columns on participants that are passed on."""

# In the words of BIDS; DICOM names of the same where BIDS has none.
_SIDECAR = """
Manufacturer ManufacturersModelName MagneticFieldStrength ImagingFrequency ImageType Modality
MRAcquisitionType PulseSequenceType ScanningSequence SequenceVariant ScanOptions RepetitionTime
EchoTime InversionTime FlipAngle EchoNumber EchoTrainLength NumberOfAverages SliceThickness
SpacingBetweenSlices PixelBandwidth PercentSampling PercentPhaseFOV
ParallelReductionFactorInPlane PartialFourier NonlinearGradientCorrection SkullStripped
ContrastBolusIngredient KVP XRayTubeCurrent ExposureTime ConvolutionKernel Units TracerName
TracerRadionuclide InjectedRadioactivity InjectedRadioactivityUnits InjectedMass
InjectedMassUnits SpecificRadioactivity SpecificRadioactivityUnits ModeOfAdministration
ScanStart InjectionStart FrameTimesStart FrameDuration AcquisitionMode ImageDecayCorrected
ImageDecayCorrectionTime ReconMethodName ReconMethodParameterLabels ReconMethodParameterUnits
ReconMethodParameterValues ReconFilterType ReconFilterSize AttenuationCorrection
"""
SIDECAR_KEYS = frozenset(_SIDECAR.split())
"""Keys of sidecars that are passed on."""


def allowed_sidecar(content: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a sidecar that may be written, in the order of the alphabet.

    Values are words, finite numbers, or lists of these; others are left out.
    """
    keys = sorted(SIDECAR_KEYS & content.keys())
    return {key: content[key] for key in keys if _is_plain(content[key])}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(entry) for entry in value)
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def allowed_participant(row: Mapping[str, str]) -> dict[str, str]:
    """The columns on a participant that may be written; empty values are left out."""
    return {name: row[name] for name in PARTICIPANT_COLUMNS if row.get(name)}


def allowed_header(header: nib.Nifti1Header | None) -> nib.Nifti1Header | None:
    """A new header with the fields of `HEADER_FIELDS`; unknown units of space become mm.

    Description, names, intent and header extensions are free text and stay behind.
    """
    if header is None:
        return None
    import nibabel as nib

    clean: Any = nib.Nifti1Header()
    for field in HEADER_FIELDS:
        clean[field] = header[field]
    try:
        space, time = clean.get_xyzt_units()
    except KeyError:  # a number that stands for no unit
        space, time = "unknown", "unknown"
    clean.set_xyzt_units("mm" if space == "unknown" else space, time)
    return clean
