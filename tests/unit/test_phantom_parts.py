"""Closed forms and invariants of the parts of the phantom."""

from __future__ import annotations

import numpy as np
import pytest

from crossmod.config import PhantomSettings
from crossmod.phantom import plan, roster
from crossmod.phantom.acquisition import draw_pose, oriented, record_mri, sample
from crossmod.phantom.anatomy import build_anatomy
from crossmod.phantom.fields import coil_shading, cubic_basis, expand, smooth_field
from crossmod.phantom.shape import (
    Grid,
    anatomy_grid,
    centered_grid,
    displacement,
    draw_shape,
    rigid,
    template_coordinates,
)
from crossmod.phantom.signals import (
    Protocol,
    draw_protocol,
    inversion_recovery,
    spin_echo,
    spoiled_gradient_echo,
    with_agent,
)
from crossmod.phantom.tissues import PROPERTIES, Tissue

SETTINGS = PhantomSettings(resolution_mm=4.0)


def test_cubic_basis_is_a_partition_of_unity():
    weights = cubic_basis(np.linspace(1, 5, 41), 7)
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert weights.min() >= 0


def test_expand_reproduces_a_constant_and_a_line():
    basis = cubic_basis(np.linspace(1, 4, 10), 6)
    lattice = np.broadcast_to(np.arange(6.0)[:, None, None], (6, 6, 6))
    field = expand(lattice, (basis, basis, basis))
    assert np.allclose(field[:, 3, 5], np.linspace(1, 4, 10), atol=1e-5)
    assert np.allclose(field[4], field[4, 0, 0], atol=1e-5)


def test_expand_is_the_product_over_the_axes():
    random = np.random.default_rng(0)
    lattice = random.standard_normal((5, 6, 7))
    bases = [cubic_basis(np.linspace(1, n - 2, n + 4), n) for n in lattice.shape]
    expected = np.einsum("abc,xa,yb,zc->xyz", lattice, *bases)
    field = expand(lattice, tuple(bases))
    assert field.shape == (9, 10, 11)
    assert np.allclose(field, expected, atol=1e-5)


def test_smooth_field_has_unit_variance_and_is_smooth():
    fields = [smooth_field(np.random.default_rng(k), (40, 44, 36), 4.0) for k in range(6)]
    assert np.mean([f.var() for f in fields]) == pytest.approx(1, abs=0.1)
    step = np.mean([np.diff(f, axis=0).var() for f in fields])
    assert step < 0.15


def test_coil_shading_is_positive_with_the_stated_strength():
    shading = [np.log(coil_shading(np.random.default_rng(k), (20, 20, 20), 0.2)) for k in range(40)]
    assert np.std(shading) == pytest.approx(0.2, rel=0.2)


@pytest.mark.parametrize("seed", range(4))
def test_deformation_is_diffeomorphic(seed):
    """The Jacobian of the whole map to the template is positive at full resolution."""
    random = np.random.default_rng(seed)
    shape = draw_shape(random, "F")
    grid = anatomy_grid(shape, 3.0)
    points = template_coordinates(shape, grid, displacement(random, grid))
    gradient = [np.gradient(points[i], 3.0) for i in range(3)]
    jacobian = np.linalg.det(np.moveaxis(np.array(gradient), (0, 1), (-2, -1)))
    assert jacobian.min() > 0.2
    assert jacobian.max() < 4
    assert jacobian.std() > 0.03


def test_template_coordinates_without_deformation_are_the_affine():
    shape = draw_shape(np.random.default_rng(1), "M")
    grid = anatomy_grid(shape, 8.0)
    still = [np.zeros(grid.shape, dtype=np.float32)] * 3
    points = template_coordinates(shape, grid, still)
    corner = np.array([*(np.array(grid.shape) - 1), 1.0])
    expected = shape.to_template() @ grid.affine @ corner
    assert np.allclose(points[:, -1, -1, -1], expected[:3], atol=1e-2)


def test_centered_grid_covers_its_extent():
    rotation = rigid(np.array([5.0, 2.0, 1.0]), np.zeros(3))[:3, :3]
    grid = centered_grid(np.array([50, 60, 41]), np.array([1, 2, 4]), rotation, np.array([1, 2, 3]))
    assert grid.shape == (50, 30, 11)
    middle = grid.affine @ [*((np.array(grid.shape) - 1) / 2), 1]
    assert np.allclose(middle[:3], [1, 2, 3])
    assert np.allclose(grid.spacing_mm, [1, 2, 4])


def test_spin_echo_limits():
    one = np.ones(1)
    assert spin_echo(one, 800 * one, 80 * one, Protocol("spin-echo", 1e9, 0))[0] == pytest.approx(1)
    value = spin_echo(one, 800 * one, 80 * one, Protocol("spin-echo", 800, 80))[0]
    assert value == pytest.approx((1 - np.exp(-1)) * np.exp(-1))


def test_inversion_recovery_nulls_at_its_inversion_time():
    t1 = np.array([4300.0])
    tr = 9000.0
    null = 4300 * np.log(2 / (1 + np.exp(-tr / 4300)))
    protocol = Protocol("inversion-recovery", tr, 100, ti_ms=float(null))
    assert inversion_recovery(np.ones(1), t1, np.array([2000.0]), protocol)[0] < 1e-12


def test_spoiled_gradient_echo_peaks_at_the_ernst_angle():
    t1, tr = np.array([1000.0]), 20.0
    ernst = np.rad2deg(np.arccos(np.exp(-tr / 1000)))
    signal = [
        spoiled_gradient_echo(
            np.ones(1), t1, np.array([1e9]), Protocol("spoiled-gradient-echo", tr, 0, flip_deg=a)
        )[0]
        for a in (ernst - 2, ernst, ernst + 2)
    ]
    assert signal[1] > max(signal[0], signal[2])


def test_contrast_agent_shortens_relaxation():
    t1, t2 = with_agent(np.array([1000.0]), np.array([100.0]), 1.0, 3.0)
    assert t1[0] == pytest.approx(1000 / (1 + 4.97))
    assert t2[0] < 100


def test_flair_protocol_nearly_nulls_csf():
    fluid = PROPERTIES[Tissue.CSF]
    for seed in range(20):
        protocol = draw_protocol(np.random.default_rng(seed), "FLAIR")
        value = inversion_recovery(
            np.ones(1), np.array([fluid.t1_ms[1]]), np.array([fluid.t2_ms]), protocol
        )
        assert value[0] < 0.06


def test_noise_is_rician():
    """Without signal the magnitude is Rayleigh: its mean is sqrt(pi/2) of the noise."""
    shape = (30, 30, 30)
    stored = record_mri(np.random.default_rng(3), np.zeros(shape, np.float32), 1.0, 1.5)
    values = stored.astype(float)
    assert values.min() >= 0
    ratio = values.mean() / np.sqrt((values**2).mean())
    assert ratio == pytest.approx(np.sqrt(np.pi) / 2, rel=0.02)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PSR"])
def test_orientation_keeps_every_voxel_in_place(codes):
    data = np.arange(24).reshape(2, 3, 4)
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    image = oriented(data, affine, codes)
    for index in np.ndindex(*image.data.shape):
        back = np.linalg.inv(affine) @ image.affine @ [*index, 1]
        assert image.data[index] == data[tuple(back[:3].round().astype(int))]


def test_thick_slices_average_and_follow_the_pose():
    """A linear ramp is sampled exactly, also through a moved head and a tilted grid."""
    grid = Grid((30, 30, 30), np.eye(4))
    x, y, z = np.indices(grid.shape, dtype=np.float32)
    clean = 2 * x - y + 3 * z
    brain = np.zeros(grid.shape, dtype=bool)
    brain[8:22, 8:22, 8:22] = True
    settings = PhantomSettings(resolution_mm=1.0, slice_thickness_mm=4.0)
    pose = draw_pose(np.random.default_rng(5), settings, "T2w", grid, brain)
    scan = sample(clean, grid, pose, 0.0)
    to_t1w = np.linalg.inv(pose.from_t1w) @ pose.grid.affine
    low, high = pose.grid.spacing_mm[2], pose.thickness_mm
    assert low >= high
    index = np.argwhere(np.ones(pose.grid.shape, dtype=bool))
    points = index @ to_t1w[:3, :3].T + to_t1w[:3, 3]
    deep = ((points > 6) & (points < 23)).all(axis=1)
    assert deep.sum() > 100
    assert np.allclose(scan.ravel()[deep], points[deep] @ [2, -1, 3], atol=0.02)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_fractions_sum_to_one_and_brains_have_a_human_size(number):
    anatomy = build_anatomy(SETTINGS, plan(SETTINGS)[number])
    total = sum(anatomy.fractions.values())
    assert np.allclose(total, 1, atol=1e-4)
    assert min(float(f.min()) for f in anatomy.fractions.values()) >= 0
    volume_ml = len(anatomy.inside) * 4.0**3 / 1000
    assert 1000 < volume_ml < 1900  # Matsumae et al. 1996: 1289 +- 111 (women), 1469 +- 102 (men)
    grey, white = (anatomy.fractions[t].sum() for t in (Tissue.GREY, Tissue.WHITE))
    assert 1.0 < grey / white < 2.2
    border = anatomy.brain_mask()
    assert not border[[0, -1]].any()
    assert not border[:, [0, -1]].any()
    assert not border[:, :, [0, -1]].any()


def test_heads_have_skull_scalp_eyes_and_air():
    anatomy = build_anatomy(SETTINGS, plan(SETTINGS)[0])
    found = set(np.unique(anatomy.labels))
    wanted = {"AIR", "SKIN", "FAT", "MUSCLE", "BONE", "MARROW", "BLOOD", "VITREOUS"}
    assert {int(Tissue[name]) for name in wanted} <= found
    outer = anatomy.labels[[0, -1]]
    assert (outer == Tissue.AIR).mean() > 0.8


def test_subjects_differ():
    first, second = (build_anatomy(SETTINGS, plan(SETTINGS)[k]) for k in (0, 1))
    assert first.grid.shape == second.grid.shape
    a, b = first.brain_mask(), second.brain_mask()
    overlap = 2 * (a & b).sum() / (a.sum() + b.sum())
    assert overlap < 0.97


def test_streams_are_independent():
    draws = {
        float(roster.stream(SETTINGS, number, purpose).random())
        for number in range(5)
        for purpose in ("plan", "shape", "T1w", "FLAIR")
    }
    assert len(draws) == 20
