"""From scans to delivered images the way of the FD-GAN paper: maximum to 1, sections resized."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, shift
from torch.nn.functional import interpolate

from crossmod.config import PreprocessSettings, SliceSettings
from crossmod.data.contract import DataContract
from crossmod.data.store import Store
from crossmod.errors import ContractError
from crossmod.io import Image, read_image, write_image
from crossmod.methods import settings_class
from crossmod.new_scans import synthesize_scans
from crossmod.paths import PreprocessedPaths
from crossmod.preprocess import Annotations, run
from crossmod.settings import TaskSettings
from crossmod.slices import make_store
from crossmod.status import Status
from crossmod.synthesis import synthesize_batch
from crossmod.training.checkpoint import load_model
from crossmod.training.loop import train
from crossmod.training.request import TrainRequest
from tests.unit.heads import make_head

BARE = {"spacing_mm": None, "bias_field": "none", "registration": "none"}
PREPROCESS = PreprocessSettings(**BARE, intensity="maximum", brain_extraction="nonzero")
RESIZE = SliceSettings(size=64, fit="resize")
TASK = TaskSettings(sources=("T1w",), target="FLAIR")
KEYS = ("sub-01", "sub-02", "sub-03")


@dataclass(frozen=True)
class Trained:
    """A model of two heads, applied to a third."""

    root: Path
    checkpoint: Path
    statuses: list[Status]

    def scan(self, key, modality):
        return self.root / "raw" / f"{key}_{modality}.nii.gz"

    def status_file(self, key):
        return PreprocessedPaths(self.root / "preproc", key).status

    def slices(self, key):
        return self.root / "slices" / f"{key}_slices.json"

    def synthesize(self, key, manifest=None):
        """Batch status of one session."""
        root = self.root / "synthetic"
        pair = (self.status_file(key), manifest or self.slices(key))
        return synthesize_batch(self.checkpoint, [pair], root, root / "b_status.json")[0]


def write_scans(root, key, seed):
    """A head of 48 x 55 x 40 voxels stored with axes left, posterior, superior.

    FLAIR is 0.5 T1w, a line through zero, so that pixels on the brain's edge lie on it too.
    """
    head, _ = make_head("T1w", (4, 4, 5), skull=False, noise=2, seed=seed)
    flipped = np.diag([-1.0, -1, 1, 1])
    flipped[:2, 3] = np.array(head.data.shape[:2]) - 1
    for modality, data in (("T1w", head.data), ("FLAIR", head.data / 2)):
        stored = np.ascontiguousarray(data[::-1, ::-1]).astype(np.float32)
        write_image(root / f"{key}_{modality}.nii.gz", Image(stored, head.affine @ flipped))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("paper")
    made = Trained(root, root / "checkpoint.pt", [])
    for seed, key in enumerate(KEYS):
        write_scans(root / "raw", key, seed)
        scans = {modality: made.scan(key, modality) for modality in ("T1w", "FLAIR")}
        paths = PreprocessedPaths(root / "preproc", key)
        made.statuses.append(run(paths, scans, Annotations(), PREPROCESS))
        make_store(paths.status, made.slices(key), RESIZE, PREPROCESS)
    model = {"method": "linear-regression", "training": {}}
    request = TrainRequest(
        task=TASK,
        model={**model, "settings": settings_class("linear-regression")().to_dict()},
        train_manifests=(made.slices("sub-01"), made.slices("sub-02")),
        validation_manifests=(),
        seed=0,
        preprocess={},
    )
    train(request, made.checkpoint, root / "curve.tsv", root / "resume")
    return made


def test_zero_and_the_maximum_of_the_brain_become_0_and_1(trained):
    for key, status in zip(KEYS, trained.statuses, strict=True):
        assert status.ok, status.reason
        # The FLAIR is half the T1w, and preprocessing sees that; nothing else is remarked on.
        assert [note.split()[:2] for note in status.details["notes"]] == [
            ["FLAIR", "looks"],
            ["T1w", "and"],
        ]
        store = Store.open(trained.slices(key))
        for row, modality in enumerate(("T1w", "FLAIR")):
            volume = read_image(status.path(modality, trained.status_file(key))).data
            normalizer = status.details["normalizers"][modality]
            assert normalizer == {"kind": "maximum", "low": 0, "high": pytest.approx(volume.max())}
            assert volume.max() == read_image(trained.scan(key, modality)).data.max()
            assert store.array[row].min() == 0
            assert 0.9 < store.array[row].max() <= 1


def there_and_back(volume):
    """A volume of 48 x 55 x Z voxels, RAS, padded to 55 x 55, resized to 64 and back by torch."""
    slices = torch.from_numpy(np.pad(volume, ((3, 4), (0, 0), (0, 0))).transpose(2, 0, 1).copy())
    for size in (64, 55):
        slices = interpolate(slices[None], (size, size), mode="bilinear")[0]
    return slices.numpy().transpose(1, 2, 0)[3:51]


def test_synthetic_image_lies_in_place_on_the_native_grid(trained):
    status = trained.synthesize("sub-03")
    assert status.ok, status.reason
    file = status.path("synthetic", trained.root / "synthetic" / "b_status.json")
    found, truth = read_image(file), read_image(trained.scan("sub-03", "FLAIR"))
    np.testing.assert_allclose(found.affine, truth.affine, atol=1e-5)
    brain = truth.data > 0
    np.testing.assert_array_equal(found.data > 0, brain)
    # The model is the identity of normalized values; the scale is that of the other two heads.
    scale = load_model(trained.checkpoint).contract.cohort["FLAIR"][1] / truth.data.max()
    expected = there_and_back(truth.data[::-1, ::-1])[::-1, ::-1] * scale
    np.testing.assert_allclose(found.data[brain], expected[brain], rtol=1e-3)
    inner = binary_erosion(brain, iterations=2)
    error = np.abs(found.data - truth.data)[inner].mean()
    assert error < 0.03 * truth.data[inner].mean()
    wrong = [shift(truth.data, move) for move in ((0.5, 0, 0), (0, 0.5, 0), (-0.5, 0, 0))]
    wrong += [np.flip(truth.data, axis) for axis in range(3)]
    wrong.append(np.pad(truth.data.swapaxes(0, 1), ((0, 0), (0, 7), (0, 0)))[:48])
    assert min(np.abs(found.data - other)[inner].mean() for other in wrong) > 1.2 * error


def test_new_scans_are_sliced_as_the_models_training_data(trained, tmp_path):
    output = tmp_path / "flair.nii.gz"
    synthesize_scans(trained.checkpoint, {"T1w": trained.scan("sub-03", "T1w")}, output)
    status = trained.synthesize("sub-03")
    batch = read_image(status.path("synthetic", trained.root / "synthetic" / "b_status.json"))
    np.testing.assert_array_equal(read_image(output).data, batch.data)
    scale = json.loads((tmp_path / "flair.json").read_text())["Scale"]
    assert scale["Low"] == 0
    assert scale["Meaning"].startswith("intensities at zero and maximum inside the brain")


def test_contract_holds_the_modes_and_older_ones_read_as_before(trained):
    contract = load_model(trained.checkpoint).contract
    assert (contract.fit, contract.intensity) == ("resize", "maximum")
    content = contract.to_dict()
    del content["fit"], content["preprocess"]["intensity"]
    older = DataContract.from_dict(content, "x")
    assert (older.fit, older.intensity) == ("pad", "percentiles")


def test_sessions_prepared_otherwise_are_refused(trained, tmp_path):
    manifest = tmp_path / "sub-03_slices.json"
    make_store(trained.status_file("sub-03"), manifest, SliceSettings(size=64), PREPROCESS)
    reason = trained.synthesize("sub-03", manifest).reason
    assert "has slices of 64 px halved 0 times, the model was trained on 64 px resized" in reason
    other = PREPROCESS.model_copy(update={"intensity": "percentiles"})
    make_store(trained.status_file("sub-03"), manifest, RESIZE, other)
    reason = trained.synthesize("sub-03", manifest).reason
    assert "was preprocessed with settings" in reason


def test_training_refuses_a_mixture_of_padded_and_resized_stores(trained, tmp_path):
    manifest = tmp_path / "sub-02_slices.json"
    make_store(trained.status_file("sub-02"), manifest, SliceSettings(size=64), PREPROCESS)
    request = TrainRequest(
        task=TASK,
        model={"method": "linear-regression", "settings": {}},
        train_manifests=(trained.slices("sub-01"), manifest),
        validation_manifests=(),
        seed=0,
        preprocess={},
    )
    with pytest.raises(ContractError, match=r"sub-02.* was sliced or preprocessed otherwise"):
        train(request, tmp_path / "c.pt", tmp_path / "curve.tsv", tmp_path / "resume")


def test_a_scan_without_positive_values_is_left_out_or_refused(tmp_path):
    head, brain = make_head("T1w", (5, 5, 5), skull=False, noise=2)
    negative = head.with_data(np.where(brain, -1 - head.data, 0).astype(np.float32))
    scans = {}
    for modality, image in (("T1w", head), ("FLAIR", negative)):
        scans[modality] = tmp_path / f"{modality}.nii.gz"
        write_image(scans[modality], image)
    paths = PreprocessedPaths(tmp_path / "out", "sub-01")
    status = run(paths, scans, Annotations(), PREPROCESS)
    (note,) = status.details["notes"]
    assert note == "FLAIR left out: FLAIR.nii.gz is constant in the brain or nowhere positive"
    status = run(paths, {"T1w": scans["FLAIR"]}, Annotations(), PREPROCESS)
    assert not status.ok
    assert "nowhere positive; look at the scan" in status.reason
