import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes

from crossmod.errors import InputError
from crossmod.io import Image, read_image, read_scan, same_grid, to_ras, write_image

AFFINE = np.array([[-1.0, 0.1, 0, 90], [0.1, 1.0, 0, -126], [0, 0, 3.0, -72], [0, 0, 0, 1]])


def save(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def test_form_codes_and_units_survive_a_round_trip(tmp_path: Path) -> None:
    raw = nib.Nifti1Image(np.arange(60, dtype=np.float32).reshape(3, 4, 5), AFFINE)
    raw.set_sform(AFFINE, code=4)
    raw.set_qform(AFFINE, code=2)
    raw.header.set_xyzt_units("mm", "sec")
    raw.header["descrip"] = b"Doe^Jane 1970"
    nib.save(raw, tmp_path / "a.nii.gz")
    image = read_image(tmp_path / "a.nii.gz")
    write_image(tmp_path / "b.nii.gz", image)
    back = nib.load(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(np.asarray(back.dataobj), np.asarray(raw.dataobj))
    np.testing.assert_allclose(back.affine, AFFINE, atol=1e-6)
    assert (int(back.header["sform_code"]), int(back.header["qform_code"])) == (4, 2)
    assert back.header.get_xyzt_units() == ("mm", "sec")
    assert not bytes(back.header["descrip"]).strip(b"\0"), "free text may name people"


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    image = Image(np.ones((3, 3, 3), np.float32), AFFINE)
    write_image(tmp_path / "a.nii.gz", image)
    write_image(tmp_path / "b.nii.gz", image)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_scaling_of_the_file_is_applied(tmp_path: Path) -> None:
    raw = nib.Nifti1Image(np.arange(27, dtype=np.int16).reshape(3, 3, 3), np.eye(4))
    raw.header.set_slope_inter(0.5, 10)
    nib.save(raw, tmp_path / "a.nii")
    data = np.asarray(nib.load(tmp_path / "a.nii").dataobj)
    np.testing.assert_allclose(read_image(tmp_path / "a.nii").data, data)


@settings(max_examples=30, deadline=None)
@given(
    permutation=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    angle=st.floats(-0.3, 0.3),
)
def test_to_ras_keeps_every_voxel_where_it_is_in_the_world(permutation, flips, angle) -> None:
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.eye(3)[:, permutation] @ np.diag(flips) @ np.diag([1, 2, 3])
    affine[:3, 3] = [5, -7, 11]
    data = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    image = Image(data, affine)
    ras = to_ras(image)
    assert aff2axcodes(ras.affine) == ("R", "A", "S")
    for index in np.ndindex(*data.shape):
        world = affine @ [*index, 1]
        there = np.rint(np.linalg.solve(ras.affine, world)[:3]).astype(int)
        assert ras.data[tuple(there)] == data[index]


def test_a_4d_file_with_one_volume_counts_as_3d(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.ones((3, 4, 5, 1), np.float32))
    assert read_image(tmp_path / "a.nii").data.shape == (3, 4, 5)


def corrupt_gzip(path: Path) -> None:
    save(path, np.random.default_rng(0).random((20, 20, 20)))
    path.write_bytes(path.read_bytes()[:-4000])


def nan_inside(path: Path) -> None:
    data = np.ones((3, 3, 3), np.float32)
    data[1, 1, 1] = np.nan
    save(path, data)


def singular_sform(path: Path) -> None:
    image = nib.Nifti1Image(np.arange(27.0).reshape(3, 3, 3), None)
    image.header["sform_code"] = 1  # all rows of the sform are zero
    nib.save(image, path)


CASES = {
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "no nifti": (lambda p: p.write_bytes(gzip.compress(b"hello" * 100)), "no readable NIfTI"),
    "truncated": (corrupt_gzip, "is damaged"),
    "4-D": (lambda p: save(p, np.ones((3, 3, 3, 2))), "has 4 dimensions"),
    "2-D": (lambda p: save(p, np.ones((3, 3))), "has 2 dimensions"),
    "NaN": (nan_inside, "1 values that are no finite number"),
    "constant": (lambda p: save(p, np.ones((3, 3, 3))), "is constant"),
    "affine": (singular_sform, "no usable affine"),
    "missing": (lambda p: None, "does not exist"),
    "folder": (lambda p: p.mkdir(), "cannot be read|no readable"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_scans_give_one_line_that_names_file_fault_and_remedy(case: str, tmp_path) -> None:
    make, message = CASES[case]
    path = tmp_path / "scan.nii.gz"
    make(path)
    with pytest.raises(InputError, match=message) as caught:
        read_scan(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert "; " in text


def test_same_grid_looks_at_shape_and_affine() -> None:
    a = Image(np.zeros((3, 3, 3)), np.eye(4))
    assert same_grid(a, Image(np.ones((3, 3, 3)), np.eye(4) + 1e-5))
    assert not same_grid(a, Image(np.ones((3, 3, 4)), np.eye(4)))
    assert not same_grid(a, Image(np.ones((3, 3, 3)), np.diag([1, 1, 1.1, 1])))
