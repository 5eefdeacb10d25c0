"""Malformed volume files, one function or expression each."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

from crossmod.io import read_scan
from tests.faults.cases import Fault, error_line
from tests.faults.headers import (
    AFFINE,
    SHAPE,
    analyze,
    cut,
    metaimage,
    mgh,
    nifti,
    nrrd,
    patch,
    smooth,
)

GZ, NII = "scan.nii.gz", "scan.nii"
MANY_ZEROS = gzip.compress(bytes(2**26))  # members of a gzip file may follow each other
RGB = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
TURNED = np.diag([1.0, -1.0, 2.0, 1.0])  # left for right and front for back


def _bad(value: float) -> np.ndarray:
    data = smooth(np.float32)
    data[1, 2, 3] = value
    return data


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "scan.nii")
    return folder / "scan.nii"


def _folder(folder: Path) -> Path:
    (folder / "scan.nii.gz").mkdir()
    return folder / "scan.nii.gz"


def _dead_link(folder: Path) -> Path:
    (folder / "scan.nii.gz").symlink_to(folder / "gone.nii.gz")
    return folder / "scan.nii.gz"


def _link_loop(folder: Path) -> Path:
    (folder / "scan.nii.gz").symlink_to(folder / "scan.nii.gz")
    return folder / "scan.nii.gz"


def _written(name: str, content: bytes, folder: Path) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def _forms(sform: np.ndarray, code: int, folder: Path) -> Path:
    image = nib.Nifti1Image(smooth(), AFFINE)
    image.set_qform(AFFINE, 1)
    image.set_sform(sform, code)
    nib.save(image, folder / "scan.nii.gz")
    return folder / "scan.nii.gz"


def _broken_checksum(folder: Path) -> Path:
    path = nifti(folder / "scan.nii.gz")
    return patch(path, path.stat().st_size - 8, b"\0\0\0\0")


def _broken_inside(folder: Path) -> Path:
    data = np.random.default_rng(0).integers(0, 999, SHAPE).astype(np.int16)
    path = nifti(folder / "scan.nii.gz", data)
    return patch(path, path.stat().st_size // 2, bytes(64))


def _inflating(folder: Path) -> Path:
    """A gzip file of 1.3 MB that holds 1.3 GB of zeros, as its header says."""
    path = nifti(folder / NII, dim=[3, 690, 690, 690, 1, 1, 1, 1], bitpix=32, datatype=16)
    content = gzip.compress(path.read_bytes()) + MANY_ZEROS * 20
    return _written(GZ, content, folder)


def _inflating_mgz(folder: Path) -> Path:
    """As `_inflating`, as .mgz."""
    dims = np.array([690, 690, 690], ">i4").tobytes()
    content = patch(mgh(folder / "scan.mgh"), 4, dims).read_bytes()
    return _written("scan.mgz", gzip.compress(content) + MANY_ZEROS * 20, folder)


def _inflating_pair(folder: Path) -> Path:
    """An Analyze pair whose voxels go on for 256 MB behind the last."""
    path = analyze(folder / "scan.hdr")
    for file in (path, path.with_suffix(".img")):
        Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()) + MANY_ZEROS * 4)
    return folder / "scan.img.gz"


def _broken_metaimage(folder: Path) -> Path:
    path = metaimage(folder / "scan.mha", CompressedData="True")
    return patch(path, path.stat().st_size - 400, b"\0\0\0\0")


def _no_length(folder: Path) -> Path:
    path = metaimage(folder / "scan.mha", CompressedData="True")
    return _written(path.name, path.read_bytes().replace(b"CompressedDataSize", b"Comment"), folder)


def _colon(folder: Path) -> Path:
    path = metaimage(folder / "scan.mhd", ElementDataFile="../secret.raw")
    return _written(path.name, path.read_bytes().replace(b"File =", b"File :"), folder)


def _trailing(folder: Path) -> Path:
    """A gzip file that goes on for 256 MB behind its last voxel."""
    return _written(GZ, nifti(folder / GZ).read_bytes() + MANY_ZEROS * 4, folder)


def _huge_extension(folder: Path) -> Path:
    return nifti(folder / GZ, vox_offset=3e9)


def _alone(name: str, folder: Path) -> Path:
    analyze(folder / "scan.hdr")
    (folder / name).unlink()
    return folder / ({"scan.hdr", "scan.img"} - {name}).pop()


def _short_pair(folder: Path) -> Path:
    cut(analyze(folder / "scan.hdr").with_suffix(".img"), 100)
    return folder / "scan.hdr"


def _mixed_order(folder: Path) -> Path:
    path = nifti(folder / "scan.nii")
    return patch(path, 40, np.frombuffer(path.read_bytes()[40:56], "<i2").astype(">i2").tobytes())


def _dicom(folder: Path) -> Path:
    return _written("scan.dcm", bytes(128) + b"DICM" + bytes(64), folder)


def _f(make: Callable[..., Path], name: str, *arguments: object, **fields: object) -> Callable:
    """Maker that writes `name` with `make`."""
    return lambda folder: make(folder / name, *arguments, **fields)


def _case(name: str, what: str, make: Callable[[Path], Path], says: str) -> Fault:
    return Fault(name, what, make, says, lambda path: error_line(partial(read_scan, path)))


CASES = [
    _case("missing", "the file does not exist", lambda folder: folder / GZ, "does not exist"),
    _case("dead-link", "a link to a file that is gone", _dead_link, "is a link to nothing"),
    _case("link-loop", "a link to itself", _link_loop, "cannot be read"),
    _case("folder", "a folder with the name of a scan", _folder, "it is a folder"),
    _case("pipe", "a named pipe, which would block", _pipe, "a pipe or a device"),
    _case("empty", "a file of 0 bytes", partial(_written, GZ, b""), "is empty"),
    _case("suffix", "a format that is not read", partial(_written, "scan.minc", b"1"), "no format"),
    _case("dicom", "one DICOM file where a volume is due", _dicom, "is one DICOM file"),
    # NIfTI: files
    _case("gzip-cut", "gzip cut off", lambda d: cut(nifti(d / GZ), 60), "is damaged"),
    _case("gzip-checksum", "wrong checksum at the end of gzip", _broken_checksum, "is damaged"),
    _case("gzip-inside", "bytes within gzip overwritten", _broken_inside, "is damaged"),
    _case("gzip-only", "gzip that holds no NIfTI",
          partial(_written, GZ, gzip.compress(b"hello" * 100)), "no readable NIfTI"),
    _case("text", "a web page saved as .nii.gz",
          partial(_written, GZ, b"<html>Not found</html>"), "no readable NIfTI"),
    _case("header-cut", "the header cut off", lambda d: cut(nifti(d / NII), 1500), "is cut off"),
    _case("voxels-cut", "the voxels cut off", lambda d: cut(nifti(d / NII), 9), "is damaged"),
    _case("voxels-more", "more voxels than the header says",
          _f(nifti, NII, dim__3=7), "holds more"),
    _case("trailing", "256 MB behind the last voxel, in gzip", _trailing, "holds more"),
    _case("inflating", "a decompression bomb, 1.3 MB that inflate to 1.3 GB", _inflating,
          "more than a scan in a file of its size"),
    _case("claims", "1 kB of gzip that claims 0.5 GB",
          _f(nifti, GZ, dim=[3, 640, 640, 640] + [1] * 4),
          "more than a scan in a file"),
    _case("gigantic", "dimensions of 30000 x 30000 x 30000",
          _f(nifti, GZ, dim=[3, 30000, 30000, 30000, 1, 1, 1, 1]), "more than 536870912 voxels"),
    # NIfTI: header
    _case("magic", "wrong magic", _f(nifti, GZ, magic=b"n+9"), "another magic"),
    _case("pair-magic", "a header of a pair in a single file", _f(nifti, NII, magic=b"ni1"),
          "header of a pair"),
    _case("mixed-order", "dimensions in the other byte order than the rest", _mixed_order,
          "mixes byte orders"),
    _case("dimensions", "0 dimensions", _f(nifti, NII, dim__0=0), "has no voxels"),
    _case("zero-voxels", "an axis of no voxels", _f(nifti, NII, dim__2=0), "has no voxels"),
    _case("negative-size", "an axis of -9 voxels", _f(nifti, NII, dim__2=-9), "has no voxels"),
    _case("flat", "one slice", _f(nifti, NII, smooth(shape=(8, 9))), "has 2 dimensions"),
    _case("one-slice", "a volume of one slice", _f(nifti, NII, smooth(shape=(8, 9, 1))),
          "a slice and no volume"),
    _case("series", "a 4-D series", _f(nifti, GZ, smooth(shape=(8, 9, 10, 3))), "has 4 dimensions"),
    _case("vectors", "5 dimensions", _f(nifti, GZ, smooth(shape=(8, 9, 10, 1, 3))),
          "has 5 dimensions"),
    _case("zero-spacing", "spacing 0", _f(nifti, NII, pixdim__2=0), "voxel spacing 1 x 0 x 2"),
    _case("negative-spacing", "negative spacing",
          _f(nifti, NII, pixdim__3=-2), "spacing 1 x 1 x -2"),
    _case("nan-spacing", "spacing that is no number", _f(nifti, NII, pixdim__1=np.nan), "nan x 1"),
    _case("nan-affine", "NaN in the sform", _f(nifti, NII, srow_x__3=np.nan), "NaN or infinities"),
    _case("zero-affine", "an sform of zeros",
          _f(nifti, NII, srow_x=0, srow_y=0, srow_z=0), "voxels are 0 x 0 x 0 mm"),
    _case("flat-affine", "axes of the sform in one plane", _f(nifti, NII, srow_z=[0, 1, 0, 0],
          srow_y=[0, 1, 0, 0], srow_x=[-1, 0, 1, 0]), "in one plane"),
    _case("units", "spacing in mm called microns",
          _f(nifti, NII, xyzt_units=3), "which no scan has"),
    _case("quaternion", "a qform that is no rotation",
          _f(nifti, NII, sform_code=0, quatern_b=1, quatern_c=1), "no rotation"),
    _case("forms-mirrored", "an sform that mirrors the qform",
          partial(_forms, np.diag([1.0, 1, 2, 1]), 4), "contradict each other"),
    _case("forms-turned", "sform and qform of one code, half a turn apart",
          partial(_forms, TURNED, 1),
          "contradict each other"),
    _case("scaling", "intercept that is no number", _f(nifti, NII, scl_slope=1, scl_inter=np.inf),
          "invalid intercept inf"),
    _case("type", "unknown data type", _f(nifti, NII, datatype=77), "data code 77"),
    _case("offset", "voxels that begin inside the header", _f(nifti, NII, vox_offset=100),
          "vox offset 100 too low"),
    _case("extension", "header extensions of 3 GB", _huge_extension, "claims 3.0 GB"),
    _case("complex", "complex numbers", _f(nifti, NII, smooth(np.complex64)), "complex numbers"),
    _case("colors", "colors", _f(nifti, NII, RGB), "holds colors"),
    # NIfTI: voxels
    _case("zeros", "all voxels 0", _f(nifti, GZ, np.zeros(SHAPE, np.int16)), "every voxel is 0"),
    _case("constant", "all voxels alike",
          _f(nifti, GZ, np.full(SHAPE, 7, np.int16)), "is constant"),
    _case("nan", "NaN among the voxels", _f(nifti, GZ, _bad(np.nan)), "no finite number"),
    _case("infinity", "infinity among the voxels",
          _f(nifti, GZ, _bad(-np.inf)), "no finite number"),
    _case("overflow", "numbers too large for 32 bits",
          _f(nifti, NII, smooth(np.float64) * 1e200), "too large"),
    _case("swapped", "voxels in the other byte order", _f(nifti, NII, smooth().byteswap()),
          "another byte order"),
    # Pairs
    _case("img-alone", "the voxels of a pair without header", partial(_alone, "scan.hdr"),
          "lacks its other file (.hdr)"),
    _case("hdr-alone", "the header of a pair without voxels", partial(_alone, "scan.img"),
          "lacks its other file (.img)"),
    _case("img-cut", "the voxels of a pair cut off", _short_pair, "is damaged"),
    _case("img-trailing", "256 MB behind the last voxel, in a gzipped pair", _inflating_pair,
          "holds more"),
    # MetaImage
    _case("mha-text", "no MetaImage", partial(_written, "scan.mha", b"hello"), "ITK cannot read"),
    _case("mha-end", "a header without end", _f(metaimage, "scan.mha", ElementDataFile=None),
          "ITK cannot read"),
    _case("mha-size", "no size", _f(metaimage, "scan.mha", DimSize=None), "ITK cannot read"),
    _case("mha-words", "words for numbers", _f(metaimage, "scan.mha", DimSize="8 9 ten"),
          "ITK cannot read"),
    _case("mha-gigantic", "gigantic dimensions",
          _f(metaimage, "scan.mha", DimSize="99999 99999 99"),
          "more than"),
    _case("mha-claims", "1 kB of compressed voxels that claim 0.5 GB",
          _f(metaimage, "scan.mha", DimSize="640 640 640", CompressedData="True"),
          "more than a scan in a file of its size"),
    _case("mha-spacing", "spacing 0",
          _f(metaimage, "scan.mha", ElementSpacing="1 0 1"), "1 x 0 x 1"),
    _case("mha-matrix", "a matrix of zeros",
          _f(metaimage, "scan.mha", TransformMatrix="0 0 0 0 0 0 0 0 0"), "no usable affine"),
    _case("mha-cut", "cut off", lambda d: cut(metaimage(d / "scan.mha"), 5), "is damaged"),
    _case("mha-zlib", "compressed voxels cut off",
          lambda d: cut(metaimage(d / "scan.mha", CompressedData="True"), 30), "is damaged"),
    _case("mha-bytes", "compressed voxels with bytes overwritten", _broken_metaimage,
          "is damaged"),
    _case("mha-short", "compressed voxels of fewer slices than the header says",
          _f(metaimage, "scan.mha", DimSize="8 9 12", CompressedData="True"), "are not 1728 bytes"),
    _case("mha-length", "compressed voxels of unknown length", _no_length, "CompressedDataSize"),
    _case("mha-order", "voxels in the other byte order",
          _f(metaimage, "scan.mha", BinaryDataByteOrderMSB="True"), "another byte order"),
    _case("mha-channels", "several channels",
          _f(metaimage, "scan.mha", ElementNumberOfChannels="3"), "colors or vectors"),
    _case("mhd-outside", "a header that names a file elsewhere",
          _f(metaimage, "scan.mhd", ElementDataFile="../../etc/passwd"), "outside its folder"),
    _case("mhd-colon", "the same, with a colon", _colon, "outside its folder"),
    _case("mhd-alone", "a header without its voxels",
          _f(metaimage, "scan.mhd", ElementDataFile="scan.raw"), "lacks its other file (.raw)"),
    # NRRD
    _case("nrrd-magic", "no NRRD", partial(_written, "scan.nrrd", b"NIRD0004\n\n"), "as magic"),
    _case("nrrd-sizes", "no sizes", _f(nrrd, "scan.nrrd", sizes=None), "required field: sizes"),
    _case("nrrd-space", "a space that nobody knows", _f(nrrd, "scan.nrrd", space="3D-left-handed"),
          "'3D-left-handed'"),
    _case("nrrd-directions", "two directions for three axes",
          _f(nrrd, "scan.nrrd", space_directions="(1,0,0) (0,1,0)"), "ITK cannot read"),
    _case("nrrd-nan", "a direction that is no number",
          _f(nrrd, "scan.nrrd", space_directions="(nan,0,0) (0,1,0) (0,0,1)"), "ITK cannot"),
    _case("nrrd-endian", "no byte order", _f(nrrd, "scan.nrrd", endian=None), "require endian"),
    _case("nrrd-text", "voxels as text", _f(nrrd, "scan.nrrd", encoding="ascii"), "ITK cannot"),
    _case("nrrd-bzip2", "voxels packed by bzip2", _f(nrrd, "scan.nrrd", encoding="bzip2"),
          "bzip2 encoding not available"),
    _case("nrrd-units", "units other than mm", _f(nrrd, "scan.nrrd", space_units='"m" "m" "m"'),
          "units other than mm"),
    _case("nrrd-colors", "colors", _f(nrrd, "scan.nrrd", dimension="4", sizes="3 8 9 10",
          space_directions="none (1,0,0) (0,1,0) (0,0,1)"), "number of domain axes"),
    _case("nrrd-cut", "compressed voxels cut off",
          lambda d: cut(nrrd(d / "scan.nrrd", encoding="gzip"), 30), "is damaged"),
    _case("nhdr-outside", "a header that names a file elsewhere",
          _f(nrrd, "scan.nhdr", data_file="/etc/passwd"), "outside its folder"),
    # MGH
    _case("mgh-version", "unknown version", lambda d: patch(mgh(d / "scan.mgh"), 0, b"\0\0\0\2"),
          "Unknown MGH format version"),
    _case("mgh-type", "unknown data type", lambda d: patch(mgh(d / "scan.mgh"), 20, b"\0\0\0\7"),
          "unknown code 7"),
    _case("mgh-spacing", "spacing 0",
          lambda d: patch(mgh(d / "scan.mgh"), 30, bytes(4)), "0 x 1 x 2"),
    _case("mgh-cut", "cut off", lambda d: cut(mgh(d / "scan.mgh"), 400), "is damaged"),
    _case("mgz-inflating", "a decompression bomb", _inflating_mgz, "claims 1.3 GB"),
    _case("mgz-cut", "gzip cut off", lambda d: cut(mgh(d / "scan.mgz"), 50), "is damaged"),
]  # fmt: skip
