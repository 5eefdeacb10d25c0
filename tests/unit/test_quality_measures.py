"""Measures of image quality against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from crossmod.io import Image
from crossmod.preprocess import quality_measures as measures
from crossmod.preprocess.raw_look import look_at_raw
from crossmod.preprocess.tissues import Parenchyma
from tests.unit.heads import ball, make_head

RANDOM = np.random.default_rng(0)
SHAPE = (40, 42, 38)


def test_noise_is_found_under_anatomy_of_any_slope():
    x = np.arange(SHAPE[0])[:, None, None]
    scan = 500 + 4.0 * x + RANDOM.normal(0, 3, SHAPE)
    region = np.ones((20, 21, 38), dtype=bool)
    assert measures.noise_sd(scan, region) == pytest.approx(3, rel=0.03)
    assert measures.noise_sd(10 * scan - 7, region) == pytest.approx(30, rel=0.03)
    assert measures.noise_sd(np.broadcast_to(500 + 4.0 * x, SHAPE), region) == 0


def test_noise_is_looked_for_in_the_region_alone():
    scan = RANDOM.normal(0, 1, SHAPE)
    scan[20:] *= 9
    region = np.zeros((20, 21, 38), dtype=bool)
    region[10:] = True
    assert measures.noise_sd(scan, region) == pytest.approx(9, rel=0.05)
    assert measures.noise_sd(scan, np.zeros_like(region)) is None


def test_air_of_a_magnitude_image_tells_the_noise():
    real, imaginary = RANDOM.normal(0, 5, (2, 20_000))
    assert measures.air_noise_sd(np.hypot(real, imaginary)) == pytest.approx(5, rel=0.03)


@pytest.mark.parametrize(
    "air", [np.zeros(1000), np.full(1000, 7.0), RANDOM.normal(100, 5, 1000), np.ones(5)]
)
def test_air_that_is_no_noise_tells_nothing(air):
    assert measures.air_noise_sd(air) is None


def test_residual_bias_is_the_spread_of_the_field():
    places = np.argwhere(np.ones((30, 30, 30)))
    x = (places[:, 0] - 14.5) / 15
    tissue = 400 * np.exp(0.2 * x)
    # The standard deviation of an even distribution from -a to a is a / sqrt(3).
    assert measures.residual_bias_percent(tissue, places) == pytest.approx(20 / 3**0.5, rel=0.02)
    assert measures.residual_bias_percent(np.full(len(x), 400.0), places) == pytest.approx(0)
    noisy = 400 + RANDOM.normal(0, 40, len(x))
    assert measures.residual_bias_percent(noisy, places) < 1


def test_residual_bias_does_not_see_other_tissue_or_the_unit_of_length():
    places = np.argwhere(np.ones((30, 30, 30)))
    tissue = 400 * np.exp(0.2 * (places[:, 0] - 14.5) / 15) + RANDOM.normal(0, 8, len(places))
    mixed = np.where((RANDOM.random(len(places)) < 0.1) & (places[:, 1] > 20), 200, tissue)
    alone, among = (measures.residual_bias_percent(v, places) for v in (tissue, mixed))
    assert among == pytest.approx(alone, rel=0.1)
    assert measures.residual_bias_percent(tissue, 0.1 * places) == pytest.approx(alone)
    assert measures.residual_bias_percent(tissue[:50], places[:50]) is None
    assert measures.residual_bias_percent(-tissue, places) is None


def test_contrast_to_noise_is_free_of_sign_and_scale():
    assert measures.contrast_to_noise(Parenchyma(100, 160, 20, 20, 0.9)) == pytest.approx(3)
    assert measures.contrast_to_noise(Parenchyma(-1600, -1000, 200, 200, 0.9)) == pytest.approx(3)


def test_edge_contrast_is_low_where_the_outline_runs_through_tissue():
    brain = ball(SHAPE, 0.7)
    values = RANDOM.uniform(100, 200, SHAPE)
    # Median 150 inside, 0 outside, and 90 between the percentiles.
    found = measures.edge_contrast(np.where(brain, values, 0), brain)
    assert found == pytest.approx(150 / 90, rel=0.03)
    assert measures.edge_contrast(values, brain) < 0.05
    assert measures.edge_contrast(np.ones(SHAPE), brain) is None
    assert measures.edge_contrast(values, np.zeros(SHAPE, dtype=bool)) is None


def test_edges_of_two_contrasts_lie_on_one_another_until_one_is_moved():
    region = ball(SHAPE)
    scan = gaussian_filter(RANDOM.normal(size=SHAPE), 2.5)
    assert measures.edge_overlap(scan, scan, region) == 1
    assert measures.edge_overlap(scan, 7 - 30 * scan, region) > 0.99
    near, far = (
        measures.edge_overlap(scan, np.roll(scan, step, axis=0), region) for step in (2, 6)
    )
    assert 0.9 > near > far
    assert measures.edge_overlap(scan, scan, np.zeros(SHAPE, dtype=bool)) is None


def test_clipped_values_are_those_at_the_greatest():
    assert measures.clipped_percent(np.array([1, 2, 3, 3])) == 50


def test_histogram_counts_every_value():
    values = RANDOM.normal(100, 10, 5000)
    found = measures.histogram(values)
    assert sum(found["counts"]) == 5000
    assert len(found["counts"]) == measures.BINS
    assert found["low"] == values.min()
    assert found["high"] == pytest.approx(np.percentile(values, 99.9))
    assert sum(measures.histogram(np.full(9, 4.0))["counts"]) == 9


def test_a_raw_scan_is_looked_at_before_anything_is_done_to_it():
    head, _ = make_head("T1w", (3, 3, 3), noise=8.0)
    look = look_at_raw(head)
    assert look.air_sd == pytest.approx(8, rel=0.05)
    assert look.clipped_percent < 0.05
    assert look.levels > 1000
    bright = Image(np.minimum(head.data, 600), head.affine)
    assert look_at_raw(bright).clipped_percent > 10
    masked = Image(np.where(head.data > 60, head.data, 0), head.affine)
    assert look_at_raw(masked).air_sd is None
