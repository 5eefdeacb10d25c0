"""Common spaces: of a subject's sessions, and of the template in three degrees of freedom."""

from __future__ import annotations

import json

import numpy as np
import pytest

from crossmod.config import PreprocessSettings
from crossmod.hashing import hash_file
from crossmod.io import Image, read_image, write_image
from crossmod.paths import PreprocessedPaths
from crossmod.preprocess import Annotations, deformation, run
from crossmod.preprocess.ants_bridge import from_ants, load_ants, read_transform, to_ants
from crossmod.preprocess.atlas import read_template
from crossmod.preprocess.resampling import Grid, isotropic_grid, resample, resample_mask
from crossmod.preprocess.transforms import about, rotation
from crossmod.spatial import Field, Transform, Warp, apply
from crossmod.status import read_status
from crossmod.stored_transforms import to_raw
from tests.unit.heads import ball, make_head

POSE = about(np.zeros(3), rotation((0.12, -0.05, 0.1)), np.array([5.0, -8.0, 6.0]))
PLAIN = {"bias_field": "none", "brain_extraction": "provided"}
SUBJECT = PreprocessSettings(space="subject", spacing_mm=None, **PLAIN)


def visit(folder, key, pose=None, modalities=("T1w", "T2w"), readable=True):
    """Scans of one visit and the brain mask of the first."""
    folder.mkdir(exist_ok=True)
    paths = {}
    for seed, modality in enumerate(modalities):
        head, brain = make_head(modality, (4, 4, 4), pose, seed=seed)
        paths[modality] = folder / f"{key}_{modality}.nii.gz"
        write_image(paths[modality], head)
        if not readable:
            paths[modality].write_bytes(b"no image")
        if seed == 0:
            write_image(folder / f"{key}_mask.nii.gz", head.with_data(brain))
    return paths, Annotations(brain_masks=(folder / f"{key}_mask.nii.gz",))


def preprocess(folder, key, earlier=(), settings=SUBJECT, **options):
    paths = PreprocessedPaths(folder / "out", key)
    scans, annotations = visit(folder / "raw", key, **options)
    status = run(paths, scans, annotations, settings, earlier=[p.status for p in earlier])
    return paths, status


def shift(found, truth):
    points = np.random.default_rng(0).uniform(-60, 60, (200, 3))
    return np.linalg.norm(apply(found, points) - apply(truth, points), axis=1).mean()


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    """Three visits of one person: the first failed, the third in another pose."""
    folder = tmp_path_factory.mktemp("visits")
    first = preprocess(folder, "sub-01_ses-1", readable=False)
    second = preprocess(folder, "sub-01_ses-2", [first[0]])
    third = preprocess(folder, "sub-01_ses-3", [first[0], second[0]], pose=POSE)
    return folder, first, second, third


def test_a_failed_visit_takes_no_other_with_it(visits):
    _, (_, failed), (_, second), (_, third) = visits
    assert [failed.ok, second.ok, third.ok] == [False, True, True]
    assert "base" not in second.details
    assert third.details["base"] == "sub-01_ses-2"
    assert second.details["space"] == third.details["space"] == "individual"


def test_visits_lie_on_one_grid_and_on_each_other(visits):
    _, _, (first, base), (second, later) = visits
    one, two = (
        read_image(status.path("T2w", paths.status))
        for paths, status in ((first, base), (second, later))
    )
    np.testing.assert_array_equal(one.affine, two.affine)
    assert one.data.shape == two.data.shape
    assert later.details["checks"]["dice_subject"] > 0.95
    for modality in ("T1w", "T2w"):
        assert shift(np.array(later.details["affines"][modality]), POSE) < 1.0


def test_every_transform_is_stored_with_what_it_is(visits):
    folder, _, _, (paths, status) = visits
    assert status.details["transforms"] == {"T1w": ["xfm-T1w"], "T2w": ["xfm-T1w", "xfm-T2w"]}
    product = np.eye(4)
    for name in status.details["transforms"]["T2w"]:
        product = read_transform(status.path(name, paths.status)) @ product
    np.testing.assert_allclose(product, status.details["affines"]["T2w"], atol=1e-9)
    path = status.path("xfm-T1w", paths.status)
    assert path.name == "sub-01_ses-3_from-T1w_to-individual_mode-image_xfm.txt"
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert (sidecar["From"], sidecar["To"], sidecar["Type"]) == ("T1w", "individual", "rigid")
    files = sidecar["EstimatedOn"]
    assert files["Fixed"]["Name"] == "sub-01_ses-2_space-individual_desc-preproc_T1w.nii.gz"
    raw = folder / "raw" / "sub-01_ses-3_T1w.nii.gz"
    assert files["Moving"] == {"Name": raw.name, "SHA256": hash_file(raw)}
    assert set(sidecar["Software"]) == {"crossmod", "antspyx"}


def test_a_single_visit_has_the_values_of_native_space(visits, tmp_path):
    _, _, (paths, alone), _ = visits
    native = SUBJECT.model_copy(update={"space": "native"})
    own, status = preprocess(tmp_path, "sub-01_ses-2", settings=native)
    for name in ("T1w", "T2w", "brain"):
        assert status.outputs[name]["sha256"] == alone.outputs[name]["sha256"]
    assert status.details["affines"] == alone.details["affines"]
    assert "xfm-T1w" not in status.outputs
    stored = read_transform(alone.path("xfm-T1w", paths.status))
    np.testing.assert_array_equal(stored, np.eye(4))
    assert own.key == "sub-01_ses-2"


def test_visits_that_share_no_modality_are_registered_by_their_references(visits, tmp_path):
    _, _, (base, _), _ = visits
    options = {"pose": POSE, "modalities": ("FLAIR",)}
    paths, status = preprocess(tmp_path, "sub-01_ses-4", [base], **options)
    assert status.ok, status.reason
    assert shift(np.array(status.details["affines"]["FLAIR"]), POSE) < 2.0
    sidecar = json.loads(status.path("xfm-FLAIR", paths.status).with_suffix(".json").read_text())
    assert sidecar["EstimatedOn"]["Fixed"]["Name"].endswith("_desc-preproc_T1w.nii.gz")


def warped_template(folder):
    """The template's brain, squeezed and bent by a known deformation, as a scan and its mask."""
    template = read_template()
    small = isotropic_grid(Grid.of(template), 3.0)
    noise = np.random.default_rng(3).normal(size=(*small.shape, 3))
    from scipy.ndimage import gaussian_filter

    vectors = np.stack([gaussian_filter(noise[..., k], 6) for k in range(3)], axis=-1)
    vectors *= 6 / np.abs(vectors).max() * ball(small.shape, 0.9)[..., None]
    bend = Field(vectors.astype(np.float32), small.affine)
    squeeze = POSE @ np.diag([0.95, 0.96, 1.04, 1.0])
    scan_grid = Grid(small.shape, squeeze @ small.affine)
    back = Transform(np.eye(4), np.linalg.inv(squeeze), Warp(bend, bend))
    data = resample(template, scan_grid, back).data
    brain = resample_mask(template.with_data(template.data > 0), scan_grid, back)
    write_image(folder / "T1w.nii.gz", Image(data * brain + 5, scan_grid.affine))
    write_image(folder / "mask.nii.gz", Image(brain, scan_grid.affine))
    return {"T1w": folder / "T1w.nii.gz"}, Annotations(brain_masks=(folder / "mask.nii.gz",))


@pytest.fixture(scope="module")
def to_template(tmp_path_factory):
    """Statuses by kind of registration, the deformable one twice."""
    folder = tmp_path_factory.mktemp("template")
    scans, annotations = warped_template(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deformation, "WORKING_MM", 4.0)
        found = {}
        for name in ("rigid", "affine", "deformable", "deformable again"):
            kind = name.split()[0]
            settings = PreprocessSettings(
                space="template", template_registration=kind, spacing_mm=3.0, **PLAIN
            )
            paths = PreprocessedPaths(folder / name, "sub-01")
            found[name] = (paths, run(paths, scans, annotations, settings))
    assert all(status.ok for _, status in found.values())
    return scans, found


def likeness(paths, status):
    image = read_image(status.path("T1w", paths.status))
    template = resample(read_template(), Grid.of(image), np.eye(4)).data
    inside = template > 0
    return np.corrcoef(image.data[inside], template[inside])[0, 1]


def test_more_freedom_comes_closer_to_the_template(to_template):
    _, found = to_template
    rigid, affine, deformable = (likeness(*found[k]) for k in ("rigid", "affine", "deformable"))
    assert rigid < affine < deformable
    assert deformable > 0.9
    matrix = np.array(found["rigid"][1].details["affines"]["T1w"])[:3, :3]
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)


def test_a_deformation_does_not_fold_and_has_a_way_back(to_template):
    _, found = to_template
    paths, status = found["deformable"]
    checks = status.details["checks"]
    assert 0.2 < checks["jacobian_min"] < 1 < checks["jacobian_max"] < 5
    assert checks["warp_back_error_mm"] < 0.2
    transform = to_raw(status, paths.status, "T1w")
    assert transform.warp is not None
    brain = read_image(status.path("brain", paths.status))
    points = apply(brain.affine, np.argwhere(brain.data > 0))
    error = np.linalg.norm(transform.inverse().apply(transform.apply(points)) - points, axis=1)
    assert error.mean() < 0.2
    moved = transform.apply(points) - apply(transform.linear, points)
    assert np.linalg.norm(moved, axis=1).max() > 2


def test_ants_gets_the_same_image_from_the_stored_files(to_template):
    scans, found = to_template
    paths, status = found["deformable"]
    chain = status.details["transforms"]["T1w"]
    assert chain == ["xfm-warp", "xfm-T1w"]
    files = [str(status.path(name, paths.status)) for name in chain]
    space = "MNI152NLin2009aSym"
    assert [path.split("sub-01_")[-1] for path in files] == [
        f"from-{space}Affine_to-{space}_mode-image_xfm.nii.gz",
        f"from-T1w_to-{space}Affine_mode-image_xfm.txt",
    ]
    ours = read_image(status.path("T1w", paths.status))
    brain = read_image(status.path("brain", paths.status)).data > 0
    theirs = from_ants(
        load_ants().apply_transforms(to_ants(ours), to_ants(read_image(scans["T1w"])), files)
    )
    # The difference is what smoothing against aliasing does: the axes of the grids are not alike.
    scale = ours.data[brain].std()
    assert np.abs(ours.data - theirs)[brain].mean() < 0.02 * scale


def test_the_same_scans_give_the_same_bytes_in_every_space(to_template, visits, tmp_path):
    _, found = to_template
    assert found["deformable again"][1] == found["deformable"][1]
    _, (failed, _), (base, _), (_, later) = visits
    visit(tmp_path / "raw", "sub-01_ses-3", pose=POSE)
    paths = PreprocessedPaths(tmp_path / "out", "sub-01_ses-3")
    scans, annotations = visit(tmp_path / "raw", "sub-01_ses-3", pose=POSE)
    again = run(paths, scans, annotations, SUBJECT, earlier=[failed.status, base.status])
    assert again == later
    assert read_status(paths.status) == again


def test_a_lesion_does_not_pull_the_template(monkeypatch):
    monkeypatch.setattr(deformation, "WORKING_MM", 4.0)
    template = read_template()

    def near_lesion(grid, radius_mm):
        places = apply(grid.affine, np.argwhere(np.ones(grid.shape)))
        return (np.linalg.norm(places - (26, -22, 28), axis=1) < radius_mm).reshape(grid.shape)

    inside = near_lesion(Grid.of(template), 16) & (template.data > 0)
    scan = template.with_data(np.where(inside, 1, template.data).astype(np.float32))
    grid = deformation.working_grid(template)
    lesion = near_lesion(grid, 16)
    found = {
        told: deformation.deform(template, scan, np.eye(4), lesion if told else None)
        for told in (False, True)
    }
    pull = {
        told: np.linalg.norm(warp.forward.vectors[near_lesion(grid, 24)], axis=-1).mean()
        for told, warp in found.items()
    }
    assert pull[False] > 1  # mm: the scan is the template's own but for the lesion
    assert pull[True] < 0.3 * pull[False]


def test_a_fold_is_refused(tmp_path, monkeypatch):
    from crossmod.preprocess import spaces

    scans, annotations = warped_template(tmp_path)
    x = np.indices((50, 59, 48))[0].astype("f4")
    vectors = np.zeros((50, 59, 48, 3), dtype=np.float32)
    vectors[..., 0] = -8 * x
    folded = Field(vectors, isotropic_grid(Grid.of(read_template()), 4.0).affine)
    monkeypatch.setattr(spaces, "deform", lambda *_: Warp(folded, folded))
    settings = PreprocessSettings(
        space="template", template_registration="deformable", spacing_mm=4.0, **PLAIN
    )
    status = run(PreprocessedPaths(tmp_path / "out", "sub-01"), scans, annotations, settings)
    assert not status.ok
    assert "T1w.nii.gz: folds when it is deformed to the template (Jacobian -1.00)" in status.reason


def test_template_registration_belongs_to_the_template():
    assert PreprocessSettings(template_registration="affine").hash == PreprocessSettings().hash
    with pytest.raises(ValueError, match="belongs to space 'template' alone"):
        PreprocessSettings(template_registration="rigid")
