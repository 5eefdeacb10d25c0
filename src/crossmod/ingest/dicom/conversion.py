"""From one DICOM series to a volume, by dcm2niix."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from crossmod.errors import InputError
from crossmod.files import read_json
from crossmod.hashing import hash_file
from crossmod.ingest.dicom.cache import open_record
from crossmod.ingest.dicom.series import Series, fault, group
from crossmod.ingest.names import Source
from crossmod.io import Image, read_scan
from crossmod.privacy import allowed_sidecar
from crossmod.text import counted

# No defaults of the user, one volume whatever varies between slices, no cropping or turning, no
# compression, and a sidecar. File names say nothing.
_OPTIONS = ("-g", "i", "-m", "y", "-x", "i", "-z", "n", "-b", "y", "-f", "scan")
_TIMEOUT_S = 600

# What PET values mean (DICOM PS3.3 C.8.9.1.1.3), where dcm2niix leaves the code; not so for BQML.
_PET_UNITS = {"CNTS": "counts", "CPS": "counts/s", "PROPCNTS": "arbitrary", "GML": "g/mL"}


def read_series(source: Source) -> tuple[Image, dict[str, Any]]:
    """Convert one series.

    Parameters
    ----------
    source : Source
        Record of headers and the series' `id` in it.

    Returns
    -------
    image : Image
        Voxel values with the scaling of the headers applied, in the orientation dcm2niix gives,
        without a header: nothing of DICOM is left but values and affine.
    sidecar : dict
        Sequence parameters in BIDS terms and units (s), as far as `crossmod.privacy` allows.

    Raises
    ------
    InputError
        If files are gone, the series has a fault, or dcm2niix makes no or several volumes of it.
        Errors name the series by its id and never repeat what headers or dcm2niix say.
    """
    series = _series(source)
    where = f"series {series.id}"
    if problem := fault(series):
        raise InputError(where, problem, "export it again, or exclude the session")
    with tempfile.TemporaryDirectory(prefix="crossmod-dicom-") as name:
        folder = Path(name)
        volume = _convert(series, folder, where)
        image = _read(volume, where)
        sidecar = volume.with_suffix(".json")
        content = read_json(sidecar) if sidecar.is_file() else {}
    if image.data.size != series.images * series.header.size[0] * series.header.size[1]:
        problem = f"became a volume of {image.data.shape} voxels from {series.images} slices"
        raise InputError(where, problem, "export it again, or exclude the session")
    return image, _in_bids_terms(content)


def hash_series(source: Source) -> str:
    """SHA-256 of the hashes of a series' files, whatever their order and names."""
    hashes = sorted(hash_file(piece.path) for piece in _series(source).slices)
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _in_bids_terms(content: dict[str, Any]) -> dict[str, Any]:
    """What of dcm2niix's sidecar may be written; PET units as BIDS writes them."""
    code = str(content.get("Units"))
    coded = {"Units": _PET_UNITS[code]} if code in _PET_UNITS else {}
    return allowed_sidecar({**content, **coded})


def _series(source: Source) -> Series:
    for one in group(open_record(source.path).pairs):
        if one.id == source.series:
            return one
    problem = "is not among the headers that were read"
    raise InputError(f"series {source.series}", problem, "index the data set again")


def _convert(series: Series, folder: Path, where: str) -> Path:
    """Run dcm2niix on links to the files of the series; path of the one volume."""
    import dcm2niix

    inputs, outputs = folder / "in", folder / "out"
    inputs.mkdir()
    outputs.mkdir()
    for number, piece in enumerate(series.slices):
        if not piece.path.is_file() or piece.path.stat().st_size != piece.bytes:
            problem = "has files that changed or vanished since they were indexed"
            raise InputError(where, problem, "run again")
        (inputs / f"{number:06d}.dcm").symlink_to(piece.path.absolute())
    command = [dcm2niix.bin, *_OPTIONS, "-o", str(outputs), str(inputs)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        problem = f"took dcm2niix more than {_TIMEOUT_S} s"
        raise InputError(where, problem, "exclude the session") from None
    volumes = sorted(outputs.glob("*.nii"))
    if done.returncode != 0 or len(volumes) != 1:
        made = f"made {counted(len(volumes), 'volume')} of it, exit code {done.returncode}"
        problem = f"cannot be converted (dcm2niix {made})"
        raise InputError(where, problem, "look at it with a DICOM viewer, or exclude the session")
    return volumes[0]


def _read(volume: Path, where: str) -> Image:
    try:
        image = read_scan(volume)
    except InputError as error:
        raise InputError(where, f"once converted {error.problem}", "exclude the session") from None
    return Image(image.data, image.affine)
