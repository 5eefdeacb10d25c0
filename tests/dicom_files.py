"""DICOM files made by code: small series with known values and places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

STORAGE = {
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
T1W = {"ScanningSequence": "SE", "RepetitionTime": 500.0, "EchoTime": 12.0}
T2W = {"ScanningSequence": "SE", "RepetitionTime": 4500.0, "EchoTime": 100.0}
FLAIR = {
    "ScanningSequence": ["SE", "IR"],
    "RepetitionTime": 9000.0,
    "EchoTime": 110.0,
    "InversionTime": 2500.0,
}
SIZE = (14, 12)  # rows, columns
SPACING_MM = (1.5, 1.25)  # between rows, between columns
STEP_MM = 3.0
# An oblique axial plane: directions of a row and of a column, LPS.
ORIENTATION = tuple(
    float(v)
    for v in np.round(
        np.linalg.qr(np.array([[0.98, 0.05, 0.1], [0.0, 0.97, 0.2], [0.1, 0.2, 0.9]]).T)[0].T[:2]
        * np.array([[-1.0], [-1.0]]),
        6,
    ).ravel()
)


def normal() -> np.ndarray:
    """Direction in which the slices follow each other, LPS."""
    return np.cross(ORIENTATION[:3], ORIENTATION[3:])


def position(number: float) -> list[float]:
    """Place of the first pixel of slice `number`, LPS in mm."""
    place = np.array([-20.0, -30.0, 10.0]) + number * STEP_MM * normal()
    return [float(f"{v:.6f}") for v in place]


def pixels(number: int) -> np.ndarray:
    """Values of slice `number`, all different within a series."""
    count = SIZE[0] * SIZE[1]
    return (np.arange(count, dtype=np.uint16) + 1 + number * count).reshape(SIZE)


def header(study: str, series: str, number: int, modality: str = "MR", **more: Any) -> FileDataset:
    """One slice without pixels. `more` sets elements by keyword; None removes one."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = STORAGE[modality]
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    values: dict[str, Any] = {
        "SOPClassUID": STORAGE[modality],
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "Modality": modality,
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "StudyDate": "20190314",
        "StudyTime": "101500",
        "PatientName": "",
        "PatientID": "",
        "SeriesNumber": 3,
        "InstanceNumber": number + 1,
        "SequenceVariant": "SK",
        "MRAcquisitionType": "2D",
        "ImagePositionPatient": position(number),
        "ImageOrientationPatient": list(ORIENTATION),
        "PixelSpacing": list(SPACING_MM),
        "SliceThickness": STEP_MM,
        "FrameOfReferenceUID": "1.2.3.4",
        "Rows": SIZE[0],
        "Columns": SIZE[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        **(T1W if modality == "MR" else {}),
        **more,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    return ds


def write_series(
    folder: Path, slices: int = 8, study: str | None = None, **more: Any
) -> list[Path]:
    """Write a series of `slices` files named like a scanner does, without an ending."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series = study or generate_uid(), str(more.pop("SeriesInstanceUID", generate_uid()))
    paths = []
    for number in range(slices):
        ds = header(study, series, number, **more)
        ds.PixelData = pixels(number).tobytes()
        ds["PixelData"].VR = "OW"
        paths.append(folder / f"{more.get('SeriesNumber', 3)}-{number:03d}")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_enhanced(folder: Path, frames: int = 8, **more: Any) -> Path:
    """Write one multi-frame file of a T2-weighted volume."""
    folder.mkdir(parents=True, exist_ok=True)
    shared = {"RepetitionTime", "EchoTime", "ScanningSequence", "ImagePositionPatient"}
    shared |= {"ImageOrientationPatient", "PixelSpacing", "SliceThickness"}
    plain = dict.fromkeys(shared)
    ds = header(generate_uid(), generate_uid(), 0, **{**plain, "SOPClassUID": ENHANCED_MR, **more})
    ds.NumberOfFrames = frames
    ds.EchoPulseSequence = "SPIN"
    ds.AcquisitionContrast = "T2"
    measures = _item(PixelSpacing=list(SPACING_MM), SliceThickness=STEP_MM)
    timing = _item(RepetitionTime=4500.0, FlipAngle=90.0)
    group = Dataset()
    group.PixelMeasuresSequence = Sequence([measures])
    group.PlaneOrientationSequence = Sequence([_item(ImageOrientationPatient=list(ORIENTATION))])
    group.MRTimingAndRelatedParametersSequence = Sequence([timing])
    group.MREchoSequence = Sequence([_item(EffectiveEchoTime=100.0)])
    ds.SharedFunctionalGroupsSequence = Sequence([group])
    ds.PerFrameFunctionalGroupsSequence = Sequence([_frame(n) for n in range(frames)])
    ds.PixelData = np.stack([pixels(n) for n in range(frames)]).tobytes()
    ds["PixelData"].VR = "OW"
    path = folder / "IM_0001"
    ds.save_as(path, enforce_file_format=True)
    return path


def _frame(number: int) -> Dataset:
    frame = Dataset()
    frame.PlanePositionSequence = Sequence([_item(ImagePositionPatient=position(number))])
    content = _item(InStackPositionNumber=number + 1, StackID="1")
    content.DimensionIndexValues = [1, number + 1]
    frame.FrameContentSequence = Sequence([content])
    return frame


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item
