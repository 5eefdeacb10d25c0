"""Bias field, registration and the whole stage on synthetic heads."""

from __future__ import annotations

import numpy as np
import pytest

from crossmod.config import PreprocessSettings
from crossmod.files import read_json
from crossmod.hashing import hash_file
from crossmod.io import Image, read_image, write_image
from crossmod.paths import PreprocessedPaths
from crossmod.preprocess import Annotations, run
from crossmod.preprocess.ants_bridge import read_transform
from crossmod.preprocess.brain_extraction import BACKENDS
from crossmod.preprocess.raw_look import look_at_raw, remarks
from crossmod.preprocess.registration import MOST_PEAK_SHARE, Similarity, peak_share, register
from crossmod.preprocess.transforms import about, apply, rotation
from crossmod.report.quality.measures import OF_SCAN, OF_SESSION
from crossmod.status import read_status
from tests.unit.heads import dice, make_head

POSE = about(np.zeros(3), rotation((0.15, -0.05, 0.1)), np.array([5.0, -8.0, 6.0]))
SETTINGS = PreprocessSettings(spacing_mm=3.0)

CYSTS = (
    ((12, 12, 12), (35, -40, 20)), ((10, 14, 10), (-40, 10, 30)),
    ((12, 10, 12), (20, 45, -25)), ((9, 12, 9), (-30, 30, -35)),
)  # fmt: skip


def save(folder, **images):
    paths = {}
    for modality, image in images.items():
        paths[modality] = folder / f"sub-01_{modality}.nii.gz"
        write_image(paths[modality], image)
    return paths


def displacement(found, truth):
    points = np.random.default_rng(0).uniform(-60, 60, (200, 3))
    return np.linalg.norm(apply(found, points) - apply(truth, points), axis=1).mean()


def test_mutual_information_of_an_image_with_itself_is_greatest():
    image, brain = make_head(spacing=(4, 4, 4))
    assert Similarity(image, image, brain)(np.eye(4)) > 1.5
    other, _ = make_head("T2w", (4, 4, 4), seed=1)
    similarity = Similarity(image, other, brain)
    assert similarity(np.eye(4)) > similarity(POSE) > 1
    far = np.eye(4)
    far[0, 3] = 1000
    assert similarity(far) == 1


def test_mutual_information_has_its_peak_where_two_scans_lie_on_one_another():
    image, brain = make_head(spacing=(4, 4, 4))
    other, _ = make_head("T2w", (4, 4, 4), seed=1)
    similarity = Similarity(image, other, brain)
    assert peak_share(similarity, np.eye(4)) < MOST_PEAK_SHARE
    for shift in (4.0, 8.0, 16.0):
        aside = np.eye(4)
        aside[1, 3] = shift
        assert peak_share(similarity, aside) > MOST_PEAK_SHARE


def test_registration_recovers_the_pose_of_thick_slices():
    fixed, brain = make_head("T1w", (3, 3, 3), cysts=CYSTS)
    moving, _ = make_head("T2w", (2, 2, 5), POSE, seed=1, cysts=CYSTS)
    found = register(fixed, moving, fixed.with_data(brain))
    assert displacement(found, POSE) < 1.0
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-6)


def test_registration_leaves_aligned_scans_alone():
    fixed, brain = make_head("T1w")
    moving, _ = make_head("T2w", seed=1)
    np.testing.assert_array_equal(register(fixed, moving, fixed.with_data(brain)), np.eye(4))


def test_bias_field_is_removed_and_scale_kept():
    from crossmod.preprocess.bias_field import correct_bias_field

    image, brain = make_head("T1w")
    x = np.linspace(-1, 1, image.data.shape[0])[:, None, None]
    shaded = image.with_data((image.data * np.exp(0.3 * x)).astype(np.float32))
    corrected = correct_bias_field(shaded)
    tissue = brain & (np.abs(image.data - 620) < 40)
    before = np.std(np.log(shaded.data[tissue] / image.data[tissue]))
    after = np.std(np.log(corrected.data[tissue] / image.data[tissue]))
    assert after < 0.4 * before
    assert np.median(corrected.data[tissue]) == pytest.approx(620, rel=0.1)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A session of three scans, one of them cut, one unreadable, preprocessed."""
    root = tmp_path_factory.mktemp("session")
    t1w, brain = make_head("T1w", (3, 3, 3))
    flair, _ = make_head("FLAIR", (2.5, 2.5, 5), POSE, seed=2)
    scans = save(root, T1w=t1w, FLAIR=Image(flair.data[..., :26], flair.affine))
    scans["T2w"] = root / "sub-01_T2w.nii.gz"
    scans["T2w"].write_bytes(b"not an image")
    lesion = np.zeros(t1w.data.shape, dtype=np.int16)
    lesion[36:40, 36:40, 36:40] = 3
    write_image(root / "sub-01_dseg.nii.gz", Image(lesion, t1w.affine))
    annotations = Annotations(lesions=(root / "sub-01_dseg.nii.gz",))
    paths = PreprocessedPaths(root / "out", "sub-01")
    stale = paths.volume("PET", "T1w")
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"old")
    status = run(paths, scans, annotations, SETTINGS)
    assert not stale.exists()
    return paths, scans, annotations, status, brain


def test_session_status_tells_what_was_made(session):
    paths, scans, _, status, _ = session
    assert status.ok, status.reason
    assert read_status(paths.status) == status
    assert list(status.outputs) == [
        "T1w", "fov-FLAIR", "FLAIR", "brain", "lesion", "xfm-FLAIR",
        "quality", "figure", "picture-T1w", "picture-FLAIR",
    ]  # fmt: skip
    details = status.details
    assert (details["space"], details["reference"]) == ("T1w", "T1w")
    assert details["raw"]["T1w"]["sha256"] == hash_file(scans["T1w"])
    assert details["raw"]["FLAIR"]["shape"] == list(read_image(scans["FLAIR"]).data.shape)
    assert set(details["normalizers"]) == set(details["affines"]) == {"T1w", "FLAIR"}
    assert any("T2w left out" in note for note in details["notes"])
    checks = details["checks"]
    assert checks["nmi_after-FLAIR"] > checks["nmi_before-FLAIR"]
    assert (paths.root / "dataset_description.json").is_file()


def test_session_volumes_are_aligned_and_zero_outside_the_brain(session):
    paths, _, _, status, brain = session
    mask = read_image(status.path("brain", paths.status)).data > 0
    assert dice(mask, brain) > 0.92
    for modality in ("T1w", "FLAIR"):
        volume = read_image(status.path(modality, paths.status))
        assert not volume.data[~mask].any()
        assert volume.data[mask].std() > 0
    cover = read_image(status.path("fov-FLAIR", paths.status)).data > 0
    assert not (cover & ~mask).any()
    assert 0.3 < cover.sum() / mask.sum() < 0.999
    affine = np.array(status.details["affines"]["FLAIR"])
    assert displacement(affine, POSE) < 1.5
    np.testing.assert_array_equal(read_transform(status.path("xfm-FLAIR", paths.status)), affine)
    flair = read_image(status.path("FLAIR", paths.status)).data[cover]
    bounds = status.details["normalizers"]["FLAIR"]
    assert np.mean(flair < bounds["low"]) == pytest.approx(0.005, abs=0.002)
    assert np.mean(flair > bounds["high"]) == pytest.approx(0.005, abs=0.002)
    lesion = read_image(status.path("lesion", paths.status))
    assert lesion.data.sum() * 27 == pytest.approx(4**3 * 27)


def test_same_scans_give_the_same_bytes(session, tmp_path):
    _, scans, annotations, status, _ = session
    again = run(PreprocessedPaths(tmp_path, "sub-01"), scans, annotations, SETTINGS)
    assert again == status
    assert len(again.outputs) == 10


def test_quality_picture_is_small(session):
    paths, *_ = session
    assert 10_000 < paths.figure.stat().st_size < 200_000


def test_measures_are_those_that_the_pages_know(session):
    paths, _, _, status, _ = session
    found = read_json(status.path("quality", paths.status))
    known = {measure.id for measure in OF_SCAN}
    assert set(found["session"]) == {measure.id for measure in OF_SESSION}
    assert set(found["scans"]) == set(found["histograms"]) == {"T1w", "FLAIR"}
    assert {name for scan in found["scans"].values() for name in scan} == known
    flair = found["scans"]["FLAIR"]
    assert 30 < flair["coverage_percent"] < 99.9
    assert flair["nmi_after"] == pytest.approx(status.details["checks"]["nmi_after-FLAIR"], 1e-4)
    # Ellipsoids of tissue with Rician noise of 8: gray matter of 420 over it is the least SNR.
    assert 0.8 * 420 / 8 < found["scans"]["T1w"]["snr"] < 1.2 * 620 / 8
    assert found["scans"]["T1w"]["snr_air"] == pytest.approx(found["scans"]["T1w"]["snr"], rel=0.2)
    counts = found["histograms"]["T1w"]["brain"]["counts"]
    mask = read_image(status.path("brain", paths.status)).data > 0
    assert sum(counts) == mask.sum()


def test_gray_levels_are_counted_beside_the_background():
    def look(values, *, edge=None):
        padded = values if edge is None else np.pad(values, 4, constant_values=edge)
        return look_at_raw(Image(padded, np.eye(4)))

    levels = np.arange(1.0, 65).reshape(4, 4, 4)
    assert look(levels, edge=0).levels == 64
    assert look(levels, edge=-9).levels == 64
    assert look(levels).levels == 64  # noise around the head is no background
    (found,) = remarks("T1w", look(levels, edge=0))
    assert found == "T1w has only 64 gray levels: contrast is coarse"
    one_more = np.append(levels, np.full((1, 4, 4), 65.0), axis=0)
    assert remarks("T1w", look(one_more, edge=0)) == []


def test_a_coarse_scan_is_used_and_remarked_on(tmp_path):
    head, brain = make_head("T1w", (5, 5, 5), skull=False)
    step = (head.data.max() - 1) / 40
    coarse = head.with_data(np.where(brain, 1 + step * (head.data // step), 0).astype(np.float32))
    scans = save(tmp_path, T1w=head, FLAIR=coarse)
    settings = PreprocessSettings(spacing_mm=None, bias_field="none", registration="none")
    status = run(PreprocessedPaths(tmp_path / "out", "sub-01"), scans, Annotations(), settings)
    assert {"T1w", "FLAIR"} <= set(status.outputs)
    levels = np.unique(coarse.data[brain]).size
    assert levels < 45
    found = f"FLAIR has only {levels} gray levels: contrast is coarse"
    first, *others = status.details["notes"]
    assert first == found
    # The coarse copy is one of the T1w scan.
    assert any("T1w and FLAIR are copies of one another" in note for note in others)


def test_a_scan_that_cannot_be_registered_is_left_out(tmp_path):
    head, _ = make_head("T1w", (5, 5, 5), skull=False)
    noise = np.random.default_rng(0).rayleigh(100, head.data.shape).astype(np.float32)
    scans = save(tmp_path, T1w=head, T2w=head.with_data(noise))
    settings = PreprocessSettings(spacing_mm=None, bias_field="none")
    status = run(PreprocessedPaths(tmp_path / "out", "sub-01"), scans, Annotations(), settings)
    assert status.ok
    assert "T2w" not in status.outputs
    assert "T2w" not in status.details["normalizers"]
    assert status.details["checks"]["peak_share-T2w"] > MOST_PEAK_SHARE
    reason = "T2w left out: sub-01_T2w.nii.gz cannot be registered to T1w"
    assert reason in status.details["notes"]


def test_most_scans_decide_what_is_brain(tmp_path, monkeypatch):
    heads = {m: make_head(m, (4, 4, 4), seed=k) for k, m in enumerate(("T1w", "T2w", "FLAIR"))}
    brain = heads["T1w"][1]
    leak = brain.copy()
    leak[15:30, 20:35, 40:] = True

    def surface(head):
        leaks = head.path.name == "sub-01_T1w.nii.gz"
        return head.image.with_data(leak if leaks else brain)

    monkeypatch.setitem(BACKENDS, "surface", surface)
    scans = save(tmp_path, **{m: head for m, (head, _) in heads.items()})
    for consensus, expected in ((True, brain), (False, leak)):
        settings = PreprocessSettings(
            spacing_mm=None, bias_field="none", registration="none", brain_consensus=consensus
        )
        status = run(PreprocessedPaths(tmp_path / "out", "sub-01"), scans, Annotations(), settings)
        assert status.ok, status.reason
        written = read_image(status.path("brain", tmp_path / "out" / "x")).data > 0
        np.testing.assert_array_equal(written, expected)
        checks = status.details["checks"]
        assert ("brain_agreement-T1w" in checks) == consensus


def test_a_trusted_scan_that_lies_elsewhere_is_remarked_on(tmp_path):
    head, _ = make_head("T1w", (4, 4, 4), skull=False)
    other, _ = make_head("T2w", (4, 4, 4), POSE, skull=False)
    scans = save(tmp_path, T1w=head, T2w=other)
    settings = PreprocessSettings(spacing_mm=None, bias_field="none", registration="auto")
    status = run(PreprocessedPaths(tmp_path / "out", "sub-01"), scans, Annotations(), settings)
    assert "T2w" in status.outputs
    remark = "T2w may not lie on T1w; set preprocess.registration to rigid"
    assert remark in status.details["notes"]


def test_bad_reference_fails_with_one_line_and_leaves_no_volumes(tmp_path):
    noise = np.random.default_rng(0).rayleigh(10, (40, 40, 40)).astype(np.float32)
    scans = save(tmp_path, T1w=Image(noise, np.eye(4)))
    paths = PreprocessedPaths(tmp_path / "out", "sub-01")
    settings = PreprocessSettings(bias_field="none")
    status = run(paths, scans, Annotations(), settings)
    assert not status.ok
    assert "sub-01_T1w.nii.gz: gives a brain of" in status.reason
    assert "\n" not in status.reason
    assert read_status(paths.status) == status
    assert not paths.folder.exists() or not list(paths.folder.iterdir())


def test_session_without_a_readable_scan_fails(tmp_path):
    (tmp_path / "sub-01_T1w.nii.gz").write_bytes(b"")
    paths = PreprocessedPaths(tmp_path / "out", "sub-01")
    status = run(paths, {"T1w": tmp_path / "sub-01_T1w.nii.gz"}, Annotations(), SETTINGS)
    assert not status.ok
    assert "is empty" in status.reason
    assert not run(paths, {}, Annotations(), SETTINGS).ok


def test_template_space_overlaps_the_template(tmp_path):
    from crossmod.preprocess.atlas import read_template
    from crossmod.preprocess.resampling import Grid, isotropic_grid, resample

    template = read_template()
    small = resample(template, isotropic_grid(Grid.of(template), 3.0), np.eye(4))
    squeeze = POSE @ np.diag([0.93, 0.95, 1.05, 1.0])
    data = np.where(small.data > 20, small.data, 0).astype(np.float32)
    scans = save(tmp_path, T1w=Image(data, squeeze @ small.affine))
    settings = PreprocessSettings(space="template", spacing_mm=4.0, bias_field="none")
    paths = PreprocessedPaths(tmp_path / "out", "sub-01")
    status = run(paths, scans, Annotations(), settings)
    assert status.ok, status.reason
    assert status.details["space"] == "MNI152NLin2009aSym"
    assert status.details["checks"]["dice_template"] > 0.95
    assert displacement(np.array(status.details["affines"]["T1w"]), squeeze) < 2.0
    assert "xfm-T1w" in status.outputs
    np.testing.assert_allclose(read_image(status.path("T1w", paths.status)).spacing_mm, 4.0)
