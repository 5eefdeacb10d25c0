"""Statistics over subjects: intervals, paired tests, adjustment for many comparisons."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Below these numbers of subjects an interval or a test says more than the data do.
LEAST_FOR_INTERVAL = 3
LEAST_FOR_TEST = 6
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """Paired comparison of two models on the same subjects; NaN where too few of them.

    Attributes
    ----------
    subjects : int
        Pairs.
    difference : float
        Mean difference, first minus second.
    ci_low, ci_high : float
        Bootstrap 95 % interval of the mean difference.
    t_p, wilcoxon_p : float
        Two-sided p values of the paired t test and of the Wilcoxon signed-rank test.
    effect_size : float
        Mean difference over the standard deviation of the differences (Cohen's d_z).
    """

    subjects: int
    difference: float
    ci_low: float
    ci_high: float
    t_p: float
    wilcoxon_p: float
    effect_size: float


def mean_interval(
    values: NDArray[np.float64] | Sequence[float], samples: int, seed: int
) -> tuple[float, float]:
    """Percentile bootstrap 95 % interval of a mean.

    Parameters
    ----------
    values : array, shape (n,)
        One value per subject.
    samples : int
        Bootstrap samples.
    seed : int
        The resampled subjects depend on `seed`, `samples` and n alone, so that a table cell does
        not depend on what else is in the table.

    Returns
    -------
    (float, float)
        NaN below `LEAST_FOR_INTERVAL` subjects.

    Notes
    -----
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. With few subjects
    the interval is too narrow: at 6, 95 % nominal cover about 86 %.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < LEAST_FOR_INTERVAL:
        return math.nan, math.nan
    means = values[_resamples(len(values), samples, seed)].mean(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


@lru_cache(maxsize=16)
def _resamples(count: int, samples: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, count]).integers(0, count, (samples, count))


def compare(
    first: NDArray[np.float64] | Sequence[float],
    second: NDArray[np.float64] | Sequence[float],
    samples: int,
    seed: int,
) -> Comparison:
    """Compare two models subject by subject.

    Parameters
    ----------
    first, second : array, shape (n,)
        One value per subject, in the same order; pairs with a NaN are left out.
    samples, seed : int
        As for `mean_interval`.

    Notes
    -----
    p values are given from `LEAST_FOR_TEST` pairs on. If no pair differs, both are 1. Wilcoxon's
    test leaves out pairs that do not differ and is exact for small n without ties.
    """
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    differences = differences[np.isfinite(differences)]
    count = len(differences)
    if count == 0:
        return Comparison(0, *[math.nan] * 6)
    mean = float(differences.mean())
    low, high = mean_interval(differences, samples, seed)
    t_p, wilcoxon_p = _p_values(differences)
    spread = float(differences.std(ddof=1)) if count >= LEAST_FOR_INTERVAL else 0.0
    effect = mean / spread if spread > 0 else math.nan
    return Comparison(count, mean, low, high, t_p, wilcoxon_p, effect)


def _p_values(differences: NDArray[np.float64]) -> tuple[float, float]:
    if len(differences) < LEAST_FOR_TEST:
        return math.nan, math.nan
    if not differences.any():
        return 1.0, 1.0
    from scipy.stats import ttest_1samp, wilcoxon

    with warnings.catch_warnings():
        # Equal differences have no spread; ties fall back on the normal approximation.
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        t_p = float(ttest_1samp(differences, 0.0).pvalue)
        wilcoxon_p = float(wilcoxon(differences).pvalue)
    return t_p, wilcoxon_p


def least_wilcoxon_p(pairs: int) -> float:
    """Least two-sided p of the Wilcoxon signed-rank test: all differences of one sign.

    Parameters
    ----------
    pairs : int
        Pairs that differ, 1 or more.
    """
    return float(2.0 ** (1 - pairs))


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p values for their number by Holm's step-down procedure.

    Parameters
    ----------
    p_values : sequence of float, shape (n,)
        One family; NaN belongs to no test and stays NaN.

    Returns
    -------
    array, shape (n,)
        At most 1, in the same order as `p_values`.

    Notes
    -----
    Holm, Scand. J. Statist. 6, 1979: the k-th smallest of m is multiplied by m - k + 1, and none
    is smaller than one before it.
    """
    values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(values.shape, math.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return adjusted
