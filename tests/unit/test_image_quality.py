"""Measures of likeness against closed forms, scikit-image and known wrong definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from crossmod.evaluation import image_quality as iq
from crossmod.masks import bounding_box
from tests.unit.heads import ball, textured

QUICK = settings(max_examples=25, deadline=None)


@pytest.fixture(scope="module")
def head():
    """Truth, a prediction with errors, and the brain."""
    brain = ball((40, 44, 30))
    truth = textured(brain.shape) * brain
    wrong = np.clip(truth + np.random.default_rng(1).normal(0, 0.05, brain.shape), 0, 1) * brain
    return truth, wrong, brain


def test_closed_forms_by_hand():
    truth = np.array([[[0.2, 0.4, 0.4, 0.8]]])
    prediction = np.array([[[0.3, 0.2, 0.4, 0.0]]])
    mask = np.array([[[True, True, True, False]]])
    # Errors -0.1, 0.2, 0; squares sum to 0.05, energy is 0.04 + 0.16 + 0.16 = 0.36.
    assert iq.mae(truth, prediction, mask) == pytest.approx(0.1)
    assert iq.nrmse(truth, prediction, mask) == pytest.approx(math.sqrt(0.05 / 0.36))
    assert iq.psnr(truth, prediction, mask) == pytest.approx(10 * math.log10(3 / 0.05))


def test_an_error_of_a_tenth_is_20_db():
    truth = np.full((4, 4, 4), 0.6)
    mask = np.ones(truth.shape, dtype=bool)
    assert iq.psnr(truth, truth - 0.1, mask) == pytest.approx(20)


def test_a_scale_error_is_seen_by_every_measure():
    truth, mask = textured((20, 20, 20)), np.ones((20, 20, 20), dtype=bool)
    assert iq.nrmse(truth, 0.9 * truth, mask) == pytest.approx(0.1)
    assert iq.mae(truth, 0.9 * truth, mask) == pytest.approx(0.1 * truth.mean())
    assert iq.psnr(truth, 0.9 * truth, mask) < 30
    assert iq.ssim(truth, 0.9 * truth, mask) < 0.995
    assert iq.ms_ssim(truth, 0.9 * truth, mask, 1) < 0.995


def test_a_perfect_prediction_has_the_cap_as_psnr(head):
    truth, _, brain = head
    assert iq.psnr(truth, truth, brain) == iq.PSNR_CAP_DB
    assert iq.mae(truth, truth, brain) == iq.nrmse(truth, truth, brain) == 0
    assert iq.ssim(truth, truth, brain) == pytest.approx(1, abs=1e-12)
    assert iq.ms_ssim(truth, truth, brain, 2) == pytest.approx(1, abs=1e-12)
    perfect = iq.slice_scores(truth[..., 15], truth[..., 15], (64, 64))
    readings = dict.fromkeys(("ssim", "ssim-gauss", "ssim-global"), 1)
    assert perfect == pytest.approx({"psnr": 100, "nrmse": 0, **readings}, abs=1e-9)


def test_nothing_to_measure_is_nan():
    volume = np.zeros((8, 8, 8))
    none, all_of_it = np.zeros(volume.shape, dtype=bool), np.ones(volume.shape, dtype=bool)
    for measure in (iq.psnr, iq.mae, iq.nrmse, iq.ssim):
        assert math.isnan(measure(volume, volume, none))
    assert math.isnan(iq.ms_ssim(volume, volume, none, 1))
    assert math.isnan(iq.nrmse(volume, volume + 0.1, all_of_it))
    assert all(map(math.isnan, iq.slice_scores(volume[0], volume[0] + 0.1, (32, 32)).values()))
    thin = np.ones((8, 8, 3), dtype=bool)
    assert math.isnan(iq.ssim(volume[..., :3], volume[..., :3], thin))


def test_ssim_equals_scikit_image_on_the_whole_volume(head):
    truth, wrong, brain = head
    _, full = structural_similarity(truth, wrong, win_size=7, data_range=1.0, full=True)
    assert iq.ssim(truth, wrong, brain) == pytest.approx(full[brain].mean(), abs=1e-12)


def test_ssim_at_the_edge_of_the_volume_equals_scikit_image():
    truth = textured((16, 15, 14))
    wrong = textured(truth.shape, seed=3)
    _, full = structural_similarity(truth, wrong, win_size=7, data_range=1.0, full=True)
    for box in (np.s_[:4, :, 3:9], np.s_[14:, 13:, :2], np.s_[5:6, 7:8, 7:8]):
        mask = np.zeros(truth.shape, dtype=bool)
        mask[box] = True
        assert iq.ssim(truth, wrong, mask) == pytest.approx(full[mask].mean(), abs=1e-12)


def test_ssim_of_two_constants_is_the_luminance_term():
    a, b = np.full((9, 9, 9), 0.5), np.full((9, 9, 9), 0.25)
    mask = np.ones(a.shape, dtype=bool)
    expected = (2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4)
    assert iq.ssim(a, b, mask) == pytest.approx(expected)


def test_ms_ssim_with_one_scale_is_scikit_images_gaussian_ssim(head):
    truth, wrong, brain = head
    expected = total = 0.0
    for z in range(brain.shape[2]):
        padded = [np.pad(v[..., z], 8) for v in (truth, wrong, brain)]
        _, full = structural_similarity(
            *padded[:2], gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            data_range=1.0, full=True,
        )  # fmt: skip
        inside = padded[2].astype(bool)
        expected, total = expected + full[inside].sum(), total + inside.sum()
    assert iq.ms_ssim(truth, wrong, brain, 1) == pytest.approx(expected / total, abs=1e-6)


def test_ms_ssim_is_the_weighted_product_of_its_scales():
    """Two scales of one slice, computed with other functions."""
    truth, wrong = textured((32, 32)), textured((32, 32), seed=5)
    mask = np.ones((32, 32, 1), dtype=bool)

    def parts(a, b):
        smooth = lambda v: gaussian_filter(v, 1.5, mode="constant", radius=5)  # noqa: E731
        m, n = smooth(a), smooth(b)
        covariance = smooth(a * b) - m * n
        variances = smooth(a * a) - m * m + smooth(b * b) - n * n
        contrast = (2 * covariance + 9e-4) / (variances + 9e-4)
        return (2 * m * n + 1e-4) / (m * m + n * n + 1e-4), contrast

    fine = parts(truth, wrong)[1].mean()
    halves = [v.reshape(16, 2, 16, 2).mean(axis=(1, 3)) for v in (truth, wrong)]
    luminance, contrast = parts(*halves)
    weight = 0.0448 / (0.0448 + 0.2856)
    expected = fine**weight * (luminance * contrast).mean() ** (1 - weight)
    found = iq.ms_ssim(truth[..., None], wrong[..., None], mask, 2)
    assert found == pytest.approx(expected, rel=1e-6)


def test_ms_ssim_ignores_what_lies_outside_the_mask(head):
    truth, wrong, brain = head
    dirty = wrong + np.where(brain, 0, 0.7)
    assert iq.ms_ssim(truth, dirty, brain, 2) == iq.ms_ssim(truth, wrong, brain, 2)


def test_ms_ssim_does_not_depend_on_the_background(head):
    truth, wrong, brain = head
    ends = [(3, 5), (7, 2), (1, 4)]
    padded = [np.pad(v, ends) for v in (truth, wrong, brain)]
    expected = iq.ms_ssim(truth, wrong, brain, 3)
    assert iq.ms_ssim(*padded, 3) == pytest.approx(expected, abs=1e-12)


def test_opposite_structure_is_zero_not_complex():
    truth = textured((24, 24, 2))
    value = iq.ms_ssim(truth, 1 - truth, np.ones(truth.shape, dtype=bool), 2)
    assert value == 0


@pytest.mark.parametrize(
    "side, scales",
    [(5, 1), (21, 1), (22, 2), (44, 3), (87, 3), (88, 4), (175, 4), (176, 5), (999, 5)],
)
def test_number_of_scales(side, scales):
    assert iq.ms_ssim_scales(side) == scales
    assert scales == 1 or side >= 11 * 2 ** (scales - 1)


def test_slice_scores_equal_the_whole_padded_slice(head):
    truth, wrong, _ = head
    a, b = 0.6 * truth[..., 12], 0.6 * wrong[..., 12]
    frame = (64, 80)
    before = [(10, 64 - 10 - a.shape[0]), (20, 80 - 20 - a.shape[1])]
    whole_a, whole_b = np.pad(a, before), np.pad(b, before)
    peak = whole_a.max()
    found = iq.slice_scores(a, b, frame)
    error = np.mean((whole_a - whole_b) ** 2)
    assert found["psnr"] == pytest.approx(10 * np.log10(peak**2 / error))
    expected = structural_similarity(whole_a, whole_b, win_size=7, data_range=peak)
    assert found["ssim"] == pytest.approx(expected, abs=1e-12)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(whole_a, whole_b, data_range=peak, **gaussian)
    assert found["ssim-gauss"] == pytest.approx(expected, abs=1e-12)
    (va, c), (_, vb) = np.cov(whole_a.ravel(), whole_b.ravel(), ddof=0)
    ma, mb, c1, c2 = whole_a.mean(), whole_b.mean(), (0.01 * peak) ** 2, (0.03 * peak) ** 2
    expected = (2 * ma * mb + c1) * (2 * c + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    assert found["ssim-global"] == pytest.approx(expected, abs=1e-12)
    assert found["nrmse"] == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(a))


def test_a_constant_brain_looks_good_on_whole_slices_and_bad_inside_the_mask():
    """The reason for masked scores: background is counted as success."""
    brain = ball((64, 64, 48), 0.7)
    truth = textured(brain.shape, seed=7, sigma=0.7) * brain
    constant = np.where(brain, truth[brain].mean(), 0)
    whole = iq.slice_scores(truth[..., 24], constant[..., 24], (128, 128))
    assert whole["ssim"] > 0.9
    assert iq.ssim(truth, constant, brain) < 0.5
    assert whole["psnr"] > iq.psnr(truth, constant, brain) + 6


def test_boxes_reach_their_least_length_inside_the_volume():
    mask = np.zeros((20, 6, 12), dtype=bool)
    mask[0, 5, 7:9] = True
    assert bounding_box(mask) == np.s_[0:1, 5:6, 7:9]
    assert bounding_box(mask, margin=2, least=7) == np.s_[0:7, 0:6, 5:12]


@QUICK
@given(seed=st.integers(0, 10_000), shift=st.tuples(*[st.integers(0, 5)] * 3))
def test_masked_scores_do_not_depend_on_the_empty_background(seed, shift):
    truth, wrong = textured((12, 13, 11), seed), textured((12, 13, 11), seed + 1)
    mask = ball(truth.shape, 0.9)
    truth, wrong = truth * mask, wrong * mask
    ends = [(3 + s, 8 - s) for s in shift]
    inner = [np.pad(v, 3) for v in (truth, wrong, mask)]
    moved = [np.pad(v, ends) for v in (truth, wrong, mask)]
    for measure in (iq.psnr, iq.mae, iq.nrmse, iq.ssim):
        assert measure(*moved) == pytest.approx(measure(*inner), rel=1e-9)


@QUICK
@given(seed=st.integers(0, 10_000), small=st.floats(0.01, 0.45), more=st.floats(1.1, 2.0))
def test_more_of_the_same_error_never_scores_better(seed, small, more):
    truth = textured((14, 15, 12), seed)
    mask = ball(truth.shape, 0.9)
    error = np.random.default_rng(seed).normal(0, 0.1, truth.shape)
    near, far = truth + small * error, truth + small * more * error
    assert iq.psnr(truth, near, mask) > iq.psnr(truth, far, mask)
    assert iq.ssim(truth, near, mask) > iq.ssim(truth, far, mask)
    assert iq.ms_ssim(truth, near, mask, 1) > iq.ms_ssim(truth, far, mask, 1)
    for measure in (iq.mae, iq.nrmse):
        assert measure(truth, near, mask) < measure(truth, far, mask)


@QUICK
@given(seed=st.integers(0, 10_000))
def test_likeness_is_symmetric_where_it_should_be_and_bounded(seed):
    one, two = textured((12, 12, 12), seed), textured((12, 12, 12), seed + 1)
    mask = ball(one.shape, 1.0)
    for measure in (iq.psnr, iq.mae, iq.ssim):
        assert measure(one, two, mask) == pytest.approx(measure(two, one, mask))
    assert -1 <= iq.ssim(one, two, mask) <= 1
    assert 0 <= iq.ms_ssim(one, two, mask, 2) <= 1
