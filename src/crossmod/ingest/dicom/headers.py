"""What crossmod takes from the header of a DICOM file: facts of geometry and sequence.

Nothing that tells who was scanned leaves this module: identifiers become hashes, free text becomes
the words of it that are in a fixed vocabulary.
"""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmod.ingest.dicom.identity import gives_away, patient
from crossmod.ingest.dicom.words import known_words

log = logging.getLogger(__name__)
STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."
# CT, MR and PET images: single, multi-frame, and converted to multi-frame.
IMAGE_STORAGE = frozenset(
    f"{STORAGE_ROOT}{end}" for end in ("2", "2.1", "2.2", "4", "4.1", "4.4", "128", "128.1", "130")
)
_MAGIC = b"DICM"
_DAMAGED = "DICOM file with a damaged header"
_DIRECTORY = "1.2.840.10008.1.3.10"
# Elements of multi-frame images that lie in sequences of their own (PS3.3 C.7.6.16, C.8.13).
_GROUPS = {
    "PixelSpacing": "PixelMeasuresSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "RepetitionTime": "MRTimingAndRelatedParametersSequence",
    "FlipAngle": "MRTimingAndRelatedParametersSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "InversionTimes": "MRModifierSequence",
    "InversionRecovery": "MRModifierSequence",
    "DiffusionBValue": "MRDiffusionSequence",
}
_FAMILIES = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("SE", "GR")}
_NO_AGENT = {"", "N", "NO", "NONE", "NO CONTRAST", "NOT USED", "0", "N/A", "OHNE", "WITHOUT"}


@dataclass(frozen=True)
class Header:
    """Facts that all slices of a series share.

    Attributes
    ----------
    series, study, patient : str
        Hashes of SeriesInstanceUID, StudyInstanceUID, and PatientID (without one PatientName);
        study and patient are empty where headers do not tell them.
    named : bool
        Whether the name of the participant's folder tells who was scanned.
    date : str
        StudyDate and StudyTime; they order the sessions and are written nowhere.
    number : int or None
        SeriesNumber, as viewers show it.
    modality, storage, syntax : str
        Modality, SOPClassUID and TransferSyntaxUID.
    image_type, sequence, variant : tuple of str
        ImageType, ScanningSequence (multi-frame: the same terms), SequenceVariant.
    volumetric : bool
        A 3-D acquisition.
    tr_ms, te_ms, ti_ms, flip_deg, b_value : float or None
        RepetitionTime, EchoTime, InversionTime, FlipAngle; DiffusionBValue in s/mm2.
    agent : bool
        A contrast agent is named.
    corrections : tuple of str
        CorrectedImage (PET).
    model : str
        `viewer` if a viewing program made the image, else empty.
    words : tuple of str
        Known words of SeriesDescription and ProtocolName.
    size : (int, int)
        Rows and Columns.
    spacing_mm : (float, float)
        PixelSpacing; empty if there is none.
    orientation : tuple of 6 float
        ImageOrientationPatient (LPS); empty if there is none.
    frame_bytes : int
        Size of one slice without compression.
    """

    series: str
    study: str
    patient: str
    named: bool
    date: str
    number: int | None
    modality: str
    storage: str
    syntax: str
    image_type: tuple[str, ...]
    sequence: tuple[str, ...]
    variant: tuple[str, ...]
    volumetric: bool
    tr_ms: float | None
    te_ms: float | None
    ti_ms: float | None
    flip_deg: float | None
    b_value: float | None
    agent: bool
    corrections: tuple[str, ...]
    model: str
    words: tuple[str, ...]
    size: tuple[int, int]
    spacing_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    frame_bytes: int


@dataclass(frozen=True)
class Slice:
    """One file of a series.

    Attributes
    ----------
    path : path
        The file.
    instance : str
        Hash of SOPInstanceUID; copies of a file share it.
    positions : tuple of (float, float, float)
        ImagePositionPatient of each frame, LPS in mm; empty where there is none.
    bytes : int
        Size of the file.
    pixel_bytes : int
        How much of it comes after the header.
    """

    path: Path
    instance: str
    positions: tuple[tuple[float, ...], ...]
    bytes: int
    pixel_bytes: int


def read_header(path: Path, folder: str) -> tuple[Header, Slice] | str:
    """Read one file up to its pixels.

    Parameters
    ----------
    path : path
        Any file.
    folder : str
        Name of the participant's folder, to see whether it gives away the patient.

    Returns
    -------
    (Header, Slice) or str
        Or why there is none: `directory` (a DICOMDIR), or a fault in words.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            return "empty file"
        if not begins_as_dicom(path):
            return "no DICOM file"
    except OSError as error:
        return error.strerror or "unreadable"
    try:
        ds, end = _dataset(path)
        return _facts(ds, folder), Slice(path, _instance(ds), _positions(ds), size, size - end)
    except _NotAnImage as reason:
        return str(reason)
    except Exception as error:  # pydicom raises whatever a damaged header makes it stumble on
        log.debug("a header cannot be read: %s", type(error).__name__)
        return _DAMAGED


def begins_as_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do: `DICM` after 128 bytes, or a first element."""
    with open(path, "rb") as stream:
        start = stream.read(132)
    return start[128:] == _MAGIC or start[:2] in (b"\x02\x00", b"\x08\x00")


class _NotAnImage(Exception):
    """A DICOM file without an image that can be placed."""


def _dataset(path: Path) -> tuple[Any, int]:
    """Elements before the pixels, and where they end."""
    import pydicom
    from pydicom import config

    # Odd values are no reason to refuse a scan, and warnings on them would print them.
    config.settings.reading_validation_mode = config.IGNORE
    with open(path, "rb") as stream:
        ds = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
        end = stream.tell()
    if str(ds.file_meta.get("MediaStorageSOPClassUID", "")) == _DIRECTORY:
        raise _NotAnImage("directory")
    needed = ["SeriesInstanceUID", "Modality"]
    needed += ["Rows", "Columns"] if ds.get("SOPClassUID") in IMAGE_STORAGE else []
    if not all(ds.get(keyword) for keyword in needed):
        raise _NotAnImage(_DAMAGED)
    return ds, end


def _facts(ds: Any, folder: str) -> Header:
    return Header(
        series=_hash(ds.SeriesInstanceUID),
        study=_hash(ds.get("StudyInstanceUID", "")),
        patient=_hash(patient(ds)),
        named=gives_away(folder, ds),
        date=f"{ds.get('StudyDate') or ''}{ds.get('StudyTime') or ''}",
        number=_whole(ds.get("SeriesNumber")),
        modality=str(ds.Modality),
        storage=str(ds.get("SOPClassUID", "")),
        syntax=str(ds.file_meta.get("TransferSyntaxUID", "")),
        image_type=_texts(ds.get("ImageType")),
        sequence=_sequence(ds),
        variant=_texts(ds.get("SequenceVariant")),
        volumetric=ds.get("MRAcquisitionType") == "3D",
        tr_ms=_number(_value(ds, "RepetitionTime")),
        te_ms=_number(_value(ds, "EchoTime") or _value(ds, "EffectiveEchoTime")),
        ti_ms=_number(ds.get("InversionTime") or _first(_value(ds, "InversionTimes"))),
        flip_deg=_number(_value(ds, "FlipAngle")),
        b_value=_number(_value(ds, "DiffusionBValue")),
        agent=_has_agent(ds),
        corrections=_texts(ds.get("CorrectedImage")),
        model="viewer" if "osirix" in _model(ds) or "horos" in _model(ds) else "",
        words=known_words(ds.get("SeriesDescription"), ds.get("ProtocolName")),
        size=(_whole(ds.get("Rows")) or 0, _whole(ds.get("Columns")) or 0),
        spacing_mm=_numbers(_value(ds, "PixelSpacing"), 2),
        orientation=_numbers(_value(ds, "ImageOrientationPatient"), 6),
        frame_bytes=_frame_bytes(ds),
    )


def _instance(ds: Any) -> str:
    return _hash(ds.get("SOPInstanceUID"))


def _value(ds: Any, keyword: str, frame: int = 0) -> Any:
    """An element, from the functional groups if the image is a multi-frame one."""
    if keyword in ds:
        return ds[keyword].value
    frames = ds.get("PerFrameFunctionalGroupsSequence") or []
    shared = ds.get("SharedFunctionalGroupsSequence") or []
    for group in (*frames[frame : frame + 1], *shared[:1]):
        for item in group.get(_GROUPS.get(keyword, ""), []) if keyword in _GROUPS else []:
            if keyword in item:
                return item[keyword].value
    return None


def _positions(ds: Any) -> tuple[tuple[float, ...], ...]:
    frames = len(ds.get("PerFrameFunctionalGroupsSequence") or []) or 1
    found = [_numbers(_value(ds, "ImagePositionPatient", n), 3) for n in range(frames)]
    return tuple(position for position in found if position)


def _sequence(ds: Any) -> tuple[str, ...]:
    """ScanningSequence; for multi-frame images in the same terms."""
    terms = list(_texts(ds.get("ScanningSequence")))
    terms += _FAMILIES.get(str(ds.get("EchoPulseSequence", "")), ())
    terms += ["EP"] * (ds.get("EchoPlanarPulseSequence") == "YES")
    terms += ["IR"] * (_value(ds, "InversionRecovery") == "YES")
    return tuple(terms)


def _has_agent(ds: Any) -> bool:
    named = str(ds.get("ContrastBolusAgent") or "").strip().upper() not in _NO_AGENT
    return named or bool(ds.get("ContrastBolusAgentSequence"))


def _model(ds: Any) -> str:
    return str(ds.get("ManufacturerModelName", "")).lower()


def _frame_bytes(ds: Any) -> int:
    bits = (_whole(ds.get("BitsAllocated")) or 0) * (_whole(ds.get("SamplesPerPixel")) or 1)
    return (_whole(ds.get("Rows")) or 0) * (_whole(ds.get("Columns")) or 0) * bits // 8


def _hash(value: Any) -> str:
    """Hash of an identifier; empty for an empty one, which is unknown and equals no other."""
    text = str(value or "").strip()
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


def _texts(value: Any) -> tuple[str, ...]:
    """Coded terms in capitals; `value` is one or several."""
    values = [value] if isinstance(value, str) else list(value or [])
    return tuple(str(text).strip().upper() for text in values if str(text).strip())


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) or hasattr(value, "insert") else value


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    numbers = [_number(v) for v in value or []]
    good = [number for number in numbers if number is not None]
    return tuple(round(number, 5) for number in good) if len(good) == count else ()
