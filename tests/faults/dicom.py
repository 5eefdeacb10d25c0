"""Faults of DICOM folders, made by code: what is wrong, and the line that tells it."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from crossmod.errors import InputError
from crossmod.ingest.dicom.conversion import read_series
from crossmod.ingest.dicom.reader import find
from crossmod.ingest.index import _scan
from crossmod.ingest.names import Source
from tests.dicom_files import FLAIR, ORIENTATION, T2W, position, write_series
from tests.faults.cases import Fault

GOOD, BAD = "sub-good", "sub-bad"


def _missing_slices(folder: Path) -> None:
    paths = write_series(folder, slices=12)
    for number in (4, 5, 8):
        paths[number].unlink()


def _mixed_series(folder: Path) -> None:
    """Two series in one folder under one modality: all files are there, none is preferred."""
    study = generate_uid()
    write_series(folder, study=study, SeriesNumber=3)
    write_series(folder, study=study, SeriesNumber=4)


def _doubled_slices(folder: Path) -> None:
    """A second image at two places, with identifiers of its own."""
    for path in write_series(folder)[:2]:
        ds = dcmread(path)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.save_as(path.with_name(f"{path.name}b"))


def _time_series(folder: Path) -> None:
    uid, study = generate_uid(), generate_uid()
    for part in ("a", "b", "c"):
        write_series(folder / part, study=study, SeriesInstanceUID=uid)


def _cut_short(folder: Path) -> None:
    path = write_series(folder)[3]
    path.write_bytes(path.read_bytes()[:-200])


def _cut_in_header(folder: Path) -> None:
    path = write_series(folder)[3]
    path.write_bytes(path.read_bytes()[:400])


def _no_dicom(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing")
    (folder / "IM0001").write_bytes(bytes(range(256)) * 4)


def _single_slice(folder: Path) -> None:
    write_series(folder, slices=1)


def _two_spacings(folder: Path) -> None:
    """One slice of a series has another pixel spacing."""
    path = write_series(folder)[3]
    ds = dcmread(path)
    ds.PixelSpacing = [1.0, 1.0]
    ds.save_as(path)


def _two_patients(folder: Path) -> None:
    write_series(folder / "a", PatientID="P1")
    write_series(folder / "b", PatientID="P2", **T2W)


def _patient_in_two_folders(folder: Path) -> None:
    write_series(folder, PatientID="Z123456")
    write_series(folder.with_name("sub-bad2"), PatientID="Z123456", StudyDate="20200101")


def _directory_only(folder: Path) -> None:
    folder.mkdir()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = Dataset()
    ds.file_meta = meta
    ds.FileSetID = "DISC"
    ds.DirectoryRecordSequence = []
    ds.save_as(folder / "DICOMDIR", enforce_file_format=True)


def _uneven(folder: Path) -> None:
    for number, path in enumerate(write_series(folder)):
        ds = dcmread(path)
        ds.ImagePositionPatient = position(number + 0.4 * (number > 4))
        ds.save_as(path)


def _tilted(folder: Path) -> None:
    """Slices shifted along their columns, as a tilted gantry does."""
    column = np.array(ORIENTATION[3:])
    for number, path in enumerate(write_series(folder, modality="CT")):
        ds = dcmread(path)
        place = np.array(position(number)) + 0.6 * number * column
        ds.ImagePositionPatient = [float(f"{v:.6f}") for v in place]
        ds.save_as(path)


def _no_position(folder: Path) -> None:
    write_series(folder, ImagePositionPatient=None)


def _no_spacing(folder: Path) -> None:
    write_series(folder, PixelSpacing=None)


def _empty_file(folder: Path) -> None:
    write_series(folder)[3].write_bytes(b"")


def _derived(folder: Path) -> None:
    write_series(folder, ImageType=["DERIVED", "SECONDARY", "MPR"])


def _mask(folder: Path) -> None:
    write_series(folder, SeriesDescription="FLAIR_ROI", **FLAIR)


def _localizer(folder: Path) -> None:
    write_series(folder, slices=3, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])


def _diffusion(folder: Path) -> None:
    write_series(folder, **{**T2W, "ScanningSequence": ["EP", "SE"]})


def _unclear_agent(folder: Path) -> None:
    write_series(folder, SeriesDescription="AX T1 pre", ContrastBolusAgent="Gadovist")


def _unknown_sequence(folder: Path) -> None:
    write_series(folder, RepetitionTime=1500.0, EchoTime=50.0)


def _constant(folder: Path) -> None:
    for path in write_series(folder):
        ds = dcmread(path)
        ds.PixelData = bytes(len(ds.PixelData))
        ds.save_as(path)


def _damaged_compressed(folder: Path) -> None:
    """A run-length coded slice whose code ends early."""
    from pydicom.uid import RLELossless

    for number, path in enumerate(write_series(folder)):
        ds = dcmread(path)
        ds.compress(RLELossless)
        ds.save_as(path)
        if number == 3:
            path.write_bytes(path.read_bytes()[:-150])


def _video(folder: Path) -> None:
    """A transfer syntax that no converter of volumes knows."""
    for path in write_series(folder):
        ds = dcmread(path)
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
        ds["PixelData"].is_undefined_length = True
        ds.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
        ds.save_as(path)


def lines(root: Path) -> list[str]:
    """Everything that is told of a data folder: remarks, and what reading the faulty scans says.

    Records of headers go to a working folder of their own.
    """
    with tempfile.TemporaryDirectory(prefix="dicom-fault-") as work, contextlib.chdir(work):
        found = find(root)
        told = [f"{r.path or r.participant}: {r.text}" for r in found.remarks]
        for (key, modality), sources in found.scans.items():
            if key.startswith(BAD):
                alone = len(sources) == 1
                reason = "" if alone else _scan(key, modality, found, False).reason
                told.append(_reading(sources[0]) if alone else reason)
    return told


def _reading(source: Source) -> str:
    try:
        read_series(source)
    except InputError as error:
        return str(error)
    return ""


def _make(wrong: Callable[[Path], object], folder: Path) -> Path:
    write_series(folder / GOOD, **T2W)
    wrong(folder / BAD)
    return folder


def _line(says: str, root: Path) -> str:
    """The line with the words, empty if none has them; hashes differ each time and are set."""
    line = next((line for line in lines(root) if says in line), "")
    return re.sub(r"(?<=-)[0-9a-f]{8}\b", "1f2e3d4c", line)


def _fault(name: str, what: str, says: str, wrong: Callable[[Path], object]) -> Fault:
    return Fault(name, what, partial(_make, wrong), says, partial(_line, says))


CASES = [
    _fault(
        "dicom-missing-slices",
        "3 of 12 slices are missing",
        "lacks 3 slices in 2 gaps",
        _missing_slices,
    ),
    _fault(
        "dicom-mixed-series",
        "two T1w series, in one folder",
        "2 series claim to be T1w",
        _mixed_series,
    ),
    _fault(
        "dicom-doubled-slices",
        "a second image at two places",
        "holds more than one image at 2 of 8 places",
        _doubled_slices,
    ),
    _fault(
        "dicom-time-series",
        "a volume three times",
        "holds 3 images at each of 8 places",
        _time_series,
    ),
    _fault(
        "dicom-cut-short",
        "a file that ends within its pixels",
        "has 1 file of 8 cut short",
        _cut_short,
    ),
    _fault(
        "dicom-cut-in-header",
        "a file that ends within its header",
        "1 file not used: DICOM file with a damaged header",
        _cut_in_header,
    ),
    _fault("dicom-no-dicom", "other files only", "no DICOM image in the folder", _no_dicom),
    _fault("dicom-single-slice", "one slice", "is a single slice", _single_slice),
    _fault(
        "dicom-two-spacings",
        "one slice of another pixel spacing",
        "lacks 1 slice in 1 gap",
        _two_spacings,
    ),
    _fault(
        "dicom-two-patients",
        "two patients in one folder",
        "holds scans of 2 patients",
        _two_patients,
    ),
    _fault(
        "dicom-two-folders",
        "one patient in two folders",
        "not used, folders 1 and 2 (in the order of names) hold one patient or examination",
        _patient_in_two_folders,
    ),
    _fault("dicom-directory-only", "a DICOMDIR without images", "only a DICOMDIR", _directory_only),
    _fault(
        "dicom-uneven-slices",
        "slices at uneven distances",
        "has slices 3.00 to 4.20 mm apart",
        _uneven,
    ),
    _fault(
        "dicom-gantry-tilt",
        "a CT with a tilted gantry",
        "with a gantry tilt of 11.3 degrees",
        _tilted,
    ),
    _fault(
        "dicom-no-position",
        "headers without positions",
        "lacks the position of slices",
        _no_position,
    ),
    _fault(
        "dicom-no-spacing", "headers without pixel spacing", "has no pixel spacing", _no_spacing
    ),
    _fault(
        "dicom-empty-file", "an empty file among slices", "1 file not used: empty file", _empty_file
    ),
    _fault("dicom-derived", "a reformat", "not used, a projection or reformat", _derived),
    _fault(
        "dicom-mask", "a lesion mask stored as an MR series", "not used, a mask or region", _mask
    ),
    _fault("dicom-localizer", "a localizer", "not used, a localizer", _localizer),
    _fault(
        "dicom-diffusion", "an echo-planar series", "not used, an echo-planar series", _diffusion
    ),
    _fault(
        "dicom-unclear-agent",
        "a contrast agent in the header, 'pre' in the description",
        "unclear whether before or after contrast agent",
        _unclear_agent,
    ),
    _fault(
        "dicom-unknown-sequence",
        "times that fit no modality",
        "not recognized (TR 1500 ms, TE 50 ms)",
        _unknown_sequence,
    ),
    _fault("dicom-constant", "pixels that are all zero", "once converted is constant", _constant),
    _fault(
        "dicom-damaged-code",
        "a compressed slice cut short",
        "cannot be converted",
        _damaged_compressed,
    ),
    _fault("dicom-unknown-code", "a video transfer syntax", "cannot be converted", _video),
]
"""All cases."""
