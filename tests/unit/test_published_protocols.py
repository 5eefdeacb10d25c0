"""Protocols of published studies: by hand, against scikit-image, and what they cannot see."""

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from crossmod.evaluation.protocol import PROTOCOLS
from crossmod.evaluation.truth import Truth
from crossmod.io import Image
from tests.unit.heads import ball, textured

SHAPE, SPACING = (40, 42, 30), 4.0
BRAIN = ball(SHAPE, 0.75)
LESION = ball((9, 9, 7), 0.9)
GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def truth_of(volume, *, lesion=False, target="FLAIR", low=0.0, high=1.0):
    """Truth whose box is the whole grid, scored in slices 6 to 23."""
    regions = {"brain": BRAIN}
    if lesion:
        regions["lesion"] = np.zeros_like(BRAIN)
        regions["lesion"][12:21, 20:29, 12:19] = LESION
    grid = Image(BRAIN, np.diag([SPACING] * 3 + [1.0]))
    whole = tuple(slice(0, length) for length in SHAPE)
    return Truth(
        target, volume * BRAIN, regions, whole, grid, low, high, np.arange(6, 24)
    )  # fmt: skip


def scores_of(protocol, truth, prediction):
    """Metric, or (region, metric) where there are several regions, to value."""
    scorer = PROTOCOLS[protocol][1]
    rows = scorer(truth, np.asarray(prediction) * BRAIN, protocol)
    assert {row.protocol for row in rows} <= {protocol}
    regions = {row.region for row in rows}
    return {(r.region, r.metric) if len(regions) > 1 else r.metric: r.value for r in rows}


@pytest.fixture
def images():
    truth = textured(SHAPE, seed=1, sigma=1.5)
    return truth, np.clip(0.7 * truth + 0.3 * textured(SHAPE, seed=2, sigma=1.5), 0, 1)


def framed(plane, shape=(64, 64)):
    """The slice inside a frame of 256 mm."""
    ends = [((w - n) // 2, w - n - (w - n) // 2) for n, w in zip(plane.shape, shape, strict=True)]
    return np.pad(plane, ends)


def test_resvit_divides_each_slice_by_its_own_maximum(images):
    volume, wrong = (v * BRAIN for v in images)
    found = scores_of("resvit-v1", truth_of(images[0]), images[1])
    pairs = [(framed(volume[..., z]), framed(wrong[..., z])) for z in range(6, 24)]
    scaled = [(a / a.max(), b / b.max()) for a, b in pairs]
    psnr = [peak_signal_noise_ratio(a, b, data_range=1) for a, b in scaled]
    ssim = [structural_similarity(a, b, data_range=1) for a, b in scaled]
    assert found == pytest.approx({"psnr": np.mean(psnr), "ssim": np.mean(ssim)}, abs=1e-9)


def test_syndiff_divides_each_slice_by_its_own_mean(images):
    volume, wrong = (v * BRAIN for v in images)
    found = scores_of("syndiff-v1", truth_of(images[0]), images[1])
    pairs = [(framed(volume[..., z]), framed(wrong[..., z])) for z in range(6, 24)]
    scaled = [(a / a.mean(), b / b.mean()) for a, b in pairs]
    psnr = [peak_signal_noise_ratio(a, b, data_range=a.max()) for a, b in scaled]
    assert found == pytest.approx({"psnr": np.mean(psnr)}, abs=1e-9)


def test_hinet_spreads_every_patch_by_its_own_extremes(images):
    found = scores_of("hinet-v1", truth_of(images[0]), images[1])
    results = []
    for volume in images:
        # 160 x 180 mm are 40 x 45 pixels, patches of 128 mm are 32: starts 0 and 8, 0 and 13.
        frame = np.pad((volume * BRAIN)[:, :, 6:24], [(0, 0), (1, 2), (0, 0)])
        total, count = np.zeros(frame.shape), np.zeros(frame.shape)
        for x in (0, 8):
            for y in (0, 13):
                part = frame[x : x + 32, y : y + 32]
                part = part - part.min(axis=(0, 1))
                total[x : x + 32, y : y + 32] += part / part.max(axis=(0, 1))
                count[x : x + 32, y : y + 32] += 1
        mean = total / count
        results.append((mean - mean.min()) / (mean.max() - mean.min()))
    first, second = results[0], np.where(results[0] == 0, 0, results[1])
    assert found == pytest.approx(
        {
            "psnr": peak_signal_noise_ratio(first, second, data_range=1),
            "ssim": structural_similarity(first, second, data_range=2),
            "nmse": np.sum((first - second) ** 2) / np.sum(first**2),
        },
        abs=1e-9,
    )


def test_brasyn_averages_over_the_whole_picture(images):
    found = scores_of("brasyn-v1", truth_of(images[0], lesion=True), images[1])
    voxels = round(240 * 240 * 155 / SPACING**3)
    lesion = truth_of(images[0], lesion=True).regions["lesion"]

    def scaled(volume):
        inside = volume[BRAIN]
        low, high = np.percentile(np.r_[inside, np.zeros(voxels - inside.size)], (0.5, 99.5))
        return np.clip((volume * BRAIN - low) / (high - low), 0, 1)

    for region, mask in {"lesion": lesion, "healthy": BRAIN & ~lesion}.items():
        first, second = (np.pad(np.where(mask, scaled(v), 0), 5) for v in images)
        _, similarity = structural_similarity(first, second, data_range=1, full=True, **GAUSSIAN)
        expected = 1 - (1 - similarity).sum() / voxels
        assert found[region, "ssim"] == pytest.approx(expected, abs=1e-9), region
    assert found["lesion", "ssim"] > 0.999 > found["healthy", "ssim"]
    assert scores_of("brasyn-v1", truth_of(images[0]), images[1]).keys() == {"ssim"}


def test_synthrad_is_in_hounsfield_units_and_of_ct_alone(images):
    volume, wrong = (v[BRAIN] for v in images)
    found = scores_of("synthrad-v1", truth_of(images[0], target="CT", low=-20, high=180), images[1])
    error = 200 * (volume - wrong)
    assert found["mae-hu"] == pytest.approx(np.abs(error).mean())
    assert found["psnr"] == pytest.approx(20 * math.log10(4024 / np.sqrt(np.mean(error**2))))
    # Air outside the brain, everything raised by 1024 HU: SSIM's constants hang on the height.
    raised = [np.where(BRAIN, 200 * v - 20 + 1024, 0) for v in images]
    _, similarity = structural_similarity(*raised, win_size=7, data_range=4024, full=True)
    assert found["ssim"] == pytest.approx(similarity[BRAIN].mean(), abs=1e-9)
    assert scores_of("synthrad-v1", truth_of(images[0]), images[1]) == {}


@pytest.mark.parametrize("protocol", ["resvit-v1", "syndiff-v1", "hinet-v1", "brasyn-v1"])
def test_a_wrong_scale_stays_unseen_where_the_prediction_scales_itself(images, protocol):
    truth = truth_of(images[0])
    right, darker = (scores_of(protocol, truth, k * images[1]) for k in (1, 0.9))
    assert darker == pytest.approx(right, rel=1e-6)
    seen = [scores_of("seed-v1", truth, k * images[1])["psnr"] for k in (1, 0.9)]
    assert seen[0] != pytest.approx(seen[1], abs=0.05)


@pytest.mark.parametrize("protocol", [p for p in PROTOCOLS if p.split("-")[0] != "brain"])
def test_an_empty_prediction_is_scored_and_an_empty_truth_is_not(images, protocol):
    truth = truth_of(images[0], target="CT")
    empty = scores_of(protocol, truth, np.zeros(SHAPE))
    assert empty
    assert all(math.isfinite(value) for value in empty.values())
    better = scores_of(protocol, truth, images[0])
    assert all(better[name] != empty[name] for name in empty)
    none = scores_of(protocol, truth_of(np.zeros(SHAPE)), images[1])
    assert protocol == "brasyn-v1" or all(math.isnan(value) for value in none.values())
