"""Faces: noticed in raw scans, and taken out of copies."""

from __future__ import annotations

import numpy as np
import pytest

from crossmod.config import PhantomSettings
from crossmod.errors import ConfigError
from crossmod.ingest.names import Source
from crossmod.ingest.request import Request
from crossmod.ingest.stage import ingest_session
from crossmod.io import Image, read_image, to_ras, write_image
from crossmod.paths import IngestedPaths
from crossmod.phantom import generate_subject, plan
from crossmod.planning import make_plan
from crossmod.preprocess import brain_extraction
from crossmod.preprocess.face import FACE_SHARE, MARGIN_MM, face_border, face_share, without_face
from crossmod.preprocess.resampling import resample
from crossmod.preprocess.transforms import about, rotation
from crossmod.status import read_status
from tests.unit.heads import make_head

POSE = about(np.zeros(3), rotation((0.2, -0.1, 0.15)), np.array([4.0, -6.0, 8.0]))


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """Scans of a phantom head, T1w and T2w, with a face in both."""
    root = tmp_path_factory.mktemp("head")
    settings = PhantomSettings(subjects=2, modalities=["T1w", "T2w"], missing=0, resolution_mm=3.0)
    generate_subject(settings, plan(settings)[0].participant, root)
    return {m: next(root.glob(f"sub-0001/**/*_{m}.nii.gz")) for m in ("T1w", "T2w")}


@pytest.fixture(scope="module")
def scan(head):
    return to_ras(read_image(head["T1w"]))


@pytest.fixture(scope="module")
def brain(head, scan):
    return brain_extraction.surface(brain_extraction.Head(scan, head["T1w"]))


def on(grid, brain):
    return resample(brain.with_data(brain.data.astype(np.float32)), grid, np.eye(4)).data >= 0.5


def test_a_face_is_seen_and_taken_away_and_no_brain_with_it(scan, brain):
    from crossmod.preprocess.resampling import Grid

    border = face_border(brain)
    assert face_share(scan, border, np.eye(4)) > 0.6
    cut = without_face(scan, border, np.eye(4))
    assert face_share(cut, border, np.eye(4)) < 0.1
    inside = on(Grid.of(scan), brain)
    np.testing.assert_array_equal(cut.data[inside], scan.data[inside])
    assert cut.data.dtype == scan.data.dtype
    # The nose is the foremost part of a head; now the forehead is.
    head = scan.data > np.percentile(scan.data, 98) * 0.1
    left = cut.data > np.percentile(scan.data, 98) * 0.1
    front = [np.flatnonzero(mask.any(axis=(0, 2))).max() for mask in (head, left)]
    assert (front[0] - front[1]) * scan.spacing_mm[1] > 9
    assert 0.5 < left.sum() / head.sum() < 0.95


def test_planes_touch_the_brain_and_the_margin_is_in_mm(brain):
    border = face_border(brain)
    world = np.argwhere(brain.data) @ brain.affine[:3, :3].T + brain.affine[:3, 3]
    farthest = (np.c_[world, np.ones(len(world))] @ border.planes.T).max(axis=0)
    np.testing.assert_allclose(farthest, 0, atol=1e-6)
    full = brain.with_data(np.ones(brain.data.shape, np.float32))
    kept = without_face(full.with_data(np.pad(full.data[1:-1, 1:-1, 1:-1], 1)), border, np.eye(4))
    depth = border.beyond(brain.affine, brain.data.shape)
    assert (kept.data[depth > MARGIN_MM] == 0).all()
    assert (kept.data[1:-1, 1:-1, 1:-1][depth[1:-1, 1:-1, 1:-1] <= MARGIN_MM] == 1).all()


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
def test_orientation_and_pose_of_a_scan_do_not_matter(scan, brain, axes):
    border = face_border(brain)
    turned = Image(np.flip(scan.data.transpose(axes), 0), scan.affine.copy())
    matrix = scan.affine[:, [*axes, 3]].copy()
    matrix[:, 3] += matrix[:, 0] * (turned.data.shape[0] - 1)
    matrix[:, 0] *= -1
    moved = Image(turned.data, POSE @ matrix)
    cut = without_face(moved, border, POSE)
    expected = without_face(scan, border, np.eye(4)).data.transpose(axes)[::-1]
    assert (cut.data != expected).mean() < 1e-4  # voxels on the plane itself
    assert face_share(moved, border, POSE) == pytest.approx(
        face_share(scan, border, np.eye(4)), abs=0.05
    )


def test_no_face_in_brain_only_scans_and_upper_slices(scan, brain):
    image, mask = make_head()
    alone = image.with_data(np.where(mask, image.data, 0))
    assert face_share(alone, face_border(image.with_data(mask)), np.eye(4)) == 0
    upper = scan.data.shape[2] // 2
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, 2] * upper
    assert face_share(Image(scan.data[:, :, upper:], affine), face_border(brain), np.eye(4)) is None


@pytest.mark.parametrize("low", [-1000.0, 0.0])
def test_what_is_cut_becomes_background(low):
    """Also where that is not 0, as in CT."""
    image, mask = make_head(noise=0)
    shifted = image.with_data(image.data + np.float32(low))
    cut = without_face(shifted, face_border(image.with_data(mask)), np.eye(4))
    changed = cut.data != shifted.data
    assert changed.any()
    assert (cut.data[changed] == low).all()


def test_a_session_is_written_without_faces(head, tmp_path):
    paths = IngestedPaths(tmp_path / "bids", "sub-0001")
    request = Request({m: Source(path) for m, path in head.items()})
    plain = ingest_session(paths, request)
    before = {m: read_image(plain.path(m, paths.status)) for m in head}
    status = ingest_session(paths, request, deface=True)
    assert status.ok
    assert read_status(paths.status).details["defaced"] == ["T1w", "T2w"]
    for modality, old in before.items():
        new = read_image(status.path(modality, paths.status))
        np.testing.assert_array_equal(new.affine, old.affine)
        changed = new.data != old.data
        assert 0.02 < changed.mean() < 0.5
        nose = to_ras(old.with_data(changed.astype(np.float32))).data
        assert nose[:, nose.shape[1] // 2 :].sum() > nose[:, : nose.shape[1] // 2].sum()


def test_a_session_without_a_brain_is_not_passed_on_with_its_face(tmp_path):
    ball = np.zeros((40, 40, 40), np.float32)
    ball[15:25, 15:25, 15:25] = 100
    ball += np.random.default_rng(0).random(ball.shape, np.float32)
    write_image(tmp_path / "t1.nii.gz", Image(ball, np.diag([2.0, 2, 2, 1])))
    paths = IngestedPaths(tmp_path / "bids", "sub-01")
    status = ingest_session(paths, Request({"T1w": Source(tmp_path / "t1.nii.gz")}), deface=True)
    assert not status.ok
    assert "cannot be defaced" in status.reason
    assert not list(paths.root.rglob("*.nii.gz"))


def test_brain_only_sessions_stay_as_they_are(tmp_path):
    image, _ = make_head(skull=False)
    write_image(tmp_path / "t1.nii.gz", image)
    request = Request({"T1w": Source(tmp_path / "t1.nii.gz")})
    paths = IngestedPaths(tmp_path / "bids", "sub-01")
    status = ingest_session(paths, request, deface=True)
    assert status.details["defaced"] == []
    np.testing.assert_allclose(
        read_image(status.path("T1w", paths.status)).data, image.data, rtol=1e-6
    )


def test_preprocessing_says_who_shows_a_face(head, tmp_path):
    from crossmod.config import PreprocessSettings
    from crossmod.paths import PreprocessedPaths
    from crossmod.preprocess import Annotations, run

    settings = PreprocessSettings(spacing_mm=3.0, bias_field="none")
    status = run(PreprocessedPaths(tmp_path, "sub-0001"), head, Annotations(), settings)
    assert all(share > FACE_SHARE for share in status.details["face_shares"].values())
    (note,) = [note for note in status.details["notes"] if "face" in note]
    assert note == "T1w, T2w show the face; deface before you pass scans on (dataset.deface)"


def test_faceless_copies_of_bids_scans_take_their_place(bids, study_of):
    raw = bids({f"sub-{i:02d}": ["T1w", "T2w", "FLAIR"] for i in range(6)})
    (raw / "sub-01" / "anat" / "sub-01_T1w.json").write_text('{"EchoTime": 0.01}')
    plain, defaced = (
        make_plan(study_of(raw, dataset={"name": name, "deface": deface}))
        for name, deface in (("plain", False), ("defaced", True))
    )
    assert plain.ingested_sessions == ()
    assert defaced.ingested_sessions == tuple(f"sub-{i:02d}" for i in range(6))
    sidecar = defaced.sessions["sub-01"].request.scans["T1w"].sidecar
    assert sidecar is not None
    assert sidecar.name == "sub-01_T1w.json"


def test_a_data_set_does_not_change_from_faces_to_none_unnoticed(bids, study_of):
    raw = bids({f"sub-{i:02d}": ["T1w", "T2w", "FLAIR"] for i in range(6)})
    make_plan(study_of(raw))
    with pytest.raises(ConfigError, match="the same folder with other settings"):
        make_plan(study_of(raw, dataset={"name": "tiny", "deface": True}))
