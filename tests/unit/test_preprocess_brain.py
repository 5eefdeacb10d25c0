"""Foreground, brain extraction, annotations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from crossmod.config import PreprocessSettings
from crossmod.errors import InputError
from crossmod.io import Image, write_image
from crossmod.preprocess.annotations import Annotations, place
from crossmod.preprocess.brain_extraction import BACKENDS, Head, extract_brain, majority
from crossmod.preprocess.foreground import background_value, brain_only_mask
from crossmod.preprocess.resampling import Grid, resample_mask
from crossmod.preprocess.surface import _estimate, _tissue, icosphere, vertex_normals, voxelize
from tests.unit.heads import dice, make_head

SCAN = Path("sub-01_T1w.nii.gz")


def reference(image, provided=None):
    return Head(image, SCAN, brain_only_mask(image), provided)


def test_every_setting_has_a_backend():
    names = get_args(PreprocessSettings.model_fields["brain_extraction"].annotation)
    assert set(names) == set(BACKENDS)
    assert len(names) == 9


def test_background_is_found_where_intensities_are_negative():
    image, _ = make_head(skull=False)
    image.data[30, 30, 30] = -500
    assert background_value(image.data) == 0
    assert background_value(make_head()[0].data) is None


def test_brain_only_scan_gives_its_filled_foreground():
    image, brain = make_head("FLAIR", skull=False)
    image.data[33, 36, 33] = 0
    np.testing.assert_array_equal(brain_only_mask(image), brain)


@pytest.mark.parametrize("modality", ["T1w", "T2w", "FLAIR"])
def test_a_head_on_a_clean_background_is_no_brain(modality):
    image, _ = make_head(modality)
    image.data[image.data < 30] = 0  # as scanners and defacing programs leave it
    assert background_value(image.data) == 0
    assert brain_only_mask(image) is None
    # Nor is a slab of it, whose volume would fit a brain.
    assert brain_only_mask(Image(image.data[..., 22:46], image.affine)) is None


def test_icosphere_is_a_closed_sphere_seen_from_outside():
    mesh = icosphere(3)
    count = 10 * 4**3 + 2
    assert mesh.vertices.shape == (count, 3)
    assert mesh.faces.shape == (2 * count - 4, 3)  # Euler: V - E + F = 2
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 1)
    assert (np.einsum("ij,ij->i", vertex_normals(mesh.vertices, mesh), mesh.vertices) > 0.99).all()
    np.testing.assert_allclose(mesh.mean_of_neighbors.sum(axis=1), 1)


def test_voxelized_sphere_has_its_volume():
    mesh = icosphere(3)
    mask = voxelize(mesh.vertices * 12.3 + 20.2, mesh, (41, 41, 41))
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 12.3**3, rel=0.02)


def test_surface_may_leave_the_field_of_view():
    mesh = icosphere(2)
    mask = voxelize(mesh.vertices * 10 + np.array([10, 10, 2]), mesh, (21, 21, 21))
    assert mask[10, 10, 0]
    assert not mask[..., 14:].any()


@pytest.mark.parametrize(
    "modality, spacing", [("T1w", (2, 2, 2)), ("T2w", (1.5, 1.5, 5)), ("FLAIR", (4, 1.5, 1.5))]
)
def test_surface_finds_the_brain_inside_the_skull(modality, spacing):
    image, brain = make_head(modality, spacing)
    mask = extract_brain(reference(image), "auto")
    found = resample_mask(mask, Grid.of(image), np.eye(4))
    assert dice(found, brain) > 0.92


def test_template_is_laid_over_the_head():
    image, brain = make_head("T1w", (2, 2, 2))
    mask = extract_brain(reference(image), "template")
    found = resample_mask(mask, Grid.of(image), np.eye(4))
    assert dice(found, brain) > 0.85


def box(shape, first, last, offset=0.0):
    data = np.zeros(shape, np.uint8)
    data[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] = 1
    affine = np.eye(4)
    affine[2, 3] = offset
    return Image(data, affine)


def test_majority_cuts_what_one_mask_leaked_into():
    brain = box((20, 20, 20), (5, 5, 5), (15, 15, 15))
    leak = box((20, 20, 20), (5, 5, 1), (15, 19, 15))
    for masks in ([brain, leak], [brain, leak, brain]):
        found = majority(((mask, np.eye(4)) for mask in masks), Grid.of(brain))
        np.testing.assert_array_equal(found, brain.data > 0)


def test_majority_asks_only_masks_that_show_a_voxel():
    brain = box((20, 20, 20), (5, 5, 5), (15, 15, 15))
    upper = box((20, 20, 10), (5, 5, 0), (15, 15, 5), offset=10.0)  # sees z from 10 on
    found = majority([(brain, np.eye(4)), (upper, np.eye(4))], Grid.of(brain))
    np.testing.assert_array_equal(found, brain.data > 0)


def install(folder, monkeypatch, name, body):
    program = folder / name
    program.write_text(f"#!{sys.executable}\n{body}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(folder))


BRIGHT = """
import sys, nibabel, numpy
scan = nibabel.load("scan.nii.gz")
assert max(scan.header.get_zooms()) == 1
mask = (scan.get_fdata() > 300).astype("uint8")
nibabel.save(nibabel.Nifti1Image(mask, scan.affine), {mask!r})
"""


@pytest.mark.parametrize(
    "name, command, mask",
    [
        ("bet", "bet", "out_mask.nii.gz"),
        ("robex", "robex", "out_mask.nii.gz"),
        ("hd-bet", "hd-bet", "out_bet.nii.gz"),
        ("synthstrip", "mri_synthstrip", "out_mask.nii.gz"),
    ],
)
def test_installed_programs_are_called(tmp_path, monkeypatch, name, command, mask):
    image, brain = make_head("T1w", (2, 2, 4), skull=False, noise=0)
    install(tmp_path, monkeypatch, command, BRIGHT.format(mask=mask))
    if name == "hd-bet":
        with pytest.raises(InputError, match=r"needs the weights of hd-bet, ~/hd-bet_params/.* is"):
            extract_brain(reference(image), name)
        weights = tmp_path / "hd-bet_params" / "release_2.0.0" / "fold_all" / "checkpoint_final.pth"
        weights.parent.mkdir(parents=True)
        weights.touch()
    found = extract_brain(reference(image), name)
    assert dice(resample_mask(found, Grid.of(image), np.eye(4)), brain & (image.data > 300)) > 0.95


def test_programs_that_fail_or_are_not_here_are_named(tmp_path, monkeypatch):
    image, _ = make_head()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="needs the program bet, which is not here"):
        extract_brain(reference(image), "bet")
    install(tmp_path, monkeypatch, "bet", "import sys; sys.exit('no license')")
    with pytest.raises(InputError, match="makes bet fail: no license"):
        extract_brain(reference(image), "bet")


def test_provided_mask_wins():
    image, brain = make_head()
    mask = extract_brain(reference(image, image.with_data(brain.astype(np.uint8))), "auto")
    np.testing.assert_array_equal(mask.data, brain)


def test_missing_mask_and_skull_are_named():
    image, _ = make_head()
    with pytest.raises(InputError, match="has no brain mask on its grid"):
        extract_brain(reference(image), "provided")
    with pytest.raises(InputError, match="shows more than brain"):
        extract_brain(reference(image), "nonzero")


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_implausible_mask_is_refused(share):
    image, brain = make_head()
    brain[:, :, int(brain.shape[2] * (0.2 + share)) :] = False
    with pytest.raises(InputError, match=r"gives a brain of \d+ ml, not 400 to 2600 ml"):
        extract_brain(reference(image, image.with_data(brain.astype(np.uint8))), "provided")


def test_noise_without_head_is_refused():
    noise = np.random.default_rng(0).rayleigh(10, (60, 60, 60)).astype(np.float32)
    with pytest.raises(InputError):
        extract_brain(reference(Image(noise, np.diag([1.0, 1, 1, 1]))), "auto")


def test_annotations_go_to_the_scan_they_were_drawn_on(tmp_path):
    affine = np.diag([1.0, 1, 2, 1])
    raw = {m: Image(np.zeros((6, 6, 6), np.float32), affine) for m in ("T1w", "T1ce")}
    raw["T2w"] = Image(np.zeros((6, 6, 4), np.float32), affine)
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[2, 2, 2], labels[3, 3, 3] = 1, 4
    names = {
        "sub-01_space-ceT1w_dseg.nii.gz": labels,
        "sub-01_label-tumour_dseg.nii.gz": labels,
        "sub-01_space-T1w_desc-t2grid_dseg.nii.gz": labels[..., :4],
        "sub-01_space-common_mask.nii.gz": labels[:5],
    }
    for name, data in names.items():
        write_image(tmp_path / name, Image(data, affine))
    (tmp_path / "broken.nii.gz").write_bytes(b"no")
    files = tuple(tmp_path / name for name in [*names, "broken.nii.gz"])
    placed = place(Annotations((), files), raw)
    assert [owner for owner, _ in placed.lesions] == ["T1ce", "T1w", "T2w"]
    assert placed.lesions[0][1].data.sum() == 2
    assert len(placed.notes) == 2
    assert "space-common_mask.nii.gz fits the grid of no scan" in placed.notes[0]
    assert "broken.nii.gz" in placed.notes[1]


def test_fat_is_told_from_brain_in_t1w_and_csf_is_kept_in_t2w():
    for modality, keeps in (("T1w", False), ("T2w", True)):
        image, brain = make_head(modality, (2, 2, 2))
        estimates = _estimate(image.data, 2.0)
        assert estimates is not None
        tissue = _tissue(image.data, brain, estimates, 2.0)
        assert tissue[brain & (image.data > 500)].mean() > 0.99
        bright = image.data > 850  # scalp in T1w, CSF in T2w
        assert tissue[bright].mean() == pytest.approx(float(keeps), abs=0.01)
