"""Read, write and read again: what a NIfTI file says of a volume survives."""

import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from crossmod.io import (
    Image,
    describe_header,
    header_from,
    read_image,
    same_grid,
    to_nifti,
    to_ras,
    write_image,
)
from crossmod.nifti_forms import qform_matrix

MM = {"mm": 1.0, "micron": 0.001, "meter": 1000.0, "unknown": 1.0}
TYPES = ["u1", "i1", "i2", "u2", "i4", "f4", "f8"]
# Near half a turn a 32-bit quaternion is no better than 1e-3 rad; voxels have up to 6 mm.
TOLERANCE_MM = 8e-3
codes = st.integers(0, 4)


@st.composite
def affines(draw: Any) -> np.ndarray:
    """Any pose: oblique, flipped, axes exchanged, anisotropic; in mm."""
    turn = Rotation.from_euler("xyz", draw(st.tuples(*[st.floats(-3, 3)] * 3))).as_matrix()
    axes = np.eye(3)[:, draw(st.permutations([0, 1, 2]))]
    flips = np.diag(draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn @ axes @ flips @ np.diag(draw(st.tuples(*[st.floats(0.3, 6)] * 3)))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-200, 200)] * 3))
    return affine


@st.composite
def files(draw: Any) -> dict[str, Any]:
    """What a NIfTI file can say; forms of different codes may lead to different places."""
    affine = draw(affines())
    forms = draw(st.tuples(codes, codes).filter(any))
    moved = affine.copy()
    if forms[0] != forms[1]:
        moved[:3, 3] += draw(st.tuples(*[st.floats(-50, 50)] * 3))
    return {
        "kind": draw(st.sampled_from([nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair])),
        "name": draw(st.sampled_from(["a.nii", "a.nii.gz"])),
        "matrices": (affine, moved),
        "codes": forms,
        "unit": draw(st.sampled_from(list(MM))),
        "time": draw(st.sampled_from(["sec", "msec", "unknown"])),
        "order": draw(st.sampled_from("<>")),
        "type": draw(st.sampled_from(TYPES)),
        "scaling": draw(st.sampled_from([(1.0, 0.0), (0.013, 5.0), (25.0, -1000.0)])),
    }


def save(folder: Path, said: dict[str, Any]) -> Path:
    """Write the file with nibabel."""
    header = said["kind"].header_class(endianness=said["order"])
    header.set_data_dtype(np.dtype(said["type"]))
    header.set_xyzt_units(said["unit"], said["time"])
    values = np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype(np.float64)
    slope, inter = said["scaling"] if said["type"][0] in "iu" else (1.0, 0.0)
    factor = np.diag([*[1 / MM[said["unit"]]] * 3, 1])
    image = said["kind"](values * slope + inter, factor @ said["matrices"][0], header)
    image.set_sform(factor @ said["matrices"][0], said["codes"][0])
    image.set_qform(factor @ said["matrices"][1], said["codes"][1])
    image.header.set_slope_inter(slope, inter)
    path = folder / ("a.hdr" if said["kind"] is nib.Nifti1Pair else said["name"])
    nib.save(image, path)
    return path


@settings(max_examples=100, deadline=None)
@given(said=files())
def test_read_and_written_again_a_file_says_the_same(said: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = save(Path(folder), said)
        first = read_image(source)
        write_image(Path(folder) / "b.nii.gz", first)
        second = read_image(Path(folder) / "b.nii.gz")
        old, new = nib.load(source), nib.load(Path(folder) / "b.nii.gz")
        truth, written = np.asarray(old.dataobj), np.asarray(new.dataobj)
    assert new.header.get_xyzt_units() == (said["unit"], said["time"])
    np.testing.assert_allclose(written, truth, rtol=1e-6, atol=1e-4)
    np.testing.assert_array_equal(first.data, second.data)
    mm = MM[said["unit"]]
    matrices = {"sform": lambda header: header.get_sform(), "qform": qform_matrix}
    truths = dict(zip(("sform", "qform"), said["matrices"], strict=True))
    for form, code in zip(truths, said["codes"], strict=True):
        assert int(new.header[f"{form}_code"]) == code
        if code:
            matrix = matrices[form](new.header)[:3] * mm
            np.testing.assert_allclose(matrix, truths[form][:3], atol=TOLERANCE_MM)
    used = said["matrices"][0 if said["codes"][0] else 1]
    for image in (first, second):
        np.testing.assert_allclose(image.affine, used, atol=TOLERANCE_MM)


@settings(max_examples=50, deadline=None)
@given(said=files())
def test_a_status_file_remembers_what_a_written_image_needs(said: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        image = read_image(save(Path(folder), said))
    remembered = Image(image.data, image.affine, header_from(describe_header(image)))
    direct, late = to_nifti(image), to_nifti(remembered)
    for field in ("sform_code", "qform_code", "xyzt_units"):
        assert direct.header[field] == late.header[field]
    mm = MM[said["unit"]]
    np.testing.assert_allclose(direct.affine[:3] * mm, late.affine[:3] * mm, atol=TOLERANCE_MM)
    if all(said["codes"]):
        qform = qform_matrix(late.header)[:3] * mm
        np.testing.assert_allclose(qform, said["matrices"][1][:3], atol=TOLERANCE_MM)


def test_a_volume_that_was_turned_gets_its_new_affine_in_both_forms(tmp_path: Path) -> None:
    moved = np.diag([-1.0, -1, 2, 1])
    moved[:3, 3] = [90, 120, -70]
    raw = nib.Nifti1Image(np.arange(60, dtype=np.float32).reshape(3, 4, 5), moved)
    raw.set_sform(moved, 4)
    raw.set_qform(np.diag([-1.0, -1, 2, 1]), 1)
    nib.save(raw, tmp_path / "a.nii")
    image = to_ras(read_image(tmp_path / "a.nii"))
    out = to_nifti(image)
    np.testing.assert_allclose(out.header.get_sform(), image.affine)
    np.testing.assert_allclose(out.header.get_qform(), image.affine, atol=1e-5)
    assert (int(out.header["sform_code"]), int(out.header["qform_code"])) == (4, 1)


@pytest.mark.parametrize("unit", ["micron", "meter"])
def test_other_units_are_read_as_mm(unit: str, tmp_path: Path) -> None:
    affine = np.diag([1.0, 2, 3, 1])
    scaled = np.diag([*[1 / MM[unit]] * 3, 1]) @ affine
    in_mm = nib.Nifti1Image(np.ones((3, 4, 5), np.float32), affine)
    other = nib.Nifti1Image(np.ones((3, 4, 5), np.float32), scaled)
    in_mm.header.set_xyzt_units("mm")
    other.header.set_xyzt_units(unit)
    nib.save(in_mm, tmp_path / "a.nii")
    nib.save(other, tmp_path / "b.nii")
    assert same_grid(read_image(tmp_path / "a.nii"), read_image(tmp_path / "b.nii"))
