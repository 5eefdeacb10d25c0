"""Normalization of volumes: z-score and white stripe, their inverses, records and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from crossmod.config import PreprocessSettings
from crossmod.intensity import Normalizer, scored_by, to_scored
from crossmod.io import Image, read_image, write_image
from crossmod.paths import PreprocessedPaths
from crossmod.preprocess import Annotations, run
from crossmod.preprocess.field_of_view import depth_mm
from crossmod.preprocess.normalization import fit_normalization
from crossmod.preprocess.resampling import Grid
from crossmod.preprocess.white_stripe import white_stripe
from tests.unit.heads import TISSUES, make_head

OTHER = ("z-score", "white-stripe")


def head_values(modality="T1w", **options):
    """Intensities and depths of the brain of a head, its true mask given."""
    image, brain = make_head(modality, **options)
    return image.data[brain].astype(np.float64), depth_mm(brain, Grid.of(image))


def fit(kind, values, depth):
    return fit_normalization(values, lambda: depth, PreprocessSettings(intensity=kind))


def test_z_score_is_mean_and_deviation_of_the_brain():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = fit("z-score", values, None)
    sd = np.sqrt(2)
    assert found.measured == pytest.approx({"mean": 3.0, "sd": sd})
    assert found.normalizer.apply(values) == pytest.approx(((values - 3) / sd + 5) / 12, abs=1e-6)


@pytest.mark.parametrize("modality", TISSUES)
def test_stripe_lies_at_white_matter_in_every_modality(modality):
    values, depth = head_values(modality, noise=30.0)
    gray, white = TISSUES[modality][3:]
    found = white_stripe(values, depth)
    assert abs(found.center - white) < 0.1 * abs(white - gray)
    assert 0 < found.width < 30


def test_stripe_is_not_drawn_to_edema():
    """What lies deep alone, but is spread widely, is no peak; not even if cortex hides the true."""
    rng = np.random.default_rng(0)
    cortex, white = rng.normal(43, 6, 20_000), rng.normal(40, 3, 12_000)
    values = np.concatenate([cortex, white, rng.normal(110, 15, 8_000)])
    depth = np.repeat([2.0, 20.0], 20_000)
    assert white_stripe(values, depth).center == pytest.approx(40, abs=6)


@pytest.mark.parametrize("kind", ["percentiles", *OTHER])
def test_normalized_values_do_not_depend_on_gain_and_offset(kind):
    values, depth = head_values("T2w")
    first, second = fit(kind, values, depth), fit(kind, 0.3 * values - 50, depth)
    np.testing.assert_allclose(
        first.normalizer.apply(values), second.normalizer.apply(0.3 * values - 50), atol=2e-3
    )


@pytest.mark.parametrize("kind", OTHER)
def test_inverse_brings_back_what_was_not_clipped(kind):
    values, depth = head_values("FLAIR")
    found = fit(kind, values, depth)
    scaled = found.normalizer.apply(values)
    inner = (scaled > 0) & (scaled < 1)
    assert inner.mean() > 0.98
    back = found.normalizer.invert(scaled)[inner]
    np.testing.assert_allclose(back, values[inner], rtol=1e-4)


@pytest.mark.parametrize("kind", OTHER)
def test_record_holds_what_was_measured_and_the_scale_of_scores(kind):
    values, depth = head_values("T1w")
    found = fit(kind, values, depth)
    record = found.record()
    numbers = {"z-score": {"mean", "sd"}, "white-stripe": {"center", "width"}}[kind]
    assert set(record) == {"kind", "low", "high", "scored", *numbers}
    assert Normalizer.of(record) == found.normalizer
    assert scored_by(record) == Normalizer.fit(values, (0.5, 99.5))
    plain = fit("percentiles", values, depth).record()
    assert scored_by(plain) == Normalizer.of(plain)


def test_scale_of_scores_is_reached_from_any_normalization():
    record = {"low": -100.0, "high": 300.0, "scored": {"low": 0.0, "high": 200.0}}
    normalized = np.array([0.25, 0.5, 0.75, 0.1, 0.9])
    assert to_scored(normalized, record) == pytest.approx([0, 0.5, 1, 0, 1])
    assert to_scored(normalized, {"low": 0.0, "high": 1.0}) is normalized


def test_volumes_without_a_scale_have_none():
    depth = np.linspace(0, 30, 900)
    flat = np.full(900, 7.0)
    assert fit("z-score", flat, depth) is None
    assert fit("white-stripe", flat, depth) is None
    few_levels = np.where(depth > 10, 3.0, np.where(depth > 5, 2.0, 1.0))
    assert fit("white-stripe", few_levels, depth) is None
    assert fit("white-stripe", np.arange(400.0), depth[:400]) is None
    assert fit("z-score", few_levels, depth) is not None


def test_a_session_records_its_white_stripe_and_leaves_out_what_has_none(tmp_path):
    t1w, brain = make_head("T1w", skull=False)
    levels = np.select([t1w.data > 500, t1w.data > 0], [3, 2], 0).astype(np.float32)
    volumes = {"T1w": t1w, "T2w": Image(levels, t1w.affine)}
    scans = {name: tmp_path / f"{name}.nii.gz" for name in volumes}
    for name, path in scans.items():
        write_image(path, volumes[name])
    settings = PreprocessSettings(
        intensity="white-stripe", registration="none", bias_field="none", spacing_mm=None
    )
    paths = PreprocessedPaths(tmp_path / "out", "sub-01")
    status = run(paths, scans, Annotations(), settings)
    assert status.ok, status.reason
    record = status.details["normalizers"]["T1w"]
    assert record["kind"] == "white-stripe"
    assert record["center"] == pytest.approx(TISSUES["T1w"][4], rel=0.02)
    assert record["low"] == pytest.approx(record["center"] - 200 * record["width"])
    volume = read_image(status.path("T1w", paths.status)).data
    white = np.median(Normalizer.of(record).apply(volume[brain & (t1w.data > 520)]))
    assert white == pytest.approx(200 / 600, abs=0.02)
    assert list(status.details["normalizers"]) == ["T1w"]
    note = next(n for n in status.details["notes"] if n.startswith("T2w left out"))
    assert note.endswith(
        "shows no peak of white matter: the brain is small, or has few gray levels"
    )
