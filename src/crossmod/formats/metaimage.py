"""MetaImage, .mha and .mhd with its .raw or .zraw: ITK's format, of BraTS 2012 to 2015."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.formats.stored import Stored
from crossmod.formats.text_header import numbers, read_start, required, whole_numbers
from crossmod.formats.volume_file import (
    CONVERT_AGAIN,
    LPS_TO_RAS,
    VolumeFile,
    check_spacing,
    checked,
    file_beside,
    grid_size,
)

TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
NO_ORIENTATION = (
    "tells no orientation; axes are taken to run to the left, back and top, as ITK does"
)
# Several names were in use; the first one that is there counts.
ORIGIN = ("Offset", "Origin", "Position")
MATRIX = ("TransformMatrix", "Rotation", "Orientation")
SPACING = ("ElementSpacing", "ElementSize")
BYTE_ORDER = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")


def open_metaimage(path: Path) -> VolumeFile:
    """Read the header of a MetaImage; its world is LPS, whatever AnatomicalOrientation says.

    Source: https://itk.org/Wiki/ITK/MetaIO/Documentation. Voxels as text, in several files, or
    with several channels are not read.

    Raises
    ------
    InputError
        If the header is damaged or implausible, or of a kind that is not read.
    """
    fields, end = _fields(path)
    required(path, fields, ("NDims", "DimSize", "ElementType", "ElementDataFile"))
    count = whole_numbers(path, "NDims", fields["NDims"], 1)[0]
    if not 1 <= count <= 7:
        raise InputError(path, f"says {count} dimensions where 3 are due", CONVERT_AGAIN)
    dims = whole_numbers(path, "DimSize", fields["DimSize"], count)
    shape, volumes = grid_size(path, dims)
    _refuse_kinds(path, fields)
    spacing = numbers(path, "ElementSpacing", _first(fields, SPACING, "1 " * count), count)[:3]
    check_spacing(path, spacing, "ElementSpacing")
    affine = LPS_TO_RAS @ _lps(path, fields, count, spacing)
    remarks = () if any(key in fields for key in MATRIX) else (NO_ORIENTATION,)
    stored = _stored(path, fields, end, voxels=int(np.prod(dims, dtype=object)))
    file = VolumeFile(path, shape, volumes, affine, stored, remarks=remarks)
    return checked(file, "TransformMatrix and Offset")


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Header fields, and the byte behind the header, which ElementDataFile ends."""
    fields: dict[str, str] = {}
    end = 0
    for line in read_start(path).splitlines(keepends=True):
        end += len(line)
        key, sign, value = line.decode("latin-1").partition("=")
        if not sign:
            break
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return fields, end
    if "NDims" in fields or "ObjectType" in fields:
        raise InputError(path, "has no ElementDataFile in its header", CONVERT_AGAIN)
    problem = "is no readable MetaImage file (it does not begin with lines of key = value)"
    raise InputError(path, problem, CONVERT_AGAIN)


def _first(fields: dict[str, str], keys: tuple[str, ...], default: str) -> str:
    return next((fields[key] for key in keys if key in fields), default)


def _true(fields: dict[str, str], *keys: str) -> bool:
    return _first(fields, keys, "False").lower() in ("true", "1", "t")


def _refuse_kinds(path: Path, fields: dict[str, str]) -> None:
    if fields.get("ElementNumberOfChannels", "1") != "1":
        raise InputError(path, "holds colors or vectors", "save it as gray values")
    if fields["ElementType"] not in TYPES:
        problem = f"has the unknown data type {fields['ElementType'][:40]!r}"
        raise InputError(path, problem, CONVERT_AGAIN)
    if fields.get("BinaryData", "True").lower() not in ("true", "1", "t"):
        raise InputError(path, "keeps its voxels as text", "save it as binary data")
    data_file = fields["ElementDataFile"]
    if data_file.split(" ")[0] == "LIST" or "%" in data_file:
        raise InputError(path, "is spread over several files", "save it as one .mha file")


def _lps(
    path: Path, fields: dict[str, str], count: int, spacing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Voxel index to LPS mm; the rows of TransformMatrix are the directions of the axes."""
    identity = " ".join(str(v) for v in np.eye(count).ravel())
    matrix = numbers(path, "TransformMatrix", _first(fields, MATRIX, identity), count * count)
    affine = np.eye(4)
    affine[:3, :3] = matrix.reshape(count, count)[:3, :3].T * spacing
    affine[:3, 3] = numbers(path, "Offset", _first(fields, ORIGIN, "0 " * count), count)[:3]
    return affine


def _stored(path: Path, fields: dict[str, str], end: int, voxels: int) -> Stored:
    dtype = np.dtype(TYPES[fields["ElementType"]])
    dtype = dtype.newbyteorder(">" if _true(fields, *BYTE_ORDER) else "<")
    local = fields["ElementDataFile"].upper() == "LOCAL"
    file = path if local else file_beside(path, fields["ElementDataFile"])
    if _true(fields, "CompressedData"):
        return Stored(file, dtype, "zlib", start=end if local else 0)
    start = end if local else 0
    skip = whole_numbers(path, "HeaderSize", fields.get("HeaderSize", "0"), 1)[0]
    if skip == -1:  # voxels are at the end
        start = max(file.stat().st_size - voxels * dtype.itemsize, start)
    elif skip < 0:
        raise InputError(path, f"has HeaderSize {skip}", "repair its header or convert it again")
    elif not local:
        start = skip
    return Stored(file, dtype, start=start)
