"""Small volume files written byte by byte, so that a case can break any field."""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

AFFINE = np.diag([-1.0, 1.0, 2.0, 1.0])
SHAPE = (8, 9, 10)
META = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "0 0 0",
    "ElementSpacing": "1 1 2",
    "DimSize": "8 9 10",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}
NRRD = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "8 9 10",
    "space directions": "(1,0,0) (0,1,0) (0,0,2)",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(0,0,0)",
}


def smooth(dtype: Any = np.int16, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A hill of intensities, as a scan has: neighbors are alike, no two voxels the same."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    hill = 900 - 200 * sum((axis - 0.1 * i) ** 2 for i, axis in enumerate(axes))
    return hill.astype(dtype)


def nifti(
    path: Path, data: np.ndarray | None = None, affine: np.ndarray = AFFINE, **fields: Any
) -> Path:
    """Write a NIfTI-1 file whose header fields are then overwritten as they are."""
    image = nib.Nifti1Image(smooth() if data is None else data, affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    block = bytearray(image.to_bytes())
    header = np.frombuffer(block, nib.Nifti1Header.template_dtype, count=1)
    for name, value in fields.items():
        name, _, index = name.partition("__")
        if index:
            header[name][0, int(index)] = value
        else:
            header[name] = value
    path.write_bytes(gzip.compress(bytes(block)) if path.suffix == ".gz" else bytes(block))
    return path


def metaimage(path: Path, data: np.ndarray | None = None, **fields: str | None) -> Path:
    """Write a MetaImage with fields replaced, or left out if None."""
    values = (smooth() if data is None else data).tobytes("F")
    kept = {key: value for key, value in {**META, **fields}.items() if value is not None}
    voxels = zlib.compress(values) if kept.get("CompressedData") == "True" else values
    if voxels is not values:
        kept["CompressedDataSize"] = str(len(voxels))
    if "ElementDataFile" in kept:  # ends the header
        kept["ElementDataFile"] = kept.pop("ElementDataFile")
    text = "".join(f"{key} = {value}\n" for key, value in kept.items())
    path.write_bytes(text.encode() + (voxels if kept.get("ElementDataFile") == "LOCAL" else b""))
    return path


def nrrd(path: Path, data: np.ndarray | None = None, **fields: str | None) -> Path:
    """Write an NRRD file with fields replaced, or left out if None; `_` stands for a space."""
    given = {key.replace("_", " "): value for key, value in fields.items()}
    kept = {key: value for key, value in {**NRRD, **given}.items() if value is not None}
    values = (smooth() if data is None else data).tobytes("F")
    pack = {"gzip": gzip.compress, "bzip2": bz2.compress}.get(kept.get("encoding", ""), bytes)
    voxels = pack(values)
    text = "NRRD0004\n" + "".join(f"{key}: {value}\n" for key, value in kept.items()) + "\n"
    path.write_bytes(text.encode() + (b"" if "data file" in kept else voxels))
    return path


def mgh(path: Path, data: np.ndarray | None = None) -> Path:
    """Write an .mgh file."""
    nib.save(nib.MGHImage(smooth(np.float32) if data is None else data, AFFINE), path)
    return path


def analyze(path: Path, data: np.ndarray | None = None) -> Path:
    """Write an Analyze pair; `path` is the header."""
    nib.save(nib.AnalyzeImage(smooth() if data is None else data, AFFINE), path)
    return path


def patch(path: Path, offset: int, replacement: bytes) -> Path:
    """Overwrite bytes of a file."""
    block = bytearray(path.read_bytes())
    block[offset : offset + len(replacement)] = replacement
    path.write_bytes(bytes(block))
    return path


def cut(path: Path, count: int) -> Path:
    """Take the last bytes off a file."""
    path.write_bytes(path.read_bytes()[:-count])
    return path
