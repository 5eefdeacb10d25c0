"""The stage: the sources of one session to BIDS, whatever their layout and format."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from crossmod.bids_dataset import pet_sidecar
from crossmod.errors import CrossmodError, InputError
from crossmod.files import read_json, write_json, write_rows
from crossmod.hashing import hash_file
from crossmod.ingest.dicom.conversion import read_series
from crossmod.ingest.labels import LABELS, to_labels
from crossmod.ingest.names import Kind, Source
from crossmod.ingest.request import Request
from crossmod.io import Image, read_image, read_scan, read_volume, write_image
from crossmod.paths import IngestedPaths
from crossmod.privacy import allowed_header, allowed_sidecar
from crossmod.provenance import sidecar_path
from crossmod.settings import Modality
from crossmod.status import Status, describe_outputs, guarded, write_status

STAGE = "ingest"
log = logging.getLogger(__name__)


def ingest_session(paths: IngestedPaths, request: Request) -> Status:
    """Convert one session to BIDS and write its status file, also when the input is at fault.

    A scan or annotation that cannot be used is left out; its reason is in the details of the
    status. Without any scan the verdict is `failed`.

    Parameters
    ----------
    paths : IngestedPaths
        Where to write.
    request : Request
        What to convert.
    """
    _clean(paths)
    status = guarded(STAGE, paths.key, lambda: _convert(paths, request))
    if not status.ok:
        _clean(paths)
    write_status(paths.status, status)
    return status


def _clean(paths: IngestedPaths) -> None:
    """Remove what an earlier run left, so that nothing stale looks current."""
    paths.status.unlink(missing_ok=True)
    for folder in paths.folders:
        for path in sorted(folder.glob(f"{paths.key}_*")):
            path.unlink()


def _convert(paths: IngestedPaths, request: Request) -> Status:
    outputs: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    raw: dict[str, dict[str, Any]] = {}
    faults: list[CrossmodError] = []
    for modality, source in request.scans.items():
        try:
            path, origin = _write_scan(paths.scan(modality), modality, source)
            outputs[modality], raw[modality] = path, origin
        except CrossmodError as error:
            faults.append(error)
            left_out[modality] = f"{source.name} {error.problem}"
    if not outputs:
        raise faults[0] if faults else InputError(paths.key, "has no scan", "check the index")
    for name, kind, source, number in request.numbered:
        labeled = source.labels is not None
        try:
            path = paths.annotation(kind, number, labeled=labeled)
            outputs[name] = _write_annotation(path, kind, source)
            raw[name] = _origin(source)
        except CrossmodError as error:
            left_out[name] = f"{source.name} {error.problem}"
    for name, reason in left_out.items():
        log.warning("%s: %s left out: %s", paths.key, name, reason)
    details: dict[str, Any] = {"left_out": left_out, "sources": raw}
    if "PET" in outputs:
        _, lacking = pet_sidecar(read_json(sidecar_path(outputs["PET"])))
        details.update({"pet_lacks": lacking} if lacking else {})
    return Status(STAGE, paths.key, "ok", "", describe_outputs(paths.status, outputs), details)


def _origin(source: Source) -> dict[str, Any]:
    """What pins a source without its name, which may be a person's."""
    origin = {"volume": source.volume, "series": source.series, "labels": source.labels}
    told = {key: value for key, value in origin.items() if value is not None}
    hashed = source.series is None and source.path.is_file()  # a record tells places and times
    return {"sha256": hash_file(source.path), **told} if hashed else told


def _write_scan(path: Path, modality: Modality, source: Source) -> tuple[Path, dict[str, Any]]:
    """Write one scan and its sidecar; also tell what pins its source."""
    image, given, origin = _read(source)
    write_image(path, Image(_compact(image.data), image.affine, allowed_header(image.header)))
    write_json(sidecar_path(path), _sidecar(modality, given))
    return path, origin


def _read(source: Source) -> tuple[Image, dict[str, Any], dict[str, Any]]:
    """Volume, what is said of it, and what pins its source."""
    if source.series is not None:
        converted = read_series(source)
        return converted.image, converted.sidecar, {"sha256": converted.sha256, **_origin(source)}
    if source.volume is None:
        image = read_scan(source.path)
    else:
        image = read_volume(source.path, source.volume)
    given = read_json(source.sidecar) if source.sidecar else {}
    if not isinstance(given, dict):
        raise InputError(source.sidecar or "", "holds no keys", "mend or remove it")
    return image, given, _origin(source)


def _compact(data: np.ndarray) -> np.ndarray:
    """The same values as int16 where they are whole and fit, for half the size."""
    limits = np.iinfo(np.int16)
    whole = data.min() >= limits.min and data.max() <= limits.max and (data == data.round()).all()
    return data.astype(np.int16) if whole else data


def _sidecar(modality: Modality, given: dict[str, Any]) -> dict[str, Any]:
    """What is known of a scan and may be told."""
    content = allowed_sidecar(given)
    if modality == "T1ce":
        content.setdefault("ContrastBolusIngredient", "GADOLINIUM")
    return pet_sidecar(content)[0] if modality == "PET" else content


def _write_annotation(path: Path, kind: Kind, source: Source) -> Path:
    """Write a mask, or a label map with the numbers of `LABELS` and its lookup table."""
    dicom = source.series is not None
    image = read_series(source).image if dicom else read_image(source.path)
    if source.labels is None:
        labels = (image.data > 0).astype(np.uint8)
    else:
        labels = to_labels(image.data, source.labels, source.path)
        rows = [{"index": k, "name": name, "abbreviation": a} for k, (name, a) in LABELS.items()]
        lookup = sidecar_path(path).with_suffix(".tsv")
        write_rows(lookup, ("index", "name", "abbreviation"), rows)
    write_image(path, Image(labels, image.affine, allowed_header(image.header)))
    told = {"Type": "Brain" if kind == "brain" else "Lesion"}
    write_json(sidecar_path(path), {**told, "Description": "Made by others"})
    return path
