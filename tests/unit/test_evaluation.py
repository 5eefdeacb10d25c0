"""Protocols and the stage `evaluate` on a small made-up session."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import affine_transform, gaussian_filter

from crossmod.config import PreprocessSettings, SliceSettings
from crossmod.errors import InputError
from crossmod.evaluation import image_quality as iq
from crossmod.evaluation.protocol import PROTOCOLS
from crossmod.evaluation.stage import COLUMNS, EvaluateRequest, evaluate_batch
from crossmod.evaluation.truth import load_delivered, load_truth, near_mask
from crossmod.files import read_rows
from crossmod.io import Image, write_image
from crossmod.slices import make_store
from crossmod.spatial import Transform
from crossmod.status import (
    Status,
    describe_outputs,
    read_batch,
    read_status,
    write_batch,
    write_status,
)

SHAPE = (36, 40, 30)
SPACING_MM = 4.0
GRID = np.array([[4.0, 0, 0, -70], [0, 4, 0, -80], [0, 0, 4, -60], [0, 0, 0, 1]])
LOW, HIGH = 50.0, 450.0


def ball(center, radius, shape=SHAPE):
    axes = np.meshgrid(*map(np.arange, shape), indexing="ij")
    return sum((a - c) ** 2 for a, c in zip(axes, center, strict=True)) < radius**2


BRAIN = ball((18, 20, 15), 12)
LESION = ball((20, 22, 15), 3)


def texture(seed, shape=SHAPE):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1)
    return np.clip(0.5 + 0.15 * noise / noise.std(), 0, 1).astype("f4")


def write_preprocessed(folder, key="sub-01", extra=None, leave_out=(), normalizer=None):
    """A preprocessed session; `extra` adds or replaces volumes by output name."""
    status_file = folder / f"{key}_desc-preproc_status.json"
    truth = np.where(BRAIN, LOW + texture(0) * (HIGH - LOW), 0).astype("f4")
    files = {"brain": BRAIN, "T1w": truth, "FLAIR": truth, "lesion": LESION, **(extra or {})}
    paths = {}
    for name, data in files.items():
        if name not in leave_out:
            paths[name] = folder / key / f"{name}.nii.gz"
            write_image(paths[name], Image(data, GRID))
    normalizer = normalizer or {"low": LOW, "high": HIGH}
    details = {
        "space": "T1w",
        "reference": "T1w",
        "normalizers": {m: normalizer for m in ("T1w", "FLAIR") if m in paths},
        "affines": {"T1w": np.eye(4).tolist()},
    }
    outputs = describe_outputs(status_file, paths)
    write_status(status_file, Status("preprocess", key, outputs=outputs, details=details))
    return status_file


def write_synthetic(folder, predictions, delivered=None, affine=GRID):
    """Batch status of synthesis; delivered files lie on the common grid unless given."""
    batch, statuses = folder / "batch.json", []
    for key, volume in predictions.items():
        paths = {name: folder / f"{key}_{name}.nii.gz" for name in ("normalized", "synthetic")}
        write_image(paths["normalized"], Image(volume.astype("f4"), GRID))
        made = volume * (HIGH - LOW) + LOW * BRAIN if delivered is None else delivered
        write_image(paths["synthetic"], Image(made.astype("f4"), affine))
        statuses.append(Status("synthesize", key, outputs=describe_outputs(batch, paths)))
    write_batch(batch, statuses)
    return batch


def request_of(batch, *preprocessed, **changes):
    content = {"task": "T1w-to-FLAIR", "sources": ("T1w",), "target": "FLAIR"}
    keys = {"model": "unet", "fold": 0, "seed": 3}
    return EvaluateRequest(batch, tuple(preprocessed), **content, **keys, **changes)


def table_of(request, folder):
    """Rows of the table as {(variant, protocol, region, metric): value}, and the statuses."""
    statuses = evaluate_batch(request, folder / "scores.tsv", folder / "scored.json")
    assert read_batch(folder / "scored.json") == statuses
    rows = read_rows(folder / "scores.tsv", COLUMNS)
    keys = [(r["variant"], r["protocol"], r["region"], r["metric"]) for r in rows]
    assert len(set(keys)) == len(keys)
    values = [float(r["value"]) if r["value"] else math.nan for r in rows]
    return dict(zip(keys, values, strict=True)), statuses


@pytest.fixture
def scored(tmp_path):
    """One session under every protocol, with the prediction and sensitivity rows."""
    wrong = np.clip(texture(0) + 0.3 * (texture(1) - 0.5), 0, 1) * BRAIN
    batch = write_synthetic(tmp_path, {"sub-01": wrong})
    request = request_of(batch, write_preprocessed(tmp_path), sensitivity=True)
    return *table_of(request, tmp_path), wrong, tmp_path


def test_which_rows_there_are(scored):
    values, statuses, _, folder = scored
    masked = {"psnr", "ssim", "nrmse", "mae"}
    for protocol in ("brain-v1", "brain-v1-deploy"):
        for region in ("lesion", "healthy"):
            assert {k[3] for k in values if k[:3] == ("", protocol, region)} == masked
        # 256 mm are 64 pixels of 4 mm: three scales fit.
        assert {k[3] for k in values if k[:3] == ("", protocol, "brain")} == masked | {"ms-ssim-3"}
    whole = {name: {k[3] for k in values if k[:3] == ("", name, "slice")} for name in PROTOCOLS}
    assert {name: metrics for name, metrics in whole.items() if metrics} == {
        "seed-v1": {"psnr", "ssim", "ssim-gauss", "ssim-global", "nrmse"},
        "resvit-v1": {"psnr", "ssim"},
        "syndiff-v1": {"psnr"},
        "hinet-v1": {"psnr", "ssim", "nmse"},
    }
    assert {k[2:] for k in values if k[1] == "brasyn-v1"} == {
        ("lesion", "ssim"),
        ("healthy", "ssim"),
    }
    variants = {"shift-1", "blur-1", "scale-0.9"}
    assert {k[:2] for k in values if k[0]} == {(name, "brain-v1") for name in variants}
    assert not [k for k in values if k[1] == "synthrad-v1"]  # in HU, of CT alone
    assert len(values) == 2 * 13 + 5 + 2 + 1 + 3 + 2 + 3 * 13
    row = read_rows(folder / "scores.tsv")[0]
    given = {"participant": "sub-01", "session": "sub-01", "task": "T1w-to-FLAIR", "model": "unet"}
    assert row.items() >= {**given, "fold": "0", "seed": "3", "variant": ""}.items()
    assert int(row["voxels"]) == BRAIN.sum()
    assert statuses[0].details == {"scored": True}


def test_values_are_those_of_the_formulas(scored):
    values, _, wrong, _ = scored
    truth, prediction = texture(0) * BRAIN, wrong.astype("f4")
    near = np.min(
        [np.linalg.norm((np.indices(SHAPE).T - p) * SPACING_MM, axis=-1).T
         for p in np.argwhere(LESION)], axis=0,
    )  # fmt: skip
    masks = {"brain": BRAIN, "lesion": LESION, "healthy": BRAIN & (near > 3)}
    for region, mask in masks.items():
        for name in ("psnr", "ssim", "nrmse", "mae"):
            expected = getattr(iq, name)(truth, prediction, mask)
            found = values["", "brain-v1", region, name]
            assert found == pytest.approx(expected, rel=1e-4), (region, name)
    expected = iq.ms_ssim(truth, prediction, BRAIN, 3)
    assert values["", "brain-v1", "brain", "ms-ssim-3"] == pytest.approx(expected, abs=1e-5)


def test_whole_slices_fill_256_mm_and_are_the_middle_80(scored):
    values, _, wrong, _ = scored
    truth, prediction = texture(0) * BRAIN, wrong.astype("f4")
    # The brain fills slices 4 to 26 (23); 80 mm are 20 slices of 4 mm, from slice 5 on.
    assert np.flatnonzero(BRAIN.any(axis=(0, 1)))[[0, -1]].tolist() == [4, 26]
    whole = [np.pad(v, [(14, 14), (12, 12), (0, 0)]) for v in (truth, prediction)]
    found = [iq.slice_scores(whole[0][..., z], whole[1][..., z], (88, 88)) for z in range(5, 25)]
    assert values["", "seed-v1", "slice", "nrmse"] == pytest.approx(
        np.mean([f["nrmse"] for f in found]), rel=1e-4
    )
    shapes = [np.mean((whole[0][..., z] - whole[1][..., z]) ** 2) for z in range(5, 25)]
    peaks = [whole[0][..., z].max() for z in range(5, 25)]
    expected = np.mean(10 * np.log10(np.square(peaks) / shapes))
    assert whole[0].shape[:2] == (64, 64)
    assert values["", "seed-v1", "slice", "psnr"] == pytest.approx(expected, rel=1e-4)


def test_the_delivered_file_in_the_truths_own_scale_scores_like_the_normalized_one(scored):
    values, _, _, _ = scored
    for key, value in values.items():
        if key[0] == "" and key[1] == "brain-v1":
            assert values["", "brain-v1-deploy", *key[2:]] == pytest.approx(value, rel=1e-4)


def test_known_flaws_cost_something(tmp_path):
    """A perfect prediction reaches the best values, each flaw lowers them."""
    batch = write_synthetic(tmp_path, {"sub-01": texture(0) * BRAIN})
    request = request_of(batch, write_preprocessed(tmp_path), sensitivity=True)
    values, _ = table_of(request, tmp_path)
    # float32 files: not exactly the cap.
    assert values["", "brain-v1", "brain", "psnr"] > 95
    assert values["", "brain-v1", "brain", "ssim"] == pytest.approx(1)
    assert values["scale-0.9", "brain-v1", "brain", "nrmse"] == pytest.approx(0.1, abs=1e-4)
    for flaw in ("shift-1", "blur-1", "scale-0.9"):
        assert values[flaw, "brain-v1", "brain", "psnr"] < 30
        assert values[flaw, "brain-v1", "brain", "ssim"] < 0.999
    assert values["shift-1", "brain-v1", "brain", "psnr"] < 20


def test_scores_do_not_depend_on_the_normalization_that_networks_work_in(scored, tmp_path):
    """The same image, made in the scale of a z-score, has the same scores everywhere."""
    values, _, wrong, _ = scored
    ends = {"low": LOW, "high": HIGH}
    record = {"kind": "z-score", "low": LOW - 300, "high": HIGH + 200, "scored": ends}
    volume = np.where(BRAIN, (wrong * (HIGH - LOW) + 300) / (HIGH - LOW + 500), 0)
    made = wrong * (HIGH - LOW) + LOW * BRAIN
    batch = write_synthetic(tmp_path, {"sub-01": volume}, delivered=made)
    status = write_preprocessed(tmp_path, normalizer=record)
    found, _ = table_of(request_of(batch, status, sensitivity=True), tmp_path)
    assert found.keys() == values.keys()
    for key, value in values.items():
        assert found[key] == pytest.approx(value, rel=1e-3, nan_ok=True), key


def test_a_wrong_scale_of_the_delivered_file_is_seen_by_deploy_alone(tmp_path):
    perfect = texture(0) * BRAIN
    made = 1.2 * (perfect * (HIGH - LOW) + LOW * BRAIN)
    batch = write_synthetic(tmp_path, {"sub-01": perfect}, delivered=made)
    values, _ = table_of(request_of(batch, write_preprocessed(tmp_path)), tmp_path)
    assert values["", "brain-v1", "brain", "psnr"] > 95
    assert values["", "brain-v1-deploy", "brain", "psnr"] < 25


def test_a_constant_brain_is_good_in_seed_v1_and_bad_in_brain_v1(tmp_path):
    constant = np.where(BRAIN, 0.5, 0)
    batch = write_synthetic(tmp_path, {"sub-01": constant})
    values, _ = table_of(request_of(batch, write_preprocessed(tmp_path)), tmp_path)
    assert values["", "seed-v1", "slice", "ssim"] > 0.9
    assert values["", "brain-v1", "brain", "ssim"] < 0.65
    gain = values["", "seed-v1", "slice", "psnr"] - values["", "brain-v1", "brain", "psnr"]
    assert gain > 5


def test_only_the_targets_field_of_view_is_scored(tmp_path):
    """What the prediction holds outside the field of view changes no number."""
    field = np.zeros_like(BRAIN)
    field[:, :, :16] = True
    truth = np.where(BRAIN & field, LOW + texture(0) * (HIGH - LOW), 0).astype("f4")
    status = write_preprocessed(tmp_path, extra={"fov-FLAIR": field, "FLAIR": truth})
    prediction = texture(1) * BRAIN
    tables = []
    for outside in (0.0, 0.9):
        volume = np.where(field, prediction, outside * BRAIN)
        batch = write_synthetic(tmp_path, {"sub-01": volume}, delivered=400 * BRAIN)
        tables.append(table_of(request_of(batch, status), tmp_path)[0])
    assert tables[0] == tables[1]
    rows = read_rows(tmp_path / "scores.tsv")
    assert int(rows[0]["voxels"]) == (BRAIN & field).sum()


def test_small_regions_are_left_out(tmp_path):
    batch = write_synthetic(tmp_path, {"sub-01": texture(1) * BRAIN})
    few = np.zeros_like(BRAIN)
    few[18, 20, :8] = True
    status = write_preprocessed(tmp_path, extra={"lesion": few})
    values, _ = table_of(request_of(batch, status), tmp_path)
    assert {key[2] for key in values} == {"brain", "healthy", "slice"}
    assert ("", "brasyn-v1", "healthy", "ssim") in values
    status = write_preprocessed(tmp_path, leave_out=("lesion",))
    values, _ = table_of(request_of(batch, status), tmp_path)
    assert {key[2] for key in values} == {"brain", "slice"}


def test_the_voxels_near_a_lesion_are_those_within_3_mm():
    lesion = np.zeros((9, 9, 9), dtype=bool)
    lesion[4, 4, 4] = True
    near = near_mask(lesion, (1.0, 1.0, 2.0), 3.0)
    place = (np.indices(lesion.shape).T - 4) * np.array([1, 1, 2])
    np.testing.assert_array_equal(near, (np.linalg.norm(place, axis=-1) <= 3).T)
    assert not near_mask(np.zeros_like(lesion), (1.0, 1.0, 1.0), 3.0).any()


def test_a_truth_that_is_zero_gives_undefined_values_not_a_crash(tmp_path):
    status = write_preprocessed(tmp_path, extra={"FLAIR": np.full(SHAPE, LOW, "f4")})
    batch = write_synthetic(tmp_path, {"sub-01": texture(1) * BRAIN})
    values, statuses = table_of(request_of(batch, status), tmp_path)
    assert statuses[0].ok
    assert math.isnan(values["", "brain-v1", "brain", "nrmse"])
    assert math.isnan(values["", "seed-v1", "slice", "psnr"])
    assert math.isfinite(values["", "brain-v1", "brain", "mae"])
    assert "\tn/a\t" in (tmp_path / "scores.tsv").read_text()


def test_the_delivered_file_is_found_through_the_affine(tmp_path):
    """A file on a turned, finer, moved grid comes back to where the brain is."""
    status_file = write_preprocessed(tmp_path)
    truth = load_truth(read_status(status_file), status_file, "FLAIR", ("T1w",), None)
    angle = np.deg2rad(8)
    to_raw = np.eye(4)
    to_raw[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    to_raw[:3, 3] = [5, -7, 3]
    raw = np.array([[-2.5, 0, 0, 95], [0, 2.5, 0, -100], [0, 0, 2.5, -70], [0, 0, 0, 1]])
    smooth = gaussian_filter(texture(0), 3) * (HIGH - LOW) + LOW
    # Voxel of the raw grid to voxel of the common grid.
    back = np.linalg.inv(GRID) @ np.linalg.inv(to_raw) @ raw
    delivered = affine_transform(smooth, back, output_shape=(76, 80, 60), order=3, mode="nearest")
    write_image(tmp_path / "d.nii.gz", Image(delivered.astype("f4"), raw))
    found = load_delivered(truth, tmp_path / "d.nii.gz", Transform(to_raw))
    expected = np.where(BRAIN, (smooth - LOW) / (HIGH - LOW), 0)[truth.box]
    error = np.abs(found - expected).max()
    assert error < 0.01
    wrong = load_delivered(truth, tmp_path / "d.nii.gz", Transform(np.eye(4)))
    assert np.abs(wrong - expected).max() > 10 * error


def test_slices_of_seed_v1_are_those_the_sources_cover(tmp_path):
    """A target that covers more than the sources is not scored where no source was."""
    field = np.zeros_like(BRAIN)
    field[:, :, 10:18] = True
    source = np.where(BRAIN & field, LOW + texture(2) * (HIGH - LOW), 0).astype("f4")
    status = write_preprocessed(tmp_path, extra={"T1w": source, "fov-T1w": field})
    manifest = tmp_path / "sub-01_slices.json"
    make_store(status, manifest, SliceSettings(size=32), PreprocessSettings(spacing_mm=4))
    batch = write_synthetic(tmp_path, {"sub-01": texture(1) * BRAIN})
    request = request_of(batch, status, manifests=(manifest,), protocols=("seed-v1",))
    table_of(request, tmp_path)
    rows = read_rows(tmp_path / "scores.tsv")
    assert {int(row["voxels"]) for row in rows} == {8 * 64 * 64}
    table_of(replace(request, manifests=()), tmp_path)
    rows = read_rows(tmp_path / "scores.tsv")
    assert {int(row["voxels"]) for row in rows} == {20 * 64 * 64}


def test_sessions_that_cannot_be_scored_are_results(tmp_path):
    """One scored, one without target, one failed before, one with a damaged file."""
    keys = ("sub-01_ses-1", "sub-02", "sub-03", "sub-04")
    batch = write_synthetic(tmp_path, {key: texture(1) * BRAIN for key in keys})
    statuses = read_batch(batch)
    statuses[2] = Status("synthesize", "sub-03", "failed", "sub-03_T1w.nii.gz: is empty; copy it")
    write_batch(batch, statuses)
    files = [write_preprocessed(tmp_path, key) for key in keys]
    write_preprocessed(tmp_path, "sub-02", leave_out=("FLAIR",))
    (tmp_path / "sub-04_normalized.nii.gz").write_bytes(b"no volume")
    request = request_of(batch, *reversed(files))
    done = evaluate_batch(request, tmp_path / "scores.tsv", tmp_path / "scored.json")
    assert [status.session for status in done] == list(keys)
    assert done[1].ok
    assert done[1].details == {"scored": False, "reason": "no acquired FLAIR"}
    assert (done[2].verdict, done[2].reason) == ("failed", statuses[2].reason)
    assert done[3].verdict == "failed"
    assert "sub-04_normalized.nii.gz" in done[3].reason
    rows = read_rows(tmp_path / "scores.tsv")
    assert {(r["participant"], r["session"]) for r in rows} == {("sub-01", "sub-01_ses-1")}


def test_a_prediction_on_another_grid_is_refused(tmp_path):
    batch = write_synthetic(tmp_path, {"sub-01": texture(1) * BRAIN})
    moved = GRID.copy()
    moved[0, 3] += 4
    write_image(tmp_path / "sub-01_normalized.nii.gz", Image(texture(1) * BRAIN, moved))
    request = request_of(batch, write_preprocessed(tmp_path))
    done = evaluate_batch(request, tmp_path / "scores.tsv", tmp_path / "scored.json")
    assert not done[0].ok
    assert "does not lie on the grid" in done[0].reason


def test_a_target_that_misses_the_brain_fails_with_its_reason(tmp_path):
    status = write_preprocessed(tmp_path, extra={"fov-FLAIR": np.zeros_like(BRAIN)})
    batch = write_synthetic(tmp_path, {"sub-01": texture(1) * BRAIN})
    done = evaluate_batch(request_of(batch, status), tmp_path / "s.tsv", tmp_path / "s.json")
    assert "covers 0 voxels" in done[0].reason


def test_wrong_requests_are_refused(tmp_path):
    batch = write_synthetic(tmp_path, {"sub-01": texture(1) * BRAIN})
    status = write_preprocessed(tmp_path)
    outputs = tmp_path / "scores.tsv", tmp_path / "scored.json"
    with pytest.raises(InputError, match=r"there is no protocol 'brain-v2'; choose from brain-v1"):
        evaluate_batch(request_of(batch, status, protocols=("brain-v2",)), *outputs)
    with pytest.raises(InputError, match="whose preprocessed status is not given"):
        evaluate_batch(request_of(batch), *outputs)
    assert not outputs[0].exists()


def test_same_inputs_same_bytes(scored):
    _, _, _, folder = scored
    first = {name: (folder / name).read_bytes() for name in ("scores.tsv", "scored.json")}
    status = folder / "sub-01_desc-preproc_status.json"
    request = request_of(folder / "batch.json", status, sensitivity=True)
    evaluate_batch(request, folder / "again.tsv", folder / "again.json")
    assert (folder / "again.tsv").read_bytes() == first["scores.tsv"]
    assert (folder / "again.json").read_bytes() == first["scored.json"]
    assert str(folder) not in first["scored.json"].decode()


def test_the_stage_starts_without_heavy_imports():
    heavy = {"torch", "pandas", "scipy.ndimage", "scipy.stats", "skimage", "matplotlib", "ants"}
    code = f"import crossmod.evaluation.stage, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
