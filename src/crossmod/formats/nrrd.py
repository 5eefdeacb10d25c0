"""NRRD, .nrrd and .nhdr with its voxels: the format of 3D Slicer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.formats.stored import Encoding, Stored
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
    name: code
    for code, names in {
        "i1": "signed char,int8,int8_t",
        "u1": "uchar,unsigned char,uint8,uint8_t",
        "i2": "short,short int,signed short,signed short int,int16,int16_t",
        "u2": "ushort,unsigned short,unsigned short int,uint16,uint16_t",
        "i4": "int,signed int,int32,int32_t",
        "u4": "uint,unsigned int,uint32,uint32_t",
        "i8": "longlong,long long,long long int,signed long long,int64,int64_t",
        "u8": "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split(",")
}
ENCODINGS: dict[str, Encoding] = {
    "raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2",
}  # fmt: skip
# World coordinates by name, as signs that make them RAS.
SPACES = {
    "right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1), "lps": (-1, -1, 1),
}  # fmt: skip
MM_PER_UNIT = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "µm": 0.001}
NO_ORIENTATION = (
    "tells no orientation; axes are taken to run to the left, back and top, as ITK does"
)
VECTOR = re.compile(r"none|\(([^)]*)\)")


def open_nrrd(path: Path) -> VolumeFile:
    """Read the header of an NRRD file.

    Source: https://teem.sourceforge.net/nrrd/format.html. Several volumes may follow each other
    (last axis); voxels of several numbers (first axis), as text or in several files are not read.

    Raises
    ------
    InputError
        If the header is damaged or implausible, or of a kind that is not read.
    """
    fields, end = _fields(path)
    required(path, fields, ("type", "dimension", "sizes", "encoding"))
    count = whole_numbers(path, "dimension", fields["dimension"], 1)[0]
    if not 1 <= count <= 16:
        raise InputError(path, f"says {count} dimensions where 3 are due", CONVERT_AGAIN)
    sizes = whole_numbers(path, "sizes", fields["sizes"], count)
    vectors = _vectors(path, fields, count)
    if vectors and vectors[0] is None and count > 3:
        if sizes[0] != 1:
            raise InputError(path, "holds colors or vectors", "save it as gray values")
        sizes, vectors = sizes[1:], vectors[1:]
    shape, volumes = grid_size(path, sizes)
    place = _oriented(path, fields, vectors[:3]) if vectors else _unoriented(path, fields, count)
    remarks = () if vectors else (NO_ORIENTATION,)
    stored = _stored(path, fields, end, voxels=int(np.prod(sizes, dtype=object)))
    file = VolumeFile(path, shape, volumes, place, stored, remarks=remarks)
    return checked(file, "space directions and space origin")


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Header fields by lower-case name, and the byte behind the empty line that ends them."""
    lines = read_start(path).splitlines(keepends=True)
    if not lines or not lines[0].startswith(b"NRRD000"):
        problem = "is no readable NRRD file (it does not begin with NRRD000)"
        raise InputError(path, problem, CONVERT_AGAIN)
    fields: dict[str, str] = {}
    end = len(lines[0])
    for line in lines[1:]:
        end += len(line)
        text = line.decode("utf-8", "replace").strip()
        if not text:
            break
        key, sign, value = text.partition(": ")
        if sign and not text.startswith("#") and ":=" not in key:
            fields[key.strip().lower()] = value.strip()
    return fields, end


def _vectors(path: Path, fields: dict[str, str], count: int) -> list[NDArray | None]:
    """Directions of the axes, None for those that are not in space; empty without any."""
    text = fields.get("space directions", "")
    if not text:
        return []
    found = [
        None if match[0] == "none" else numbers(path, "space directions", _spaced(match[1]), 3)
        for match in VECTOR.finditer(text)
    ]
    if len(found) != count:
        problem = f"has {len(found)} space directions where {count} are due"
        raise InputError(path, problem, "repair its header or convert it again")
    return found


def _spaced(text: str) -> str:
    return text.replace(",", " ")


def _oriented(
    path: Path, fields: dict[str, str], vectors: list[NDArray | None]
) -> NDArray[np.float64]:
    """Voxel index to RAS mm from the directions."""
    space = fields.get("space", "").lower()
    if space not in SPACES:
        problem = f"places its voxels in the space {space!r}" if space else "names no space"
        remedy = "set its space to left-posterior-superior or right-anterior-superior"
        raise InputError(path, problem, remedy)
    if any(vector is None for vector in vectors):
        raise InputError(path, "has an axis among the first three without direction", CONVERT_AGAIN)
    affine = np.eye(4)
    affine[:3, :3] = np.array(vectors).T
    origin = _spaced(fields.get("space origin", "(0,0,0)")).strip("()")
    affine[:3, 3] = numbers(path, "space origin", origin, 3)
    units = re.findall(r'"([^"]*)"', fields.get("space units", ""))
    scale = [MM_PER_UNIT.get(unit, 1.0) for unit in units] if len(units) == 3 else [1.0] * 3
    return np.diag([*np.multiply(SPACES[space], scale), 1]) @ affine


def _unoriented(path: Path, fields: dict[str, str], count: int) -> NDArray[np.float64]:
    """Voxel index to RAS mm from the spacings alone, origin at the first voxel."""
    text = fields.get("spacings", "1 " * count)
    spacing = numbers(path, "spacings", text, count)[:3]
    check_spacing(path, spacing, "spacings")
    return LPS_TO_RAS @ np.diag([*spacing, 1])


def _stored(path: Path, fields: dict[str, str], end: int, voxels: int) -> Stored:
    if fields["type"] not in TYPES:
        problem = f"has the unknown data type {fields['type'][:40]!r}"
        raise InputError(path, problem, CONVERT_AGAIN)
    if fields["encoding"].lower() not in ENCODINGS:
        problem = f"keeps its voxels in the encoding {fields['encoding'][:40]!r}"
        raise InputError(path, problem, "save it as raw or gzip")
    encoding = ENCODINGS[fields["encoding"].lower()]
    dtype = np.dtype(TYPES[fields["type"]])
    dtype = dtype.newbyteorder("<" if fields.get("endian", "little").lower() == "little" else ">")
    if dtype.itemsize > 1 and "endian" not in fields:
        raise InputError(path, "has no endian in its header", "add its byte order")
    name = fields.get("data file", fields.get("datafile"))
    if name is not None and (name.split(" ")[0] == "LIST" or "%" in name):
        raise InputError(path, "is spread over several files", "save it as one .nrrd file")
    file, start = (path, end) if name is None else (file_beside(path, name), 0)
    return _skipped(path, fields, Stored(file, dtype, encoding, start), voxels)


def _skipped(path: Path, fields: dict[str, str], stored: Stored, voxels: int) -> Stored:
    lines, skip = (
        whole_numbers(path, key, fields.get(key, fields.get(key.replace(" ", ""), "0")), 1)[0]
        for key in ("line skip", "byte skip")
    )
    if lines != 0 or skip < -1 or (skip == -1 and stored.encoding != "raw"):
        problem = f"has line skip {lines} and byte skip {skip}"
        raise InputError(path, problem, "save it without other data before its voxels")
    if skip == -1:  # voxels are at the end
        skip = stored.path.stat().st_size - stored.start - voxels * stored.dtype.itemsize
    return Stored(stored.path, stored.dtype, stored.encoding, stored.start, max(skip, 0))
