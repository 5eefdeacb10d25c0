"""The stage: the sources of one session to BIDS, whatever their layout and format."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from crossmod.bids_dataset import pet_sidecar, sidecar_path
from crossmod.errors import CrossmodError, InputError
from crossmod.files import read_json, write_json, write_rows
from crossmod.hashing import hash_files
from crossmod.ingest.dicom.conversion import hash_series, read_series
from crossmod.ingest.labels import LABELS, to_labels
from crossmod.ingest.names import Kind, Source
from crossmod.ingest.request import Request
from crossmod.io import Image, read_image, read_scan, write_image
from crossmod.paths import IngestedPaths
from crossmod.preprocess.annotations import to_mask
from crossmod.privacy import allowed_header, allowed_sidecar
from crossmod.settings import MODALITIES, Modality
from crossmod.status import Status, describe_outputs, guarded, write_status
from crossmod.volume_names import volume_files

STAGE = "ingest"
log = logging.getLogger(__name__)


def ingest_session(paths: IngestedPaths, request: Request, deface: bool = False) -> Status:
    """Convert one session to BIDS and write its status file, also when the input is at fault.

    A scan or annotation that cannot be used is left out; its reason is in the details of the
    status. Without any scan the verdict is `failed`. Names of files, which may be a person's, go to
    the log alone.

    Parameters
    ----------
    paths : IngestedPaths
        Where to write.
    request : Request
        What to convert.
    deface : bool
        Whether to take the face out of every scan; a session where it cannot be found fails.
    """
    _clean(paths)
    status = guarded(STAGE, paths.key, lambda: _convert(paths, request, deface))
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


@dataclass
class _Made:
    """What became of a session's sources, by name in the status."""

    outputs: dict[str, Path] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: dict[str, CrossmodError] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def attempt(self, name: str, source: Source, write: Callable[[], Path]) -> None:
        """Note what `write` wrote, or why the source is left out."""
        try:
            self.outputs[name] = write()
            self.sources[name] = _origin(source)
        except CrossmodError as error:
            log.warning("%s left out: %s", name, error)
            self.faults[name] = error


def _convert(paths: IngestedPaths, request: Request, deface: bool) -> Status:
    made = _Made()
    for modality, source in request.scans.items():
        made.attempt(modality, source, partial(_write_scan, paths, modality, source, made.notes))
    if not made.outputs:
        raise _no_scan(paths.key, made)
    defaced = _deface(made) if deface else []
    for name, kind, source, number in request.numbered:
        path = paths.annotation(kind, number, labeled=source.labels is not None)
        made.attempt(name, source, partial(_write_annotation, path, kind, source))
    left_out = {name: error.problem for name, error in made.faults.items()}
    details = {"left_out": left_out, "notes": made.notes, "sources": made.sources}
    details.update({"defaced": defaced} if deface else {})
    if "PET" in made.outputs:
        _, lacking = pet_sidecar(read_json(sidecar_path(made.outputs["PET"])))
        details.update({"pet_lacks": lacking} if lacking else {})
    outputs = describe_outputs(paths.status, made.outputs)
    return Status(STAGE, paths.key, outputs=outputs, details=details)


def _no_scan(key: str, made: _Made) -> InputError:
    """Why a session has no scan: what is wrong with the first."""
    for name, error in made.faults.items():
        return InputError(f"{key} {name}", error.problem, error.remedy)
    return InputError(key, "has no scan", "check the index of its scans")


def _origin(source: Source) -> dict[str, Any]:
    """What pins a source without its name, which may be a person's."""
    origin = {"volume": source.volume, "series": source.series, "labels": source.labels}
    told = {key: value for key, value in origin.items() if value is not None}
    if source.series is not None:
        return {"sha256": hash_series(source), **told}
    return {"sha256": hash_files(volume_files(source.path)), **told}


def _write_scan(paths: IngestedPaths, modality: Modality, source: Source, notes: list[str]) -> Path:
    """Write one scan and its sidecar; what the user should know of the file goes to `notes`."""
    path = paths.scan(modality)
    image, given = _read(source)
    _write_image(path, image)
    write_json(sidecar_path(path), _sidecar(modality, given))
    notes += [f"{modality} {remark}" for remark in image.remarks]
    return path


def _write_image(path: Path, image: Image) -> None:
    write_image(path, Image(_compact(image.data), image.affine, allowed_header(image.header)))


def _deface(made: _Made) -> list[str]:
    """Replace the scans just written by ones without face; names them."""
    from crossmod.ingest.defacing import deface

    scans = {m: made.outputs[m] for m in MODALITIES if m in made.outputs}
    images = deface(scans)
    for modality, image in images.items():
        _write_image(scans[modality], image)
    return list(images)


def _read(source: Source) -> tuple[Image, dict[str, Any]]:
    """Volume, and what a sidecar says of it."""
    if source.series is not None:
        return read_series(source)
    image = read_scan(source.path, source.volume)
    try:
        return image, _given(source.sidecar)
    except InputError as error:
        log.warning("%s", error)
        remark = f"goes without its sidecar, which {error.problem}"
        return replace(image, remarks=(*image.remarks, f"{remark}; {error.remedy}")), {}


def _given(sidecar: Path | None) -> dict[str, Any]:
    """What a sidecar says of a scan."""
    if sidecar is None:
        return {}
    if not sidecar.is_file():
        raise InputError(sidecar, "is gone", "copy it again")
    given = read_json(sidecar, "mend or remove it")
    if not isinstance(given, dict):
        raise InputError(sidecar, "holds no keys", "mend or remove it")
    return given


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
    if source.series is None:
        image = read_image(source.path, volume=source.volume)
    else:
        image = read_series(source)[0]
    if source.labels is None:
        labels = to_mask(image.data)
    else:
        labels = to_labels(image.data, source.labels, source.path)
        rows = [{"index": k, "name": name, "abbreviation": a} for k, (name, a) in LABELS.items()]
        lookup = sidecar_path(path).with_suffix(".tsv")
        write_rows(lookup, ("index", "name", "abbreviation"), rows)
    write_image(path, Image(labels, image.affine, allowed_header(image.header)))
    told = {"Type": "Brain" if kind == "brain" else "Lesion"}
    write_json(sidecar_path(path), {**told, "Description": "Made by others"})
    return path
