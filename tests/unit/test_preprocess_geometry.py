"""Transforms, resampling, intensity."""

from __future__ import annotations

import numpy as np
import pytest

from crossmod.intensity import Normalizer
from crossmod.io import Image, same_grid
from crossmod.preprocess.ants_bridge import read_transform
from crossmod.preprocess.field_of_view import field_of_view
from crossmod.preprocess.resampling import (
    Grid,
    covered,
    isotropic_grid,
    resample,
    resample_mask,
)
from crossmod.preprocess.transforms import about, apply, from_itk, rotation, write_itk
from tests.unit.heads import make_head

POSE = about(np.array([3.0, -4.0, 5.0]), rotation((0.2, -0.1, 0.3)), np.array([6.0, 2.0, -9.0]))


def random_image(shape=(12, 10, 8), spacing=(1.0, 1.5, 3.0), seed=0):
    affine = rotation((0.1, 0.05, -0.2)) @ np.diag([*spacing, 1.0])
    affine[:3, 3] = (-5, 7, 2)
    data = np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)
    return Image(data, affine)


def test_rotation_is_proper_and_turns_about_the_center():
    turn = rotation((0.4, -0.2, 0.7))[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    center = np.array([3.0, -4.0, 5.0])
    np.testing.assert_allclose(apply(POSE, center), np.add(center, [6, 2, -9]))


def test_quarter_turn_about_z_takes_right_to_anterior():
    np.testing.assert_allclose(rotation((0, 0, np.pi / 2))[:3, 0], [0, 1, 0], atol=1e-12)


def test_ants_reads_the_stored_file(tmp_path):
    write_itk(tmp_path / "t.txt", POSE)
    # ANTs hands out single precision; the file holds every bit.
    np.testing.assert_allclose(read_transform(tmp_path / "t.txt"), POSE, atol=1e-6)
    line = (tmp_path / "t.txt").read_text().splitlines()[3]
    stored = np.array(line.removeprefix("Parameters: ").split(), dtype=float)
    np.testing.assert_array_equal(from_itk(stored, np.zeros(3)), POSE)


def test_itk_parameters_with_a_center_of_rotation():
    quarter_turn = np.array([0.0, -1, 0, 1, 0, 0, 0, 0, 1, 1, 2, 3])
    # In LPS: p -> R (p - c) + t + c; the center itself moves by the translation.
    matrix = from_itk(quarter_turn, np.array([10.0, 0, 0]))
    np.testing.assert_allclose(apply(matrix, np.array([-10.0, 0, 0])), [-11, -2, 3])


def test_resampling_agrees_with_ants_reading_the_stored_file(tmp_path):
    from crossmod.preprocess.ants_bridge import from_ants, load_ants, to_ants

    moving, fixed = random_image((14, 13, 12), (2, 2, 2)), random_image((15, 14, 11), (2, 2, 2), 1)
    shift = about(Grid.of(fixed).center(), rotation((0.2, -0.1, 0.3)), np.array([1.0, 2, -1]))
    write_itk(tmp_path / "t.txt", shift)
    ants = load_ants()
    theirs = from_ants(
        ants.apply_transforms(
            to_ants(fixed), to_ants(moving), [str(tmp_path / "t.txt")], interpolator="linear"
        )
    )
    ours = resample(moving, Grid.of(fixed), shift)
    # ITK fills the outer half voxel with zero.
    inner = covered(
        Grid.of(Image(moving.data[1:-1, 1:-1, 1:-1], _inner(moving))), Grid.of(fixed), shift
    )
    assert inner.sum() > 300
    np.testing.assert_allclose(ours.data[inner], theirs[inner], rtol=1e-3)


def _inner(image):
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3].sum(axis=1)
    return affine


@pytest.mark.parametrize("method", ["nearest", "linear", "bspline"])
def test_resampling_onto_the_own_grid_changes_nothing(method):
    image = random_image()
    out = resample(image, Grid.of(image), np.eye(4), method)
    np.testing.assert_array_equal(out.data, image.data)
    assert same_grid(out, image)


@pytest.mark.parametrize("method", ["nearest", "linear", "bspline"])
def test_shift_by_whole_voxels_is_exact(method):
    image = random_image((16, 16, 16), (2, 2, 2))
    shift = np.eye(4)
    shift[:3, 3] = image.affine[:3, :3] @ [2, 1, 0]
    out = resample(image, Grid.of(image), shift, method)
    np.testing.assert_allclose(out.data[4:9, 4:9, 4:9], image.data[6:11, 5:10, 4:9], rtol=1e-4)


def test_downsampling_does_not_alias():
    data = np.indices((32, 32, 32)).sum(axis=0) % 2 * 100.0
    image = Image(data.astype(np.float32), np.eye(4))
    out = resample(image, isotropic_grid(Grid.of(image), 4.0), np.eye(4))
    assert out.data.shape == (8, 8, 8)
    assert np.ptp(out.data[1:-1, 1:-1, 1:-1]) < 5
    np.testing.assert_allclose(out.data[1:-1, 1:-1, 1:-1], 50, atol=3)


def test_a_plane_keeps_its_values_at_another_spacing():
    image = random_image((20, 20, 10), (1, 1, 3))
    where = np.indices(image.data.shape).transpose(1, 2, 3, 0) @ image.affine[:3, :3].T
    slope = np.array([2.0, -1.0, 0.5])
    ramp = image.with_data(((where + image.affine[:3, 3]) @ slope).astype(np.float32))
    out = resample(ramp, isotropic_grid(Grid.of(ramp), 1.5), np.eye(4))
    world = np.indices(out.data.shape).transpose(1, 2, 3, 0) @ out.affine[:3, :3].T
    expected = (world + out.affine[:3, 3]) @ slope
    inner = (slice(3, -3),) * 3
    np.testing.assert_allclose(out.data[inner], expected[inner], atol=1e-3)


def test_isotropic_grid_keeps_axes_center_and_field_of_view():
    grid = Grid.of(random_image())
    new = isotropic_grid(grid, 0.7)
    np.testing.assert_allclose(new.spacing_mm, 0.7)
    np.testing.assert_allclose(new.center(), grid.center())
    assert (np.array(new.shape) * 0.7 >= np.array(grid.shape) * grid.spacing_mm - 1e-6).all()
    np.testing.assert_allclose(new.affine[:3, :3] / 0.7, grid.affine[:3, :3] / grid.spacing_mm)
    assert isotropic_grid(new, 0.7) is new


def test_covered_is_the_field_of_view():
    source = Grid((4, 4, 4), np.diag([2.0, 2, 2, 1]))
    target = Grid((10, 4, 4), np.diag([1.0, 2, 2, 1]))
    inside = covered(source, target, np.eye(4))
    # The source reaches from -1 to 7 mm.
    np.testing.assert_array_equal(inside[:, 0, 0], [True] * 8 + [False] * 2)


def test_mask_is_false_outside_its_own_field_of_view():
    mask = Image(np.ones((4, 4, 4), dtype=bool), np.eye(4))
    out = resample_mask(mask, Grid((8, 4, 4), np.eye(4)), np.eye(4))
    assert out.sum() == 64


def test_normalizer_is_undone_by_its_inverse():
    values = np.random.default_rng(0).gamma(4, 50, 5000)
    normalizer = Normalizer.fit(values, (0.5, 99.5))
    assert normalizer is not None
    assert (normalizer.low, normalizer.high) == pytest.approx(np.percentile(values, (0.5, 99.5)))
    scaled = normalizer.apply(values)
    assert scaled.min() == 0
    assert scaled.max() == 1
    inner = (values > normalizer.low) & (values < normalizer.high)
    np.testing.assert_allclose(normalizer.invert(scaled)[inner], values[inner], rtol=1e-4)


@pytest.mark.parametrize("values", [np.array([]), np.full(10, 3.0)])
def test_normalizer_needs_a_range(values):
    assert Normalizer.fit(values, (0.5, 99.5)) is None


def test_maximum_normalizer_keeps_zero_and_maps_the_maximum_to_one():
    values = np.array([-3.0, 0.0, 5.0, 20.0])
    normalizer = Normalizer.of_maximum(values)
    assert normalizer == Normalizer(0.0, 20.0)
    np.testing.assert_array_equal(normalizer.apply(values), [0, 0, 0.25, 1])
    for unfit in ([], [4.0, 4.0], [-2.0, -1.0], [-1.0, 0.0]):
        assert Normalizer.of_maximum(np.array(unfit)) is None


def test_field_of_view_leaves_out_large_holes_of_brain_only_scans():
    scan, brain = make_head("FLAIR", skull=False, spacing=(4, 4, 4))
    grid = Grid.of(scan)
    half = scan.data.copy()
    half[: half.shape[0] // 2] = 0
    half[30, 27, 25] = 0  # one dark voxel is no missing part
    cover = field_of_view(scan.with_data(half), True, grid, np.eye(4), brain)
    middle = half.shape[0] // 2
    assert not cover[: middle - 1].any()
    np.testing.assert_array_equal(cover[middle + 1 :], brain[middle + 1 :])
    whole = field_of_view(scan.with_data(half), False, grid, np.eye(4), brain)
    np.testing.assert_array_equal(whole, brain)


def test_field_of_view_ends_where_the_scan_ends():
    scan, brain = make_head(spacing=(4, 4, 4))
    cut = Image(scan.data[..., :25], scan.affine)
    cover = field_of_view(cut, False, Grid.of(scan), np.eye(4), brain)
    np.testing.assert_array_equal(cover[..., :25], brain[..., :25])
    assert not cover[..., 25:].any()
