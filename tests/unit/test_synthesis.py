"""From a model and preprocessed sessions to synthetic images, on both grids."""

import json
import sys
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy.ndimage import affine_transform

from crossmod.config import PreprocessSettings, SliceSettings
from crossmod.data.contract import DataContract
from crossmod.delivery import resample_brain
from crossmod.errors import ContractError, InputError
from crossmod.hashing import hash_file
from crossmod.io import Image, read_image, write_image
from crossmod.new_scans import synthesize_scans
from crossmod.slices import make_store
from crossmod.status import Status, describe_outputs, read_batch, write_status
from crossmod.synthesis import PreparedSession, deliver, predict, synthesize_batch

PREPROCESS = PreprocessSettings(spacing_mm=2.0)
NORMALIZERS = {"T1w": {"low": 10.0, "high": 110.0}, "T2w": {"low": 0.0, "high": 50.0}}
NORMALIZERS["FLAIR"] = {"low": 20.0, "high": 420.0}
COMMON = np.array([[2.0, 0, 0, -20], [0, 2, 0, -24], [0, 0, 2, -10], [0, 0, 0, 1]])
SHAPE = (22, 26, 14)


def contract(sources=("T1w", "T2w"), context=0, size=32, halvings=0, **changes):
    content = {
        "sources": sources,
        "target": "FLAIR",
        "context": context,
        "size": size,
        "halvings": halvings,
        "spacing_mm": 2.0,
        "space": "native",
        "orientation": "RAS",
        "percentiles": (0.5, 99.5),
        "cohort": {"FLAIR": [100.0, 900.0]},
        "preprocess": PREPROCESS.model_dump(mode="json"),
        "preprocess_hash": PREPROCESS.hash,
        "split": "0123abcd",
        "code": "0.1.0+abc",
    }
    return DataContract(**content | changes)


def model(pick=lambda source: source[:, :1], resolution="network", method="unet", **changes):
    """A model that gives what `pick` takes of its source."""
    return SimpleNamespace(
        contract=contract(**changes),
        method=method,
        settings={"width": 1},
        sha256="f" * 64,
        info={"training": {"epochs": 1}},
        resolution=resolution,
        synthesize=pick,
    )


@pytest.fixture
def use_model(monkeypatch):
    """Put a model where checkpoints are loaded, without torch."""

    def use(found):
        module = SimpleNamespace(load_model=lambda path: found)
        monkeypatch.setitem(sys.modules, "crossmod.training.checkpoint", module)

    return use


def brain_mask():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[4:18, 3:23, 2:11] = True
    mask[4, 3] = False
    return mask


def write_preprocessed(folder, key="sub-01", volumes=None, raw=None, to_raw=None):
    """A preprocessed session as its stage leaves it; returns the status file."""
    brain, rng = brain_mask(), np.random.default_rng(len(key))
    if volumes is None:
        volumes = {
            name: np.where(brain, rng.uniform(v["low"], v["high"], SHAPE), 0).astype("f4")
            for name, v in NORMALIZERS.items()
            if name != "FLAIR"
        }
    status_file = folder / f"{key}_desc-preproc_status.json"
    paths = {}
    for name, data in {"brain": brain, **volumes}.items():
        paths[name] = folder / key / "anat" / f"{key}_{name}.nii.gz"
        write_image(paths[name], Image(data, COMMON))
    shape, affine = raw or (SHAPE, COMMON)
    header = {"sform_code": 2, "qform_code": 1, "units": ["mm", "sec"], "description": "raw"}
    scan = {"shape": list(shape), "affine": np.asarray(affine).tolist(), "sha256": "0" * 64}
    scan["header"] = header
    details = {
        "space": "T1w",
        "reference": "T1w",
        "normalizers": {name: NORMALIZERS[name] for name in volumes},
        "affines": {name: (np.eye(4) if to_raw is None else to_raw).tolist() for name in volumes},
        "raw": {name: {"name": f"{key}_{name}.nii.gz", **scan} for name in volumes},
    }
    outputs = describe_outputs(status_file, paths)
    write_status(status_file, Status("preprocess", key, outputs=outputs, details=details))
    return status_file


def write_session(folder, key="sub-01", slicing=None, **options):
    """Status file and manifest of one session."""
    status_file = write_preprocessed(folder / "preproc", key, **options)
    manifest = folder / "slices" / f"{key}_slices.json"
    make_store(status_file, manifest, slicing or SliceSettings(size=32), PREPROCESS)
    return status_file, manifest


def normalized(folder, name="T1w", key="sub-01"):
    low, high = NORMALIZERS[name].values()
    path = folder / "preproc" / key / "anat" / f"{key}_{name}.nii.gz"
    return np.where(brain_mask(), (read_image(path).data - low) / (high - low), 0)


def run(folder, sessions):
    root = folder / "synthetic"
    return synthesize_batch(folder / "checkpoint.pt", sessions, root, root / "b_status.json")


def test_images_lie_on_both_grids_in_their_scales(tmp_path, use_model):
    use_model(model())
    sessions = [write_session(tmp_path, key) for key in ("sub-01", "sub-02_ses-1")]
    statuses = run(tmp_path, sessions)
    file = tmp_path / "synthetic" / "b_status.json"
    assert read_batch(file) == statuses
    assert [s.session for s in statuses if s.ok] == ["sub-01", "sub-02_ses-1"]
    image = read_image(statuses[0].path("normalized", file))
    np.testing.assert_allclose(image.data, normalized(tmp_path), atol=1e-5)
    np.testing.assert_array_equal(image.affine, COMMON)
    delivered = read_image(statuses[0].path("synthetic", file))
    expected = np.where(brain_mask(), 100 + 800 * normalized(tmp_path), 0)
    np.testing.assert_allclose(delivered.data, expected, atol=0.01)
    for name in ("normalized", "synthetic"):
        stored = nib.load(statuses[1].path(name, file))
        assert stored.get_data_dtype() == np.float32
        codes = int(stored.header["sform_code"]), int(stored.header["qform_code"])
        assert codes == ((2, 1) if name == "synthetic" else (1, 1))
        assert "ses-1" in str(statuses[1].path(name, file).parent)


def test_delivery_takes_the_raw_orientation_and_the_transform(tmp_path):
    """A linear field in world coordinates is found again at the right places of an LPS grid."""
    angle = np.deg2rad(10)
    to_raw = np.eye(4)
    to_raw[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    to_raw[:3, 3] = [4, -3, 2]
    raw_affine = np.array([[0, -1.5, 0, 32], [-1.0, 0, 0, 33], [0, 0, 3, -18], [0, 0, 0, 1.0]])
    raw_shape = (68, 40, 15)
    session = PreparedSession.open(
        *write_session(tmp_path, raw=(raw_shape, raw_affine), to_raw=to_raw)
    )
    world = apply_affine(COMMON, np.moveaxis(np.indices(SHAPE), 0, -1))
    field = 0.4 + world @ [0.01, -0.005, 0.008]
    volume = np.where(brain_mask(), field, 0).astype("f4")
    image = deliver(volume, session, (0.0, 1.0))
    assert image.data.shape == raw_shape
    np.testing.assert_array_equal(image.affine, raw_affine)
    place = np.moveaxis(np.indices(raw_shape), 0, -1)
    back = apply_affine(np.linalg.inv(to_raw) @ raw_affine, place)
    voxel = apply_affine(np.linalg.inv(COMMON), back)
    inner = ((voxel >= [5, 4, 2.5]) & (voxel <= [17, 22, 9.5])).all(axis=-1)
    assert inner.sum() > 1000
    expected = 0.4 + back @ [0.01, -0.005, 0.008]
    np.testing.assert_allclose(image.data[inner], expected[inner], atol=1e-5)
    outer = ((voxel < [3, 2, 1]) | (voxel > [18, 23, 11])).any(axis=-1)
    assert outer.any()
    assert not image.data[outer].any()
    # Brain volume in ml is the same on both grids, to the thickness of a voxel at the edge.
    ratio = (image.data > 0).sum() * 4.5 / (brain_mask().sum() * 8)
    assert ratio == pytest.approx(1, abs=0.03)


def test_the_edge_of_the_brain_is_not_mixed_with_background(tmp_path):
    raw_affine = COMMON @ np.diag([0.7, 0.7, 1.3, 1])
    session = PreparedSession.open(*write_session(tmp_path, raw=((31, 37, 11), raw_affine)))
    image = deliver(brain_mask() * np.float32(0.25), session, (100.0, 900.0))
    np.testing.assert_allclose(image.data[image.data != 0], 300, rtol=1e-6)
    assert (image.data != 0).sum() > 1000


def test_a_brain_at_the_border_of_the_grid_is_delivered_whole(tmp_path):
    crop = COMMON.copy()
    crop[:3, 3] = apply_affine(COMMON, [8, 6, 4])
    session = PreparedSession.open(*write_session(tmp_path, raw=((6, 6, 4), crop)))
    image = deliver(brain_mask() * np.float32(0.5), session, (0.0, 1.0))
    np.testing.assert_array_equal(image.data, np.full((6, 6, 4), 0.5, "f4"))


@pytest.mark.parametrize("tilt", [0.0, 0.004])
def test_aligned_and_oblique_grids_are_sampled_alike(tilt):
    """Axis by axis or at once: against SciPy, flipped, permuted and beyond the borders."""
    rng = np.random.default_rng(3)
    brain, volume = np.ones((9, 8, 7), dtype=bool), rng.random((9, 8, 7), dtype=np.float32)
    to_volume = np.array(
        [[tilt, -0.8, 0, 8.5], [0, tilt, 0.7, -1.2], [1.1, 0, 0, 0.3], [0, 0, 0, 1]]
    )
    shape = (8, 15, 14)
    values, inside = resample_brain(volume, brain, to_volume, shape)
    mixed, weight = (
        affine_transform(
            data, to_volume[:3, :3], to_volume[:3, 3], shape, order=1, mode="grid-constant"
        )
        for data in (volume, np.ones_like(volume))
    )
    np.testing.assert_array_equal(inside, weight >= 0.5)
    assert 0.1 < inside.mean() < 0.9
    np.testing.assert_allclose(values[inside], mixed[inside] / weight[inside], atol=1e-5)
    assert not values[~inside].any()


@pytest.mark.parametrize("tilt", [0.0, 0.01])
def test_thick_slices_hold_the_mean_over_their_thickness(tilt):
    volume = np.zeros((4, 4, 12), dtype=np.float32)
    volume[..., ::2] = 1
    to_volume = np.diag([1.0, 1, 4, 1])
    to_volume[2, 3] = 1.5  # the center of the first four
    to_volume[0, 1] = tilt
    brain = np.ones(volume.shape, dtype=bool)
    values, inside = resample_brain(volume, brain, to_volume, (3, 3, 3))
    assert inside.all()
    np.testing.assert_allclose(values, 0.5, atol=1e-6)


def test_native_models_see_whole_sections_and_others_the_store(tmp_path):
    slicing = SliceSettings(size=16, halvings=1)
    session = PreparedSession.open(*write_session(tmp_path, slicing=slicing))
    options = {"size": 16, "halvings": 1}
    native = predict(model(resolution="native", **options), session)
    np.testing.assert_allclose(native, normalized(tmp_path), atol=1e-6)
    network = predict(model(**options), session)
    assert np.abs(network - native).mean() > 0.01
    assert not network[~brain_mask()].any()
    second = predict(model(lambda s: s[:, 1:], resolution="native", **options), session)
    np.testing.assert_allclose(second, normalized(tmp_path, "T2w"), atol=1e-6)


@pytest.mark.parametrize("resolution", ["network", "native"])
def test_context_channels_reach_the_model(tmp_path, resolution):
    session = PreparedSession.open(*write_session(tmp_path))
    below = model(lambda s: s[:, :1], resolution, sources=("T2w",), context=1)
    source = normalized(tmp_path, "T2w")
    expected = source.copy()
    expected[..., 3:11] = source[..., 2:10]
    np.testing.assert_allclose(predict(below, session), expected, atol=1e-6)


def test_batches_of_slices_do_not_matter_and_values_are_clipped(tmp_path):
    session = PreparedSession.open(*write_session(tmp_path))
    loud = model(lambda s: 3 * s[:, :1])
    volumes = [predict(loud, session, size) for size in (1, 4, 16)]
    np.testing.assert_array_equal(volumes[0], volumes[1])
    np.testing.assert_array_equal(volumes[0], volumes[2])
    assert (volumes[0].min(), volumes[0].max()) == (0, 1)


def test_sidecar_tells_what_made_the_image(tmp_path, use_model):
    use_model(model())
    run(tmp_path, [write_session(tmp_path)])
    folder = tmp_path / "synthetic" / "sub-01" / "anat"
    sidecar = json.loads((folder / "sub-01_desc-synthetic_FLAIR.json").read_text())
    assert sidecar["Synthetic"] is True
    assert sidecar["Modality"] == "FLAIR"
    assert sidecar["Sources"] == ["sub-01_T1w.nii.gz", "sub-01_T2w.nii.gz"]
    assert (sidecar["Scale"]["Low"], sidecar["Scale"]["High"]) == (100, 900)
    assert sidecar["Model"]["SHA256"] == "f" * 64
    assert sidecar["Model"]["SplitHash"] == "0123abcd"
    assert len(sidecar["CodeHash"]) == 8
    other = json.loads((folder / "sub-01_desc-normalized_FLAIR.json").read_text())
    assert (other["Scale"]["Low"], other["Scale"]["High"]) == (0, 1)
    description = json.loads((tmp_path / "synthetic" / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "crossmod"


def test_same_bytes_twice_and_no_path_of_this_machine(tmp_path, use_model):
    use_model(model())
    sessions = [write_session(tmp_path)]
    found = []
    for _ in range(2):
        run(tmp_path, sessions)
        files = sorted(p for p in (tmp_path / "synthetic").rglob("*") if p.is_file())
        found.append({path.name: hash_file(path) for path in files})
        for path in files:
            assert str(tmp_path).encode() not in path.read_bytes()
            if path.name != "b_status.json":
                path.unlink()
    assert found[0] == found[1]
    assert len(found[0]) == 6


def test_a_bad_session_leaves_the_others_alone_and_no_stale_image(tmp_path, use_model, caplog):
    use_model(model())
    sessions = [write_session(tmp_path, f"sub-0{i}") for i in range(1, 6)]
    assert all(status.ok for status in run(tmp_path, sessions))
    reason = "x.nii.gz: is empty; copy it again"
    write_status(sessions[0][0], Status("preprocess", "sub-01", "failed", reason))
    make_store(*sessions[0], SliceSettings(size=32), PREPROCESS)
    make_store(*sessions[1], SliceSettings(size=16), PREPROCESS)
    make_store(*sessions[2], SliceSettings(size=48), PREPROCESS)
    make_store(*sessions[3], SliceSettings(size=32), PreprocessSettings(spacing_mm=3.0))
    statuses = run(tmp_path, sessions)
    assert [status.verdict for status in statuses] == ["failed"] * 4 + ["ok"]
    assert statuses[0].reason == reason
    assert "slices cover 16" in statuses[1].reason
    assert "slices of 48 px" in statuses[2].reason
    assert "was preprocessed with settings" in statuses[3].reason
    assert all("\n" not in status.reason for status in statuses)
    images = sorted((tmp_path / "synthetic").rglob("*_FLAIR.*"))
    assert {path.name.split("_")[0] for path in images} == {"sub-05"}
    assert len(images) == 4
    assert "sub-04 left out" in caplog.text


def test_a_missing_source_is_named(tmp_path, use_model):
    use_model(model())
    one = {"T1w": np.where(brain_mask(), 50, 0).astype("f4")}
    statuses = run(tmp_path, [write_session(tmp_path, volumes=one)])
    assert "lacks T2w, which the model needs" in statuses[0].reason


def test_a_missing_source_is_background_to_a_method_that_can_do_without(tmp_path, use_model):
    seen = []
    use_model(model(lambda source: seen.append(source) or source[:, 1:], method="milr"))
    one = {"T1w": np.where(brain_mask(), 50, 0).astype("f4")}
    two = {"T2w": np.where(brain_mask(), 30, 0).astype("f4")}
    other = write_session(tmp_path, "sub-02", volumes={**one, **two})
    statuses = run(tmp_path, [write_session(tmp_path, volumes=one), other])
    assert [status.details["sources"] for status in statuses] == [["T1w"], ["T1w", "T2w"]]
    first, second = np.concatenate(seen[:1]), np.concatenate(seen[1:])
    assert (first[:, 1] == -1).all()
    assert first[:, 0].max() == second[:, 0].max() > -1 < second[:, 1].max()
    sidecars = sorted((tmp_path / "synthetic").rglob("*synthetic_FLAIR.json"))
    found = [json.loads(path.read_text()) for path in sidecars]
    assert found[0]["Description"].endswith("synthesized from T1w")


def test_lists_in_different_order_are_noticed(tmp_path, use_model):
    use_model(model())
    (first, one), (second, two) = (write_session(tmp_path, f"sub-0{i}") for i in (1, 2))
    statuses = run(tmp_path, [(first, two), (second, one)])
    assert all("give both lists in the same order" in status.reason for status in statuses)


def test_a_program_fault_is_no_result(tmp_path, use_model):
    use_model(model(lambda source: source[:, 9]))
    with pytest.raises(IndexError):
        run(tmp_path, [write_session(tmp_path)])
    assert not (tmp_path / "synthetic" / "b_status.json").exists()


def test_a_trained_checkpoint_makes_what_it_has_learned(tmp_path):
    """The whole way with real training: a target that is a line of its sources is found again."""
    from crossmod.settings import TaskSettings
    from crossmod.training.loop import TrainRequest, train

    sessions = []
    for key in ("sub-01", "sub-02", "sub-03"):
        rng = np.random.default_rng(int(key[-1]))
        values = {name: rng.uniform(0.1, 0.9, SHAPE) for name in ("T1w", "T2w")}
        values["FLAIR"] = 0.4 + 0.5 * values["T2w"] - 0.3 * values["T1w"]
        volumes = {}
        for name, value in values.items():
            low, high = NORMALIZERS[name].values()
            scaled = low + value * (high - low)
            volumes[name] = np.where(brain_mask(), scaled, 0).astype("f4")
        sessions.append((key, write_session(tmp_path, key, volumes=volumes)))
    request = TrainRequest(
        task=TaskSettings(sources=("T1w", "T2w"), target="FLAIR"),
        model={"method": "linear-regression", "settings": {}, "training": {}},
        train_manifests=tuple(manifest for _, (_, manifest) in sessions[:2]),
        validation_manifests=(),
        seed=0,
        preprocess=PREPROCESS.model_dump(mode="json"),
    )
    checkpoint = tmp_path / "checkpoint.pt"
    train(request, checkpoint, tmp_path / "curve.tsv", tmp_path / "resume")
    key, pair = sessions[2]
    (status,) = run(tmp_path, [pair])
    file = tmp_path / "synthetic" / "b_status.json"
    expected = normalized(tmp_path, "FLAIR", key)
    made = read_image(status.path("normalized", file)).data
    np.testing.assert_allclose(made, expected, atol=1e-4)
    low, high = NORMALIZERS["FLAIR"].values()
    delivered = read_image(status.path("synthetic", file)).data
    truth = np.where(brain_mask(), low + expected * (high - low), 0)
    np.testing.assert_allclose(delivered, truth, atol=0.01)
    sidecar = json.loads(next((tmp_path / "synthetic").rglob("*synthetic_FLAIR.json")).read_text())
    assert sidecar["Model"]["SHA256"] == hash_file(checkpoint)


def test_synthesis_shows_a_network_the_channels_it_was_trained_on(tmp_path):
    from crossmod.data.dataset import SliceDataset
    from crossmod.settings import TaskSettings, TrainingSettings

    volumes = {name: np.where(brain_mask(), 60, 0).astype("f4") for name in ("T1w", "FLAIR")}
    volumes["T1w"] *= np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    volumes["T2w"] = volumes["T1w"] ** 0.5
    pair = write_session(tmp_path, volumes=volumes)
    task = TaskSettings(sources=("T2w", "T1w"), target="FLAIR")
    dataset = SliceDataset([pair[1]], task, TrainingSettings(context=1), "validation")
    trained = np.concatenate([batch["source"].numpy() for batch in dataset.passes(4)])
    seen = []
    watching = model(
        lambda source: seen.append(source) or source[:, :1], sources=task.sources, context=1
    )
    predict(watching, PreparedSession.open(*pair), batch_size=5)
    np.testing.assert_array_equal(np.concatenate(seen), trained)
    assert trained.shape == (9, 6, 32, 32)


@pytest.fixture
def new_scans(tmp_path, use_model, monkeypatch):
    """Two scans, and a preprocessing that takes them as aligned brains of the right size."""
    use_model(model())
    scans, rng = {}, np.random.default_rng(5)
    for name in ("T1w", "T2w"):
        v = NORMALIZERS[name]
        scans[name] = tmp_path / f"scan_{name}.nii.gz"
        data = np.where(brain_mask(), rng.uniform(v["low"], v["high"], SHAPE), 0).astype("f4")
        write_image(scans[name], Image(data, COMMON))

    def preprocess_session(paths, given, annotations, settings):
        assert settings == PREPROCESS
        volumes = {name: read_image(path).data for name, path in given.items()}
        file = write_preprocessed(paths.root, paths.key, volumes=volumes)
        assert file == paths.status
        return Status(**json.loads(file.read_text()))

    module = SimpleNamespace(
        Annotations=lambda brain_masks, lesions: None, preprocess_session=preprocess_session
    )
    monkeypatch.setitem(sys.modules, "crossmod.preprocess.session", module)
    return scans


def test_new_scans_give_one_image_and_its_sidecar(tmp_path, new_scans, caplog):
    caplog.set_level("INFO")
    output, work = tmp_path / "out" / "flair.nii", tmp_path / "work"
    work.mkdir()
    synthesize_scans(tmp_path / "checkpoint.pt", new_scans, output, work)
    low, high = NORMALIZERS["T1w"].values()
    value = 100 + 800 * (read_image(new_scans["T1w"]).data - low) / (high - low)
    image = read_image(output)
    np.testing.assert_allclose(image.data, np.where(brain_mask(), value, 0), atol=0.01)
    assert json.loads((tmp_path / "out" / "flair.json").read_text())["Synthetic"] is True
    assert not list(work.iterdir())
    said = [message.partition(" (")[0] for message in caplog.messages]
    assert said == ["sub-new: preprocess done", "sub-new: slices done"]


def test_new_scans_are_checked_before_any_work(tmp_path, new_scans, use_model):
    checkpoint, output = tmp_path / "checkpoint.pt", tmp_path / "flair.nii.gz"
    with pytest.raises(ContractError, match=r"T2w not given; add --t2w FILE"):
        synthesize_scans(checkpoint, {"T1w": new_scans["T1w"]}, output)
    with pytest.raises(ContractError, match="leave out --pdw"):
        synthesize_scans(checkpoint, {**new_scans, "PDw": new_scans["T1w"]}, output)
    use_model(model(method="milr"))
    synthesize_scans(checkpoint, {"T1w": new_scans["T1w"]}, tmp_path / "part.nii.gz")
    with pytest.raises(ContractError, match="T1w and T2w not given"):
        synthesize_scans(checkpoint, {}, output)
    link = tmp_path / "link.nii.gz"
    link.symlink_to(new_scans["T2w"])
    for path in (new_scans["T1w"], link):
        with pytest.raises(InputError, match="would overwrite an input"):
            synthesize_scans(checkpoint, new_scans, path)
    with pytest.raises(InputError, match=r"end it with .nii.gz"):
        synthesize_scans(checkpoint, new_scans, tmp_path / "flair.png")
    assert not output.exists()


def test_new_scans_that_cannot_be_sliced_are_refused(tmp_path, new_scans, use_model):
    use_model(model(size=16))
    with pytest.raises(InputError, match=r"scan_T1w.nii.gz: cannot be sliced .*slices cover 16"):
        synthesize_scans(tmp_path / "checkpoint.pt", new_scans, tmp_path / "flair.nii.gz")
    assert not (tmp_path / "flair.nii.gz").exists()


def test_a_new_scan_that_preprocessing_dropped_is_named(tmp_path, new_scans, monkeypatch):
    def drop(paths, given, annotations, settings):
        volumes = {"T1w": read_image(given["T1w"]).data}
        file = write_preprocessed(paths.root, paths.key, volumes=volumes)
        content = json.loads(file.read_text())
        content["details"]["notes"] = ["T2w left out: is constant"]
        return Status(**content)

    monkeypatch.setattr(sys.modules["crossmod.preprocess.session"], "preprocess_session", drop)
    with pytest.raises(InputError, match=r"scan_T2w.nii.gz: could not .*T2w left out: is constant"):
        synthesize_scans(tmp_path / "checkpoint.pt", new_scans, tmp_path / "flair.nii.gz")
