"""One subject of the phantom, from its number to its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod.config import PhantomSettings
from crossmod.files import write_json, write_text
from crossmod.io import write_image
from crossmod.paths import raw_scan
from crossmod.phantom import acquisition as acquire
from crossmod.phantom import roster
from crossmod.phantom.anatomy import Anatomy, build_anatomy
from crossmod.phantom.signals import Protocol, Simulator, draw_protocol
from crossmod.phantom.tissues import SubjectTissues, draw_tissues
from crossmod.settings import Modality

TRUTH_LEVEL = 10000.0


@dataclass(frozen=True)
class _Head:
    """What all scans of a subject share."""

    settings: PhantomSettings
    subject: roster.PlannedSubject
    anatomy: Anatomy
    brain: NDArray[np.bool_]
    tissues: SubjectTissues
    orientation: str


def generate_subject(settings: PhantomSettings, participant: str, root: Path) -> None:
    """Write the scans and the truth of one subject.

    Parameters
    ----------
    settings : PhantomSettings
        Settings of the phantom.
    participant : str
        `sub-0001`.
    root : path
        Folder of the data set; see `subject_files` for what is written.

    Raises
    ------
    InputError
        If the phantom has no such participant.
    """
    subject = roster.planned(settings, participant)
    anatomy = build_anatomy(settings, subject)
    scanner = roster.stream(settings, subject.number, "scanner")
    tissues = draw_tissues(roster.stream(settings, subject.number, "tissue"))
    codes = acquire.draw_orientation(scanner, "T1w")
    head = _Head(settings, subject, anatomy, anatomy.brain_mask(), tissues, codes)
    _write_labels(head, root)
    simulator = Simulator(anatomy, tissues)
    for modality in settings.modalities:
        random = roster.stream(settings, subject.number, modality)
        protocol = draw_protocol(random, modality)
        clean = simulator.image(protocol)
        _write_truth(head, modality, clean, root)
        if modality in subject.modalities:
            _write_scan(head, modality, (random, protocol, clean), root)


def _write_labels(head: _Head, root: Path) -> None:
    """Brain mask, tissue labels and lesion labels on the T1w grid."""
    participant = head.subject.participant
    _write(root / roster.brain_file(participant), head.brain, head)
    _write(root / roster.tissue_file(participant), head.anatomy.labels, head)
    if head.subject.has_lesion:
        _write(root / roster.lesion_file(participant), head.anatomy.lesion_labels(), head)


def _write(path: Path, data: NDArray, head: _Head) -> None:
    affine = head.anatomy.grid.affine
    write_image(path, acquire.oriented(data, affine, head.orientation), "crossmod phantom")


def _write_truth(head: _Head, modality: Modality, clean: NDArray, root: Path) -> None:
    """Noise-free image: HU for CT, mSUV for PET, a fixed scale for MR."""
    if modality == "CT":
        stored = np.rint(clean).astype(np.int16)
    elif modality == "PET":
        stored = np.rint(clean * 1000).astype(np.uint16)
    else:
        scaled = clean * np.float32(TRUTH_LEVEL / _bright(clean, head))
        stored = np.clip(np.rint(scaled), 0, 65535).astype(np.uint16)
    _write(root / roster.truth_image(head.subject.participant, modality), stored, head)


def _bright(clean: NDArray, head: _Head) -> float:
    """High percentile of the signal in the brain."""
    values = clean.ravel()[head.anatomy.inside]
    return float(np.percentile(values[::5], acquire.SHADING_PERCENTILE))


def _write_scan(
    head: _Head,
    modality: Modality,
    measured: tuple[np.random.Generator, Protocol, NDArray],
    root: Path,
) -> None:
    """The acquired scan, its sidecar, and its transform to T1w."""
    random, protocol, clean = measured
    participant = head.subject.participant
    grid = head.anatomy.grid
    if modality == "T1w":
        pose, codes = None, head.orientation
    else:
        pose = acquire.draw_pose(random, head.settings, modality, grid, head.brain)
        codes = acquire.draw_orientation(random, modality)
        text = itk_transform(pose.from_t1w)
        write_text(root / roster.transform_file(participant, modality), text)
    level = _bright(clean, head) if modality in acquire.MRI else 0.0
    if modality == "PET":
        clean = acquire.blur(clean, acquire.PET_FWHM_MM, float(grid.spacing_mm[0]))
    if pose is not None:
        outside = -1000.0 if modality == "CT" else 0.0
        clean = acquire.sample(clean, grid, pose, outside)
        grid = pose.grid
    if modality == "CT":
        stored: NDArray = acquire.record_ct(random, clean)
    elif modality == "PET":
        stored = acquire.record_pet(random, clean)
    else:
        stored = acquire.record_mri(random, clean, level, head.tissues.field_tesla)
    scan = raw_scan(participant, modality)
    write_image(root / scan, acquire.oriented(stored, grid.affine, codes), "crossmod phantom")
    thickness = pose.thickness_mm if pose is not None else head.settings.resolution_mm
    content = _sidecar(modality, protocol, head.tissues.field_tesla, thickness)
    write_json(root / roster.sidecar(scan), content)


def itk_transform(from_t1w: NDArray) -> str:
    """ITK text file of a transform that maps T1w points to scan points.

    Parameters
    ----------
    from_t1w : array, shape (4, 4)
        RAS+ world, mm. ITK's world is LPS: x and y change sign.
    """
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    matrix = flip @ from_t1w @ flip
    values = [*matrix[:3, :3].ravel(), *matrix[:3, 3]]
    return (
        "#Insight Transform File V1.0\n#Transform 0\n"
        "Transform: AffineTransform_double_3_3\n"
        f"Parameters: {' '.join(f'{value:.12g}' for value in values)}\n"
        "FixedParameters: 0 0 0\n"
    )


def _sidecar(
    modality: Modality, protocol: Protocol, field_tesla: float, thickness_mm: float
) -> dict[str, Any]:
    """BIDS metadata; times in seconds."""
    common = {"Manufacturer": "crossmod phantom", "ManufacturersModelName": "simulated"}
    if modality == "PET":
        return {**common, **PET_METADATA}
    if modality == "CT":
        return {**common, "Modality": "CT", "SliceThickness": thickness_mm}
    times = {"EchoTime": protocol.te_ms, "RepetitionTime": protocol.tr_ms}
    if protocol.ti_ms:
        times["InversionTime"] = protocol.ti_ms
    content = {**common, "Modality": "MR", "MagneticFieldStrength": field_tesla}
    content |= {name: round(value / 1000, 6) for name, value in times.items()}
    content |= {"FlipAngle": round(protocol.flip_deg, 2), "SliceThickness": thickness_mm}
    if protocol.agent:
        content["ContrastBolusIngredient"] = "GADOLINIUM"
    return content


PET_METADATA: dict[str, Any] = {
    "Units": "Bq/mL",
    "TracerName": "FDG",
    "TracerRadionuclide": "F18",
    "InjectedRadioactivity": 240.0,
    "InjectedRadioactivityUnits": "MBq",
    "InjectedMass": "n/a",
    "InjectedMassUnits": "n/a",
    "SpecificRadioactivity": "n/a",
    "SpecificRadioactivityUnits": "n/a",
    "ModeOfAdministration": "bolus",
    "TimeZero": "00:00:00",
    "ScanStart": 3600,
    "InjectionStart": 0,
    "FrameTimesStart": [0],
    "FrameDuration": [900],
    "AcquisitionMode": "3D",
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 0,
    "ReconMethodName": "simulated",
    "ReconMethodParameterLabels": ["none"],
    "ReconMethodParameterUnits": ["none"],
    "ReconMethodParameterValues": [0],
    "ReconFilterType": "none",
    "ReconFilterSize": 0,
    "AttenuationCorrection": "none needed (simulated)",
}
