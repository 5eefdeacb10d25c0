"""Transforms with a displacement field: applied, undone, stored, and as ANTs has them."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from crossmod.delivery import resample_brain
from crossmod.errors import InputError
from crossmod.hashing import hash_file
from crossmod.io import Image
from crossmod.preprocess.ants_bridge import from_ants, load_ants, to_ants
from crossmod.preprocess.resampling import Grid, covered, resample
from crossmod.preprocess.transforms import about, rotation, write_itk
from crossmod.spatial import Field, Transform, Warp, apply, inverted
from crossmod.stored_transforms import read_field, write_field
from tests.unit.heads import ball, textured

SHAPE = (24, 26, 22)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = (-46, -50, -42)
POSE = about(np.zeros(3), rotation((0.1, -0.05, 0.2)), np.array([3.0, -4.0, 2.0]))


def bump(size_mm=6.0, seed=0):
    """A smooth field that fades towards the edge of its grid."""
    noise = np.random.default_rng(seed).normal(size=(*SHAPE, 3))
    smooth = np.stack([gaussian_filter(noise[..., k], 4) for k in range(3)], axis=-1)
    fading = gaussian_filter(ball(SHAPE, 0.7).astype(float), 2)[..., None]
    vectors = smooth * fading
    vectors *= size_mm / np.abs(vectors).max()
    return Field(vectors.astype(np.float32), AFFINE)


def undoing(field, rounds=30):
    """The field that takes points back, by fixed-point iteration."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    points = apply(AFFINE, index)
    found = np.zeros_like(points)
    for _ in range(rounds):
        found = -field.at(points + found)
    return Field(found.astype(np.float32), AFFINE)


@pytest.fixture(scope="module")
def warp():
    field = bump()
    return Warp(field, undoing(field))


def scattered(number=500, reach=30.0):
    return np.random.default_rng(1).uniform(-reach, reach, (number, 3))


def test_a_field_is_linear_between_voxels_and_zero_off_its_grid():
    vectors = np.zeros((*SHAPE, 3), dtype=np.float32)
    vectors[10, 10, 10] = (1, 2, 3)
    field = Field(vectors, AFFINE)
    voxel = apply(AFFINE, np.array([[10.0, 10, 10]]))
    np.testing.assert_allclose(field.at(voxel), [[1, 2, 3]])
    beside = voxel + np.array([1, 0, 0])
    np.testing.assert_allclose(field.at(beside), [[0.75, 1.5, 2.25]], atol=1e-6)
    whole = Field(np.ones((*SHAPE, 3), dtype=np.float32), AFFINE)
    corner = apply(AFFINE, np.zeros((1, 3)))
    np.testing.assert_array_equal(whole.at(corner - 1.9), np.ones((1, 3)))
    np.testing.assert_array_equal(whole.at(corner - 2.1), np.zeros((1, 3)))


def test_the_jacobian_is_the_growth_of_volumes():
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    turned = POSE @ AFFINE
    grown = Field((0.1 * apply(turned, index)).astype(np.float32), turned)
    np.testing.assert_allclose(grown.jacobian(), 1.1**3, rtol=1e-4)
    folded = Field((-1.5 * apply(turned, index)).astype(np.float32), turned)
    assert (folded.jacobian() < 0).all()


def test_transforms_compose_as_their_parts_do(warp):
    scale = np.diag([1.1, 0.9, 1.05, 1.0])
    transform = Transform(POSE, scale, warp)
    points = scattered()
    between = apply(scale, points)
    expected = apply(POSE, between + warp.forward.at(between))
    np.testing.assert_array_equal(transform.apply(points), expected)
    np.testing.assert_allclose(transform.then(scale).apply(points), apply(scale, expected))
    before = transform.following(POSE).apply(points)
    np.testing.assert_allclose(before, transform.apply(apply(POSE, points)))
    np.testing.assert_allclose(transform.linear, POSE @ scale)
    np.testing.assert_allclose(Transform(POSE, scale).apply(points), apply(POSE, between))


def test_the_inverse_takes_points_back(warp):
    transform = Transform(POSE, np.diag([1.1, 0.9, 1.05, 1.0]), warp)
    points = scattered()
    moved = transform.apply(points)
    assert np.abs(moved - apply(transform.linear, points)).max() > 2
    error = np.linalg.norm(transform.inverse().apply(moved) - points, axis=1)
    assert error.mean() < 0.1  # mm, of fields on cubes of 4 mm
    assert error.max() < 0.4
    linear = Transform(POSE)
    np.testing.assert_allclose(linear.inverse().apply(linear.apply(points)), points, atol=1e-10)


def test_fields_make_a_round_trip_and_lie_in_lps(tmp_path):
    field = Field(bump().vectors, POSE @ AFFINE)
    write_field(tmp_path / "a.nii.gz", field)
    write_field(tmp_path / "b.nii.gz", field)
    assert hash_file(tmp_path / "a.nii.gz") == hash_file(tmp_path / "b.nii.gz")
    again = read_field(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(again.vectors, field.vectors)
    np.testing.assert_allclose(again.affine, field.affine, atol=1e-5)
    stored = nib.load(tmp_path / "a.nii.gz")
    assert stored.shape == (*SHAPE, 1, 3)
    assert stored.header.get_intent()[0] == "vector"
    lps = field.vectors * np.array([-1, -1, 1], dtype="f4")
    np.testing.assert_array_equal(np.asarray(stored.dataobj)[:, :, :, 0], lps)


def test_a_file_without_vectors_is_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), "f4"), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="not that of a displacement field"):
        read_field(tmp_path / "a.nii.gz")
    (tmp_path / "b.nii.gz").write_bytes(b"no image")
    with pytest.raises(InputError, match="no readable NIfTI"):
        read_field(tmp_path / "b.nii.gz")


def test_resampling_agrees_with_ants_reading_the_stored_files(tmp_path, warp):
    scan = Image(100 * textured((30, 32, 28), sigma=1.5).astype("f4"), POSE @ AFFINE)
    fixed = Grid((20, 22, 18), AFFINE)
    inner = about(np.zeros(3), rotation((0.0, 0.1, 0.0)), np.array([1.0, 2.0, 3.0]))
    write_field(tmp_path / "warp.nii.gz", warp.forward)
    write_itk(tmp_path / "first.txt", POSE)
    write_itk(tmp_path / "second.txt", inner)
    files = [str(tmp_path / name) for name in ("warp.nii.gz", "first.txt", "second.txt")]
    empty = to_ants(Image(np.zeros(fixed.shape, "f4"), fixed.affine))
    theirs = from_ants(load_ants().apply_transforms(empty, to_ants(scan), files))
    transform = Transform(inner @ POSE, warp=warp)
    ours = resample(scan, fixed, transform).data
    # ITK fills the outer half voxel with zero.
    core = scan.affine.copy()
    core[:3, 3] = apply(scan.affine, np.ones(3))
    seen = covered(Grid((28, 30, 26), core), fixed, transform)
    assert seen.sum() > 3000
    np.testing.assert_allclose(ours[seen], theirs[seen], atol=0.02)
    straight = resample(scan, fixed, transform.linear).data
    assert np.abs(straight[seen] - theirs[seen]).max() > 5


@pytest.mark.parametrize("method", ["nearest", "linear", "bspline"])
def test_a_warp_of_zeros_resamples_as_the_matrix_does(method):
    scan = Image(textured((20, 18, 16)).astype("f4"), POSE @ AFFINE)
    still = Field(np.zeros((*SHAPE, 3), dtype=np.float32), AFFINE)
    grid = Grid((18, 20, 16), scan.affine @ about(np.zeros(3), POSE, np.ones(3)))
    warped = resample(scan, grid, Transform(POSE, warp=Warp(still, still)), method)
    np.testing.assert_allclose(warped.data, resample(scan, grid, POSE, method).data, atol=1e-4)
    transform = Transform(POSE, warp=Warp(still, still))
    small = Grid((9, 9, 9), scan.affine)
    shown = covered(small, grid, transform)
    assert 0 < shown.sum() < shown.size
    np.testing.assert_array_equal(shown, covered(small, grid, POSE))


def test_a_synthetic_volume_finds_its_way_back_through_the_warp(warp):
    """A scan resampled onto the common grid and delivered again looks as before."""
    raw_affine = POSE @ np.diag([-2.0, -2.0, 6.0, 1.0])
    raw_affine[:3, 3] = apply(POSE, np.array([48.0, 50.0, -44.0]))
    shape = (48, 50, 16)
    common = np.diag([2.0, 2.0, 2.0, 1.0])
    common[:3, 3] = -47
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    smooth = 0.5 + apply(raw_affine, index) @ [0.004, -0.003, 0.002]
    scan = Image(smooth.astype("f4"), raw_affine)
    transform = Transform(POSE, warp=warp)
    brain = ball((48, 48, 48), 0.6)
    there = resample(scan, Grid((48, 48, 48), common), transform).data * brain
    to_voxel = transform.inverse().following(raw_affine).then(inverted(common))
    back, inside = resample_brain(there, brain, to_voxel, shape)
    volume = inside.sum() * 24 / (brain.sum() * 8)
    assert volume == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(back[inside], smooth[inside], atol=0.01)
    straight = Transform(POSE).inverse().following(raw_affine).then(inverted(common))
    wrong, overlap = resample_brain(there, brain, straight, shape)
    assert np.abs(wrong - smooth)[overlap & inside].max() > 0.015
