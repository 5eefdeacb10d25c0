"""Volume files of other programs: nibabel reads NIfTI, Analyze and MGH, ITK MetaImage and NRRD."""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.spm2analyze import Spm2AnalyzeHeader
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.nifti_forms import SWAPPED, nifti_affine
from crossmod.volume_file import (
    CONVERT_AGAIN,
    COPY_AGAIN,
    VolumeFile,
    check_affine,
    check_amount,
    check_grid,
    check_regular,
    check_spacing,
)
from crossmod.volume_names import (
    DATA_FILE,
    HEAD_BYTES,
    ITK_READERS,
    NIBABEL,
    PAIR_SUFFIXES,
    SUFFIXES,
    data_file,
    pair_names,
    volume_files,
    volume_suffix,
)

HEADER_FAULTS = (HeaderDataError, WrapStructError, KeyError, ValueError, OverflowError)
STREAM_FAULTS = (EOFError, OSError, ValueError, zlib.error)
ITK_FAULT = ("is damaged or of a kind that ITK cannot read", CONVERT_AGAIN, RuntimeError)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# What ITK does not tell of headers: how voxels are stored, orientation or none, units.
ORIENTED = re.compile(
    rb"(?im)^\s*(?:(?:TransformMatrix|Rotation|Orientation)\s*[=:]|space directions:)"
)
ZLIB = re.compile(rb"(?m)^\s*CompressedData\s*[=:]\s*[Tt1]")
ZLIB_BYTES = re.compile(rb"(?m)^\s*CompressedDataSize\s*[=:]\s*(\d+)")
CHUNK = 2**14  # inflates to 16 MB at most
OTHER_UNITS = re.compile(rb'(?im)^space units:(?!(\s*"mm")+\s*$)')
# Where an exception was thrown, and a reason that is the state of errno.
ITK_WORDS = re.compile(
    r"(?s)^.*(?:\[nrrd\] \w+:|ERROR: \w+\(\w+\):) *|: \S+ for reading.*$|\nReason:.*$"
)
ANALYZE_REMARK = f"Analyze files tell no orientation; x is taken to run to the left, {SWAPPED}"
MGH_REMARK = f"tells no orientation; it is taken to be coronal with x to the left, {SWAPPED}"
ITK_REMARK = "tells no orientation; axes are taken to run to the left, back and top, as ITK does"

_SILENT = logging.getLogger("crossmod.nibabel")  # what nibabel mends is no news
_SILENT.disabled = True


def open_volume(path: Path) -> VolumeFile:
    """Read and check the header of a volume file; the format is chosen by the name.

    Parameters
    ----------
    path : path
        File of one of `SUFFIXES`; of a pair of header and voxels, either.

    Returns
    -------
    VolumeFile
        One or more volumes on one grid.

    Raises
    ------
    InputError
        If there is no such file, or its header is damaged, implausible, or of an unsupported kind.
    """
    check_regular(path)
    suffix = volume_suffix(path.name)
    if suffix is not None:
        return _by_nibabel(path, suffix) if suffix in NIBABEL else _by_itk(path, suffix)
    with open(path, "rb") as stream:
        if stream.read(132)[128:] == b"DICM":
            problem = "is one DICOM file where a volume is due"
            raise InputError(path, problem, "convert its series, for instance with dcm2niix")
    problem = "is of no format that is read"
    raise InputError(path, problem, f"convert it to one of {', '.join(SUFFIXES)}")


def _by_nibabel(path: Path, suffix: str) -> VolumeFile:
    """NIfTI-1, NIfTI-2, Analyze 7.5 and MGH."""
    with _one_line(path, "is damaged", COPY_AGAIN, *STREAM_FAULTS):
        block, voxels, packed = _nibabel_files(path, suffix)
    with _one_line(path, "has no usable header", CONVERT_AGAIN, *HEADER_FAULTS):
        header, remarks = _nibabel_header(path, suffix, block)
        shape, volumes = check_grid(path, header.get_data_shape())
        check_spacing(path, header.get_zooms()[:3])  # nibabel would mend it
        header.check_fix(_SILENT, error_level=40)
        dtype, offset = header.get_data_dtype(), header.get_data_offset()
        slope, inter = header.get_slope_inter()
    nifti = header if isinstance(header, Nifti1Header) else None
    if nifti is not None:
        affine, remarks = nifti_affine(path, nifti)
    else:
        with np.errstate(all="ignore"):  # what is no number is refused
            affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    check_affine(path, affine)
    claimed = offset + int(np.prod(shape)) * volumes * dtype.itemsize
    check_amount(path, dtype, claimed, voxels.stat().st_size, packed)
    tags = isinstance(header, MGHHeader)  # follow the voxels
    read = partial(_read_proxy, path, (voxels, packed), ((*shape, volumes), dtype, offset), tags)
    slope, inter = 1.0 if slope is None else slope, 0.0 if inter is None else inter
    return VolumeFile(path, shape, volumes, affine, read, slope, inter, nifti, remarks)


def _nibabel_files(path: Path, suffix: str) -> tuple[bytes, Path, bool]:
    """First bytes of the header, the file with the voxels, and whether that is gzipped."""
    head = voxels = path
    if suffix in PAIR_SUFFIXES:
        head, voxels = (_beside(path, name) for name in pair_names(path.name))
    with _stream(head, _packed(head)) as stream:
        return stream.read(Nifti2Header.sizeof_hdr), voxels, _packed(voxels)


def _packed(path: Path) -> bool:
    """Whether a file is gzipped, whatever its name says."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _stream(path: Path, packed: bool) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if packed else open(path, "rb")


def _nibabel_header(path: Path, suffix: str, block: bytes) -> tuple[Any, tuple[str, ...]]:
    """Header as it is in the file, unchecked, and remarks.

    Extensions behind the header, which nibabel's images read without bounds, are left alone.
    """
    pair = suffix in PAIR_SUFFIXES
    if suffix.startswith(".mg"):
        placed = block[28:30] == b"\0\1"
        return MGHHeader(block, check=False), () if placed else (MGH_REMARK,)
    kinds = (Nifti1Header, Nifti2Header, *((Spm2AnalyzeHeader,) if pair else ()))
    kind: Any = next((k for k in kinds if k.may_contain_header(block)), None)
    if kind is None:
        problem = "is no readable NIfTI file (its header is cut off or has another magic)"
        raise InputError(path, problem, CONVERT_AGAIN)
    header = kind(block[: kind.sizeof_hdr], check=False)
    if int(header["sizeof_hdr"]) != kind.sizeof_hdr:
        problem = "is no readable NIfTI file (its header mixes byte orders)"
        raise InputError(path, problem, CONVERT_AGAIN)
    if kind is Spm2AnalyzeHeader:  # SPM marks flips by a sign
        header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
        return header, (ANALYZE_REMARK,)
    if header["magic"].item() == kind.single_magic:
        header["vox_offset"] = header["vox_offset"] or kind.single_vox_offset
    elif not pair:
        problem = "has the header of a pair, which keeps its voxels in a file .img"
        raise InputError(path, problem, "name it .hdr and put the .img beside it")
    return header, ()


def _read_proxy(
    path: Path, voxels: tuple[Path, bool], spec: tuple[Any, np.dtype, int], tags: bool, volume: int,
    place: int | None,
) -> NDArray:  # fmt: skip
    """Stored numbers; the end of the file is read as well, so that damage behind them is found.

    No more is inflated at once than the header accounts for.
    """
    shape, dtype, offset = spec
    plane = shape[0] * shape[1] * dtype.itemsize
    with _one_line(path, "is damaged", COPY_AGAIN, *STREAM_FAULTS), _stream(*voxels) as stream:
        proxy = ArrayProxy(stream, spec, mmap=False)
        if place is not None:
            return proxy[:, :, place, volume]
        values = proxy[..., volume]
        stream.seek(offset + plane * shape[2] * shape[3])
        behind = len(stream.read(plane))
    if behind == plane and not tags:
        raise InputError(path, "holds more voxels than its header says", CONVERT_AGAIN)
    return values


def _beside(path: Path, name: str) -> Path:
    """The other file of a pair; a header is data, it must not choose a file elsewhere.

    What it says may name a person, and is not repeated.
    """
    remedy = "put both files in one folder and correct the name in the header"
    if not name or Path(name).name != name:
        raise InputError(path, "keeps its voxels outside its folder", remedy)
    if not path.with_name(name).is_file():
        problem = f"lacks its other file ({Path(name).suffix or 'without ending'}) beside it"
        raise InputError(path, problem, "copy both files")
    return path.with_name(name)


def _by_itk(path: Path, suffix: str) -> VolumeFile:
    """MetaImage and NRRD; ITK's world is LPS."""
    import SimpleITK as sitk

    with open(path, "rb") as stream:
        head = stream.read(HEAD_BYTES)
    voxels = _voxel_file(path, head)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(ITK_READERS[suffix])
    with _one_line(path, *ITK_FAULT):
        reader.ReadImageInformation()
    values = reader.GetNumberOfComponents()
    listed = values > 1 and _tag(reader, "NRRD_kinds[pixel]") == "list"  # 3D Slicer's sequences
    if values > 1 and not listed:
        raise InputError(path, "holds colors or vectors", "save it as gray values")
    count = reader.GetDimension()
    shape, volumes = check_grid(path, [*reader.GetSize(), *([values] if listed else [])])
    space = _tag(reader, "NRRD_space") or "left-posterior-superior"  # what ITK turns others into
    if space != "left-posterior-superior":
        remedy = "set its space to left-posterior-superior or right-anterior-superior"
        raise InputError(path, f"places its voxels in the space {space!r}", remedy)
    with _one_line(path, *ITK_FAULT):  # only an image tells the type of its voxels
        dtype = sitk.GetArrayFromImage(sitk.Image([1] * 3, reader.GetPixelID())).dtype
    claimed = int(np.prod(shape)) * volumes * dtype.itemsize
    check_amount(path, dtype, claimed, voxels.stat().st_size, packed=True)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(reader.GetDirection(), (count, count))[:3, :3]
    affine[:3, :3] *= reader.GetSpacing()[:3]
    affine[:3, 3] = reader.GetOrigin()[:3]
    check_spacing(path, reader.GetSpacing()[:3])
    check_affine(path, affine)
    if OTHER_UNITS.search(head):
        raise InputError(path, "has space units other than mm", "save it in mm")
    remarks = () if ORIENTED.search(head) else (ITK_REMARK,)
    check = partial(_check_zlib, path, voxels, head, claimed)
    read = partial(_read_itk, path, reader, (shape, check))
    return VolumeFile(path, shape, volumes, LPS_TO_RAS @ affine, read, remarks=remarks)


def _voxel_file(path: Path, head: bytes) -> Path:
    """File that a text header names; itself without a name."""
    name = data_file(head)
    if name.split(" ")[0] == "LIST" or "%" in name:
        raise InputError(path, "is spread over several files", "save it as one file")
    return path if name.upper() == "LOCAL" else _beside(path, name)


def _tag(reader: Any, key: str) -> str:
    return reader.GetMetaData(key) if reader.HasMetaDataKey(key) else ""


def _check_zlib(path: Path, voxels: Path, head: bytes, claimed: int) -> None:
    """Refuse damage in a compressed MetaImage.

    ITK only prints "Uncompress failed", and gives voxels that it did not read.
    """
    if path.suffix.lower() not in (".mha", ".mhd") or not ZLIB.search(head):
        return
    name, size = DATA_FILE.search(head), ZLIB_BYTES.search(head)
    if name is None or size is None:
        raise InputError(path, "has no CompressedDataSize in its header", CONVERT_AGAIN)
    inflate, left, count = zlib.decompressobj(), int(size[1]), 0
    with _one_line(path, "is damaged", COPY_AGAIN, *STREAM_FAULTS), open(voxels, "rb") as stream:
        stream.seek(name.end() + 1 if voxels == path else 0)
        while count <= claimed and (block := stream.read(min(left, CHUNK))):
            count, left = count + len(inflate.decompress(block)), left - len(block)
    if count != claimed or not inflate.eof:
        problem = f"is damaged (its compressed voxels are not {claimed} bytes)"
        raise InputError(path, problem, COPY_AGAIN)


def _read_itk(
    path: Path, reader: Any, spec: tuple[Any, Callable[[], None]], volume: int, place: int | None
) -> NDArray:
    import SimpleITK as sitk

    shape, check = spec
    check()
    further = reader.GetDimension() - 3
    if further:
        reader.SetExtractSize([*shape, *[0] * further])
        reader.SetExtractIndex([0, 0, 0, volume, *[0] * (further - 1)])
    with _one_line(path, *ITK_FAULT):
        values = sitk.GetArrayFromImage(reader.Execute()).T
    values = values[volume] if values.ndim == 4 else values
    return values if place is None else values[:, :, place]


@contextmanager
def _one_line(path: Path, problem: str, remedy: str, *faults: type[Exception]) -> Iterator[None]:
    """Turn exceptions of a library into one line with the library's words in brackets.

    Names of files, which may be a person's, are taken out of them.
    """
    try:
        yield
    except faults as error:
        words = f"unknown code {error}" if isinstance(error, KeyError) else str(error)
        words = ITK_WORDS.sub("", words)
        for file in volume_files(path):
            words = words.replace(str(file), "file").replace(file.name, "file")
        raise InputError(path, f"{problem} ({words[:160].strip()})", remedy) from None
