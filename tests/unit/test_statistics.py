"""Intervals, paired tests and Holm's procedure."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crossmod.evaluation.statistics import compare, holm, mean_interval


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, none below one before it.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9, 0.001]) == pytest.approx([1.0, 1.0, 0.003])


def test_holm_counts_only_tests_that_were_made():
    found = holm([0.02, math.nan, 0.04])
    assert found[[0, 2]] == pytest.approx([0.04, 0.04])
    assert math.isnan(found[1])
    assert holm([]).size == 0
    assert np.isnan(holm([math.nan])).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_the_raw_values_and_bonferroni(values):
    raw, adjusted = np.array(values), holm(values)
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(raw * len(raw), 1) + 1e-12).all()
    order = np.argsort(raw, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


def test_p_values_are_those_of_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.4, 1, 12), rng.normal(0, 1, 12)
    found = compare(first, second, 500, 0)
    assert found.t_p == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(first, second).pvalue)
    difference = first - second
    assert found.difference == pytest.approx(difference.mean())
    assert found.effect_size == pytest.approx(difference.mean() / difference.std(ddof=1))
    assert found.ci_low < found.difference < found.ci_high


def test_the_smallest_wilcoxon_p_of_six_pairs():
    found = compare([1, 2, 3, 4, 5, 6], [0] * 6, 100, 0)
    assert found.wilcoxon_p == pytest.approx(2 / 2**6)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_no_test_below_six_pairs_and_no_interval_below_three(count):
    values = np.arange(1.0, count + 1)
    found = compare(values, np.zeros(count), 100, 0)
    assert found.subjects == count
    assert found.difference == values.mean()
    assert math.isnan(found.t_p) == math.isnan(found.wilcoxon_p) == (count < 6)
    assert math.isnan(found.ci_low) == math.isnan(found.effect_size) == (count < 3)


def test_pairs_with_an_undefined_value_are_left_out():
    first = np.array([1.0, 2, math.nan, 4, 5, 6, 7])
    second = np.array([0.0, 0, 0, math.nan, 0, 0, 0])
    found = compare(first, second, 100, 0)
    assert found.subjects == 5
    assert found.difference == pytest.approx((1 + 2 + 5 + 6 + 7) / 5)
    assert math.isnan(found.t_p)
    assert compare([math.nan], [1.0], 100, 0).subjects == 0


def test_no_difference_at_all_is_no_evidence():
    values = np.arange(8.0)
    found = compare(values, values, 100, 0)
    assert (found.t_p, found.wilcoxon_p, found.difference) == (1, 1, 0)
    assert math.isnan(found.effect_size)


def test_the_interval_depends_on_values_and_seed_alone():
    values = np.random.default_rng(3).normal(size=9)
    assert mean_interval(values, 300, 1) == mean_interval(values, 300, 1)
    assert mean_interval(values, 300, 1) != mean_interval(values, 300, 2)
    low, high = mean_interval(values, 300, 1)
    shifted = mean_interval(values + 10, 300, 1)
    assert shifted == pytest.approx((low + 10, high + 10))
    assert all(map(math.isnan, mean_interval([1.0, 2.0], 300, 1)))


def test_the_interval_of_many_subjects_is_the_textbook_one():
    values = np.random.default_rng(4).normal(20, 2, 400)
    low, high = mean_interval(values, 2000, 0)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.05)
    assert high == pytest.approx(values.mean() + half, abs=0.05)


@pytest.mark.parametrize("count, least, most", [(6, 0.80, 0.92), (30, 0.91, 0.97)])
def test_how_often_the_interval_holds_the_true_mean(count, least, most):
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        low, high = mean_interval(rng.normal(1, 1, count), 400, 0)
        held += low <= 1 <= high
    assert least <= held / 400 <= most
