"""The phantom as a data set: plan, files, truth, determinism."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nibabel import aff2axcodes

from crossmod.config import PhantomSettings
from crossmod.errors import InputError
from crossmod.hashing import hash_file
from crossmod.ingest.bids import find
from crossmod.io import read_image, read_scan, same_grid, to_ras
from crossmod.paths import raw_scan
from crossmod.phantom import (
    generate_subject,
    lesion_file,
    plan,
    roster,
    subject_files,
    write_dataset,
)
from crossmod.phantom.subject import itk_transform
from crossmod.settings import MODALITIES

# Coarse, so that a head takes a fraction of a second; the code paths are those of full size.
COARSE = PhantomSettings(
    subjects=6, modalities=MODALITIES, missing=0.0, resolution_mm=4.0, slice_thickness_mm=6.0
)


def _with(**changes):
    return COARSE.model_copy(update=changes)


def _of_group(group: str) -> str:
    return next(s.participant for s in plan(COARSE) if s.group == group)


@pytest.fixture(scope="module")
def heads(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("phantom")
    write_dataset(COARSE, root)
    for group in ("tumour", "ms", "healthy"):
        generate_subject(COARSE, _of_group(group), root)
    return root


def _truth(root: Path, participant: str, modality: str) -> np.ndarray:
    return read_image(root / roster.truth_image(participant, modality)).data


def _labels(root: Path, file: Path) -> np.ndarray:
    return read_image(root / file, np.uint8).data


def test_plan_does_not_change_when_subjects_are_added():
    settings = PhantomSettings(subjects=7, missing=0.3)
    assert plan(settings) == plan(settings.model_copy(update={"subjects": 40}))[:7]
    assert plan(settings) != plan(settings.model_copy(update={"seed": 1}))


def test_plan_is_balanced_and_lacks_the_stated_share():
    subjects = plan(PhantomSettings(subjects=60, missing=0.25))
    assert [sum(s.group == g for s in subjects) for g in roster.GROUPS] == [20, 20, 20]
    incomplete = [s for s in subjects if len(s.modalities) < 3]
    assert len(incomplete) == 15
    assert all(s.modalities[0] == "T1w" and len(s.modalities) == 2 for s in incomplete)
    assert {m for s in incomplete for m in s.modalities} == {"T1w", "T2w", "FLAIR"}
    assert len({s.participant for s in subjects}) == 60
    assert subjects[0].participant == "sub-0001"


def test_planning_imports_no_imaging_library():
    code = (
        "import sys; from crossmod.config import PhantomSettings as S;"
        "from crossmod.phantom import plan, subject_files;"
        "from pathlib import Path; subject_files(S(), plan(S())[0].participant, Path());"
        "heavy = ('nibabel', 'nilearn', 'scipy', 'torch', 'ants', 'pandas');"
        "print([m for m in heavy if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_unknown_participant_is_refused(tmp_path):
    for name in ("sub-0000", "sub-12", "0001"):
        with pytest.raises(InputError, match=f"{name}: is no subject of the phantom"):
            generate_subject(COARSE, name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_are_exactly_the_announced_ones(heads, tmp_path):
    settings = _with(modalities=("T1w", "T2w", "FLAIR"), missing=0.9)
    subject = plan(settings)[1]
    assert len(subject.modalities) == 2
    generate_subject(settings, subject.participant, tmp_path)
    found = {p for p in tmp_path.rglob("*") if p.is_file()}
    assert found == set(subject_files(settings, subject.participant, tmp_path))
    for group in roster.GROUPS:
        files = subject_files(COARSE, _of_group(group), heads)
        assert all(p.is_file() for p in files)
        assert ((heads / lesion_file(_of_group(group))) in files) == (group != "healthy")


def test_same_bytes_twice_and_neighbors_do_not_matter(heads, tmp_path):
    participant = _of_group("ms")
    generate_subject(_with(subjects=40), participant, tmp_path)
    files = subject_files(COARSE, participant, tmp_path)
    assert len(files) > 20
    for file in files:
        assert hash_file(file) == hash_file(heads / file.relative_to(tmp_path)), file.name


def test_a_modality_does_not_depend_on_the_others(heads, tmp_path):
    participant = _of_group("tumour")
    generate_subject(_with(modalities=("T1w", "FLAIR")), participant, tmp_path)
    for modality in ("T1w", "FLAIR"):
        name = raw_scan(participant, modality)
        assert hash_file(tmp_path / name) == hash_file(heads / name)


def test_bids_reader_finds_scans_and_lesions_but_no_brain_mask(heads):
    found = find(heads)
    ours = {_of_group(g) for g in roster.GROUPS}
    assert set(found.scans) == {(p, m) for p in ours for m in MODALITIES}
    assert {(k, kind) for k, kind, _ in found.annotations} == {
        (_of_group("tumour"), "lesion"),
        (_of_group("ms"), "lesion"),
    }
    assert len(found.participants) == COARSE.subjects
    assert found.participants[_of_group("ms")]["group"] == "ms"


def test_dataset_description(heads, tmp_path):
    content = json.loads((heads / "dataset_description.json").read_text())
    assert content["Name"] == "crossmod phantom"
    write_dataset(COARSE, tmp_path)
    for file in (p for p in tmp_path.rglob("*") if p.is_file()):
        assert file.read_bytes() == (heads / file.relative_to(tmp_path)).read_bytes()


def test_truth_lies_on_the_t1w_grid(heads):
    participant = _of_group("tumour")
    reference = read_image(heads / raw_scan(participant, "T1w"))
    files = [roster.truth_image(participant, m) for m in MODALITIES]
    files += [roster.brain_file(participant), lesion_file(participant)]
    for file in files:
        assert same_grid(reference, read_image(heads / file)), file.name


def test_scans_are_stored_as_scanners_store_them(heads):
    thick, codes = [], set()
    for group in roster.GROUPS:
        for modality in MODALITIES:
            scan = read_scan(heads / raw_scan(_of_group(group), modality))
            assert scan.header.get_data_dtype() in (np.uint16, np.int16)
            codes.add("".join(aff2axcodes(scan.affine)))
            if modality in ("T2w", "FLAIR", "PDw"):
                thick.append(scan.spacing_mm[2])
                assert max(scan.spacing_mm[:2]) < 4
    assert min(thick) >= 6 - 1e-6
    assert len(codes) >= 2


@pytest.mark.parametrize("modality", ["T2w", "T1ce", "CT"])
def test_transform_maps_t1w_points_to_the_scan(heads, modality):
    """Resampling a scan through its transform must give the truth, better than without it."""
    from scipy.ndimage import map_coordinates

    participant = _of_group("healthy")
    text = (heads / roster.transform_file(participant, modality)).read_text()
    numbers = [float(v) for v in text.split("Parameters: ")[1].split("\n")[0].split()]
    lps = np.eye(4)
    lps[:3, :3], lps[:3, 3] = np.reshape(numbers[:9], (3, 3)), numbers[9:]
    assert np.allclose(lps[:3, :3] @ lps[:3, :3].T, np.eye(3), atol=1e-9)
    flip = np.diag([-1, -1, 1, 1])
    from_t1w = flip @ lps @ flip
    reference = to_ras(read_image(heads / roster.truth_image(participant, modality)))
    scan = to_ras(read_scan(heads / raw_scan(participant, modality)))
    where = to_ras(read_image(heads / roster.brain_file(participant))).data > 0
    if modality == "CT":  # the brain is nearly uniform on CT; the skull is not
        where[...] = True

    def likeness(transform: np.ndarray) -> float:
        index = np.linalg.inv(scan.affine) @ transform @ reference.affine
        points = np.argwhere(where)
        moved = points @ index[:3, :3].T + index[:3, 3]
        values = map_coordinates(scan.data, moved.T, order=1)
        return float(np.corrcoef(values, reference.data[where])[0, 1])

    assert likeness(from_t1w) > max(likeness(np.eye(4)), 0.6)
    assert likeness(from_t1w) > likeness(np.linalg.inv(from_t1w))


def test_itk_transform_is_lps():
    matrix = np.eye(4)
    matrix[:3, 3] = 1.5, -2.0, 3.0
    assert "Parameters: 1 0 0 0 1 0 0 0 1 -1.5 2 3\n" in itk_transform(matrix)


def test_contrasts_are_in_the_right_order(heads):
    participant = _of_group("healthy")
    labels = _labels(heads, roster.tissue_file(participant))
    means = {
        m: [float(_truth(heads, participant, m)[labels == k].mean()) for k in (1, 2, 3)]
        for m in MODALITIES
    }
    fluid, grey, white = means["T1w"]
    assert white > 1.1 * grey > 1.1 * fluid
    fluid, grey, white = means["T2w"]
    assert fluid > 1.3 * grey > 1.3 * white
    fluid, grey, white = means["FLAIR"]
    assert fluid < 0.7 * white
    assert grey > white
    fluid, grey, white = means["CT"]
    assert fluid < white < grey
    assert _truth(heads, participant, "CT")[labels == 7].mean() > 800
    fluid, grey, white = means["PET"]
    assert grey > 1.5 * white
    assert white > fluid


def test_lesions_look_as_in_real_scans(heads):
    """CSF and plaques are both bright on T2w; FLAIR tells them apart."""
    participant = _of_group("ms")
    tissue = _labels(heads, roster.tissue_file(participant))
    plaque = _labels(heads, lesion_file(participant)) == 4
    assert plaque.sum() >= 5
    t2w, flair = (_truth(heads, participant, m) for m in ("T2w", "FLAIR"))
    assert t2w[plaque].mean() > 1.2 * t2w[tissue == 3].mean()
    assert flair[plaque].mean() > 1.15 * flair[tissue == 3].mean()
    assert flair[tissue == 1].mean() < flair[tissue == 3].mean()

    participant = _of_group("tumour")
    label = _labels(heads, lesion_file(participant))
    white = _labels(heads, roster.tissue_file(participant)) == 3
    assert {1, 2, 3} <= set(np.unique(label))
    before, after = (_truth(heads, participant, m) for m in ("T1w", "T1ce"))
    enhanced = after[label == 3].mean() / after[white].mean()
    assert enhanced > 1.3 * before[label == 3].mean() / before[white].mean()
    flair = _truth(heads, participant, "FLAIR")
    assert flair[label == 2].mean() > 1.15 * flair[white].mean()


def test_no_modality_is_a_pointwise_map_of_the_others(heads):
    """The best function of T1w and T2w values at a voxel leaves much of FLAIR unexplained.

    What is left over is no noise: the truth is noise-free. The bins are fine enough to follow any
    smooth function, and each needs many voxels, so that it cannot learn them by heart.
    """
    participant = _of_group("ms")
    brain = _labels(heads, roster.brain_file(participant)) > 0
    t1w, t2w, flair = (_truth(heads, participant, m)[brain] for m in ("T1w", "T2w", "FLAIR"))
    bins = [np.searchsorted(np.quantile(v, np.linspace(0, 1, 16)[1:-1]), v) for v in (t1w, t2w)]
    cell = bins[0] * 15 + bins[1]
    count = np.maximum(np.bincount(cell, minlength=225), 1)
    mean = np.bincount(cell, weights=flair, minlength=225) / count
    residual = flair - mean[cell]
    often = count[cell] >= 30
    unexplained = residual[often].var() / flair[often].var()
    assert 0.02 < unexplained < 0.9


def test_command_line_makes_one_subject_and_threads_do_not_matter(heads, tmp_path):
    settings = _with(modalities=("T1w", "T2w"))
    participant = _of_group("ms")
    command = [sys.executable, "-m", "crossmod", "phantom", "--participant", participant]
    command += ["--settings", settings.model_dump_json(), "--output-dir", str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "2"})
    for file in subject_files(settings, participant, tmp_path):
        assert hash_file(file) == hash_file(heads / file.relative_to(tmp_path)), file.name
    assert [p.name for p in tmp_path.glob("sub-*")] == [participant]
