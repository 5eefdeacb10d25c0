"""Slice geometry, stores and the choice of training slices."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmod.config import PreprocessSettings, SliceSettings
from crossmod.data.store import Geometry, Store, context_channels
from crossmod.errors import InputError
from crossmod.hashing import hash_file
from crossmod.io import Image, write_image
from crossmod.planes import place_section, to_plane, to_volume
from crossmod.settings import TrainingSettings
from crossmod.slices import make_store
from crossmod.status import Status, describe_outputs, write_status

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
PREPROCESS = PreprocessSettings(spacing_mm=2.0)
NORMALIZERS = {"T1w": {"low": 10.0, "high": 110.0}, "FLAIR": {"low": -5.0, "high": 45.0}}


def geometry(shape, start, size, halvings=0, fit="pad"):
    rows = tuple(tuple(float(v) for v in row) for row in AFFINE)
    return Geometry(shape, rows, start, size, halvings, fit)


def resized(shape, size):
    """Geometry of resized slices of a field of view."""
    chosen = SliceSettings(size=size, fit="resize")
    return place_section(np.ones(shape, dtype=bool), AFFINE, chosen, "here")


def write_session(folder, brain, volumes, fields=None, normalizers=None):
    """A preprocessed session as its stage leaves it; returns the status file."""
    status_file = folder / "sub-01_desc-preproc_status.json"
    files = {"brain": brain, **volumes}
    files |= {f"fov-{name}": mask for name, mask in (fields or {}).items()}
    paths = {}
    for name, data in files.items():
        paths[name] = folder / "sub-01" / "anat" / f"{name}.nii.gz"
        write_image(paths[name], Image(data, AFFINE))
    details = {"space": "T1w", "reference": "T1w", "normalizers": normalizers or NORMALIZERS}
    outputs = describe_outputs(status_file, paths)
    write_status(status_file, Status("preprocess", "sub-01", outputs=outputs, details=details))
    return status_file


@pytest.fixture
def session(tmp_path):
    rng = np.random.default_rng(0)
    brain = np.zeros((22, 26, 14), dtype=bool)
    brain[4:18, 3:23, 2:11] = True
    brain[4:18, 3:23, 2] = False
    brain[9:12, 10:14, 2] = True  # a nearly empty slice
    volumes = {
        name: np.where(brain, rng.uniform(v["low"], v["high"], brain.shape), 0).astype("f4")
        for name, v in NORMALIZERS.items()
    }
    field = np.zeros_like(brain)
    field[:, :, :7] = True  # FLAIR covers the lower half
    return write_session(tmp_path, brain, volumes, {"FLAIR": field}), brain, volumes


@given(
    shape=st.tuples(*[st.integers(2, 12)] * 3),
    pad=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_without_halving_planes_and_volumes_are_inverse(shape, pad, seed):
    volume = np.random.default_rng(seed).random(shape, dtype=np.float32)
    size = max(shape[0] + pad[0], shape[1] + pad[1])
    place = geometry(shape, (-pad[0], -pad[1]), size)
    slices = to_plane(volume, place)
    assert slices.shape == (shape[2], size, size)
    assert slices.sum() == pytest.approx(volume.sum(), rel=1e-5)
    np.testing.assert_array_equal(to_volume(slices, place, 0), volume)


@given(
    start=st.tuples(st.integers(-9, 15), st.integers(-9, 15)),
    halvings=st.integers(0, 2),
)
@settings(max_examples=60, deadline=None)
def test_any_crop_start_puts_voxels_where_they_were(start, halvings):
    shape, size = (10, 12, 3), 4
    place = geometry(shape, start, size, halvings)
    volume = np.ones(shape, dtype=np.float32)
    back = to_volume(np.ones((3, size, size)), place, 0)
    x, y = np.arange(shape[0]) - start[0], np.arange(shape[1]) - start[1]
    covered = ((x >= 0) & (x < place.span))[:, None] & ((y >= 0) & (y < place.span))
    np.testing.assert_array_equal(back > 0, np.broadcast_to(covered[..., None], shape))
    # The slices hold the volume's share of their square, wherever it lies.
    assert to_plane(volume, place).sum() * place.factor**2 == covered.sum() * shape[2]


@pytest.mark.parametrize("halvings", [1, 2, 3])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1.0])
def test_constants_survive_exactly(halvings, value):
    shape = (32, 32, 2)
    place = geometry(shape, (0, 0), 32 // 2**halvings, halvings)
    volume = np.full(shape, value, dtype=np.float32)
    np.testing.assert_array_equal(to_volume(to_plane(volume, place), place, 0), volume)


@pytest.mark.parametrize("halvings", [1, 2])
def test_a_ramp_survives_away_from_the_borders(halvings):
    shape = (32, 32, 2)
    place = geometry(shape, (0, 0), 32 // 2**halvings, halvings)
    x, y, z = np.indices(shape, dtype=np.float32)
    volume = 0.3 * x - 0.7 * y + z
    back = to_volume(to_plane(volume, place), place, 0)
    edge = place.factor // 2
    inner = (slice(edge, -edge), slice(edge, -edge))
    np.testing.assert_allclose(back[inner], volume[inner], atol=1e-5)
    assert np.abs(back - volume).max() > 0.1  # the borders cannot


def test_halving_is_the_mean_of_four():
    place = geometry((4, 4, 1), (0, 0), 2, 1)
    volume = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    expected = [[np.mean([0, 1, 4, 5]), np.mean([2, 3, 6, 7])], [10.5, 12.5]]
    np.testing.assert_array_equal(to_plane(volume, place)[0], expected)


@pytest.mark.parametrize(("size", "margin"), [(32, 1), (24, 1), (16, 2)])
def test_a_ramp_survives_resizing_away_from_the_borders(size, margin):
    shape = (24, 24, 2)
    place = resized(shape, size)
    x, y, z = np.indices(shape, dtype=np.float32)
    volume = 0.3 * x - 0.7 * y + z
    slices = to_plane(volume, place)
    assert slices.shape == (2, size, size)
    # The corners of slice and section coincide: what lies between the centers is the same ramp.
    j, k = np.indices((size, size)) * 24 / size + 12 / size - 0.5
    inner = (slice(margin, -margin),) * 2
    np.testing.assert_allclose(slices[0][inner], (0.3 * j - 0.7 * k)[inner], atol=1e-5)
    back = to_volume(slices, place, 0)
    np.testing.assert_allclose(back[inner], volume[inner], atol=1e-5)


@pytest.mark.parametrize("size", [16, 24, 40])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1.0])
def test_constants_survive_resizing_exactly(size, value):
    volume = np.full((24, 24, 2), value, dtype=np.float32)
    place = resized(volume.shape, size)
    slices = to_plane(volume, place)
    np.testing.assert_array_equal(slices, np.full((2, size, size), value, dtype=np.float32))
    np.testing.assert_array_equal(to_volume(slices, place, 0), volume)


def test_resizing_to_the_same_size_changes_nothing_and_to_half_is_halving():
    volume = np.random.default_rng(0).random((32, 32, 3), dtype=np.float32)
    np.testing.assert_array_equal(
        to_plane(volume, resized(volume.shape, 32)), volume.T.swapaxes(1, 2)
    )
    halved = to_plane(volume, geometry(volume.shape, (0, 0), 16, 1))
    np.testing.assert_allclose(to_plane(volume, resized(volume.shape, 16)), halved, atol=1e-6)


@pytest.mark.parametrize("size", [24, 40, 56])
def test_resizing_is_the_bilinear_interpolation_of_torch(size):
    torch = pytest.importorskip("torch")
    volume = np.random.default_rng(1).random((30, 30, 2), dtype=np.float32)
    place = resized(volume.shape, size)
    slices = to_plane(volume, place)
    options = {"mode": "bilinear", "align_corners": False}
    there = torch.from_numpy(volume.transpose(2, 0, 1).copy())[None]
    expected = torch.nn.functional.interpolate(there, (size, size), **options)
    np.testing.assert_allclose(slices, expected[0].numpy(), atol=1e-5)
    again = torch.nn.functional.interpolate(expected, (30, 30), **options)
    np.testing.assert_allclose(
        to_volume(slices, place, 0), again[0].numpy().transpose(1, 2, 0), atol=1e-5
    )


def test_a_field_of_view_that_is_no_square_is_padded_and_not_stretched():
    shape = (16, 20, 2)
    place = resized(shape, 40)
    assert (place.crop_start, place.span) == ((-2, 0), 20)
    slices = to_plane(np.ones(shape, dtype=np.float32), place)
    # Two pixels to a voxel; between the last voxel and the padding values fall off.
    assert slices[0, :3].max() == slices[0, 37:].max() == 0
    assert slices[0, 5:35].min() == 1
    dot = np.zeros(shape, dtype=np.float32)
    dot[3, 7, 1] = 1
    found = to_plane(dot, place)[1]
    np.testing.assert_allclose(
        [(found.sum(axis=1 - a) * np.arange(40)).sum() / found.sum() for a in (0, 1)],
        [(2 + 3) * 2 + 0.5, 7 * 2 + 0.5],
    )
    assert np.unravel_index(to_volume(to_plane(dot, place), place, 0).argmax(), shape) == (3, 7, 1)


def test_a_field_of_view_of_which_voxels_would_be_passed_over_is_refused():
    assert resized((40, 64, 3), 32).span == 64
    with pytest.raises(InputError, match=r"40 x 65 voxels.*raise slices.size to at least 33"):
        resized((40, 65, 3), 32)


def test_slices_that_do_not_fit_are_refused():
    place = geometry((8, 8, 4), (0, 0), 8)
    with pytest.raises(ValueError, match="do not fit the grid"):
        to_plane(np.zeros((7, 8, 4)), place)
    with pytest.raises(ValueError, match="do not fit into 4"):
        to_volume(np.zeros((3, 8, 8)), place, 2)
    with pytest.raises(ValueError, match="do not fit the size"):
        to_volume(np.zeros((3, 4, 8)), place, 0)


@given(low=st.tuples(st.integers(0, 8), st.integers(0, 8)), extent=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_crop_holds_the_brain_in_its_middle(low, extent):
    brain = np.zeros((20, 20, 3), dtype=bool)
    brain[low[0] : low[0] + extent, low[1] : low[1] + extent, 1] = True
    place = place_section(brain, AFFINE, SliceSettings(size=16), "here")
    assert to_plane(brain.astype("f4"), place).sum() == brain.sum()
    for axis in (0, 1):
        before = low[axis] - place.crop_start[axis]
        after = place.crop_start[axis] + 16 - low[axis] - extent
        assert after - before in (0, 1)


def test_store_holds_what_the_manifest_says(session, tmp_path):
    status_file, brain, volumes = session
    file = tmp_path / "store" / "sub-01_slices.json"
    manifest = make_store(status_file, file, SliceSettings(size=32), PREPROCESS)
    assert json.loads(file.read_text()) == manifest
    assert manifest["format"] == "crossmod-slices-1"
    assert manifest["verdict"] == "ok"
    assert manifest["sha256"] == hash_file(file.with_suffix(".npy"))
    assert manifest["modalities"] == ["T1w", "FLAIR"]
    assert manifest["shape"] == [2, 9, 32, 32]
    assert manifest["first_slice"] == 2
    assert manifest["preprocessed"] == {
        "preprocess": PREPROCESS.model_dump(mode="json"),
        "hash": PREPROCESS.hash,
        "space": "native",
        "spacing_mm": 2.0,
    }
    store = Store.open(file)
    assert isinstance(store.array, np.memmap)
    assert store.array.min() == 0
    assert 0.9 < store.array.max() <= 1
    back = to_volume(store.array[0], store.geometry, store.first_slice)
    np.testing.assert_allclose(back, np.where(brain, (volumes["T1w"] - 10) / 100, 0), atol=1e-6)
    percentiles = np.percentile(back[brain], (1, *range(10, 100, 10), 99))
    assert store.landmarks["T1w"] == pytest.approx(percentiles, abs=1e-5)


def test_a_store_of_resized_slices_says_so(session, tmp_path):
    file = tmp_path / "sub-01_slices.json"
    manifest = make_store(session[0], file, SliceSettings(size=32, fit="resize"), PREPROCESS)
    assert manifest["geometry"]["fit"] == "resize"
    store = Store.open(file)
    assert store.geometry == geometry((22, 26, 14), (-2, 0), 32, fit="resize")
    assert store.array.shape == (2, 9, 32, 32)


def test_padded_stores_are_those_of_versions_without_resizing(session, tmp_path):
    file = tmp_path / "sub-01_slices.json"
    manifest = make_store(session[0], file, SliceSettings(size=32), PREPROCESS)
    keys = ["volume_shape", "affine", "crop_start", "size", "halvings"]
    assert list(manifest["geometry"]) == keys
    assert Store.open(file).geometry.fit == "pad"
    assert "intensity" not in manifest["preprocessed"]["preprocess"]


def test_occupancy_counts_the_brain_that_a_scan_covers(session, tmp_path):
    status_file, brain, _ = session
    file = tmp_path / "sub-01_slices.json"
    make_store(status_file, file, SliceSettings(size=32), PREPROCESS)
    store = Store.open(file)
    counts = brain.sum(axis=(0, 1))[2:11]
    np.testing.assert_array_equal(store.occupancy["T1w"], counts)
    np.testing.assert_array_equal(store.occupancy["FLAIR"], [*counts[:5], 0, 0, 0, 0])
    assert store.array[1, 5:].max() == 0
    # Below zero at `low`: what the scan does not cover is still background.
    assert NORMALIZERS["FLAIR"]["low"] < 0


def test_half_precision_store_is_close(session, tmp_path):
    files = {}
    for dtype in ("float32", "float16"):
        files[dtype] = tmp_path / f"{dtype}_slices.json"
        chosen = SliceSettings(size=16, halvings=1, dtype=dtype)
        make_store(session[0], files[dtype], chosen, PREPROCESS)
    exact, half = (Store.open(files[d]).array for d in ("float32", "float16"))
    assert half.dtype == np.float16
    np.testing.assert_allclose(exact, half, atol=5e-4)


def test_same_bytes_twice(session, tmp_path):
    files = [tmp_path / name / "sub-01_slices.json" for name in "ab"]
    for file in files:
        make_store(session[0], file, SliceSettings(size=16, halvings=1), PREPROCESS)
    for suffix in (".json", ".npy"):
        first, second = (file.with_suffix(suffix).read_bytes() for file in files)
        assert first == second


def test_brain_larger_than_the_crop_fails_with_reason(session, tmp_path, caplog):
    file = tmp_path / "sub-01_slices.json"
    manifest = make_store(session[0], file, SliceSettings(size=16), PREPROCESS)
    assert manifest["verdict"] == "failed"
    assert "brain of 20 voxels along y, slices cover 16" in manifest["reason"]
    assert "left out" in caplog.text
    assert np.load(file.with_suffix(".npy")).size == 0


def test_failed_preprocessing_is_passed_on(tmp_path):
    status_file = tmp_path / "status.json"
    failed = Status("preprocess", "sub-02_ses-1", "failed", "x.nii.gz: is empty; copy it again")
    write_status(status_file, failed)
    file = tmp_path / "sub-02_ses-1_slices.json"
    manifest = make_store(status_file, file, SliceSettings(), PREPROCESS)
    assert (manifest["verdict"], manifest["reason"]) == ("failed", failed.reason)
    assert manifest["participant"] == "sub-02"
    store = Store.open(file)
    assert (store.ok, len(store), store.modalities) == (False, 0, [])
    assert np.load(file.with_suffix(".npy")).size == 0
    for ask in (lambda: store.array, lambda: store.geometry, lambda: store.rows(["T1w"])):
        with pytest.raises(InputError, match="has no slices"):
            ask()


def test_volume_on_another_grid_fails_with_reason(session, tmp_path):
    write_image(tmp_path / "sub-01/anat/FLAIR.nii.gz", Image(np.ones((5, 5, 5), "f4"), AFFINE))
    file = tmp_path / "sub-01_slices.json"
    manifest = make_store(session[0], file, SliceSettings(size=32), PREPROCESS)
    assert "not lie on the grid" in manifest["reason"]


def test_array_that_is_not_the_manifests_is_refused(session, tmp_path):
    file = tmp_path / "sub-01_slices.json"
    make_store(session[0], file, SliceSettings(size=32), PREPROCESS)
    np.save(file.with_suffix(".npy"), np.zeros((1, 2, 3, 3), "f4"))
    with pytest.raises(InputError, match="not what its manifest says"):
        _ = Store.open(file).array
    file.with_suffix(".npy").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read"):
        _ = Store.open(file).array
    file.write_text('{"format": "other"}')
    with pytest.raises(InputError, match="no slice manifest"):
        Store.open(file)


def counted(tmp_path, **occupancy):
    """A store of which only the occupancy matters."""
    manifest = {"format": "crossmod-slices-1", "verdict": "ok", "reason": ""}
    manifest |= {"modalities": list(occupancy), "occupancy": occupancy}
    return Store(tmp_path / "sub-01_slices.json", manifest)


def test_training_slices_by_brain_area(tmp_path):
    store = counted(tmp_path, T1w=[1, 20, 100, 90, 10], T2w=[5, 50, 50, 4, 50], FLAIR=[0] * 5)
    chosen = TrainingSettings(slices="brain", brain_fraction=0.2)
    assert store.training_slices(["T1w"], chosen).tolist() == [1, 2, 3]
    assert store.training_slices(["T1w", "T2w"], chosen).tolist() == [1, 2]
    everything = TrainingSettings(slices="brain", brain_fraction=0)
    assert store.training_slices(["T1w"], everything).tolist() == [0, 1, 2, 3, 4]
    assert store.training_slices(["FLAIR"], everything).tolist() == []


def test_training_slices_from_the_middle(tmp_path):
    store = counted(tmp_path, T1w=[0, 1, 1, 0, 1, 1, 1, 0], T2w=[0, 0, 1, 1, 1, 1, 1, 1])
    middle = {n: TrainingSettings(slices="middle", middle=n) for n in (1, 3, 80)}
    assert store.training_slices(["T1w"], middle[3]).tolist() == [2, 3, 4]
    assert store.training_slices(["T1w"], middle[80]).tolist() == [1, 2, 3, 4, 5, 6]
    assert store.training_slices(["T1w", "T2w"], middle[1]).tolist() == [4]


@given(target=st.lists(st.integers(0, 9), min_size=6, max_size=6), rule=st.sampled_from("bm"))
@settings(max_examples=30, deadline=None)
def test_training_slices_ignore_the_target(tmp_path_factory, target, rule):
    chosen = TrainingSettings(slices={"b": "brain", "m": "middle"}[rule], middle=3)
    source = [0, 3, 9, 8, 2, 1]
    folder = tmp_path_factory.getbasetemp()
    with_target = counted(folder, T1w=source, FLAIR=target)
    alone = counted(folder, T1w=source)
    picks = [store.training_slices(["T1w"], chosen).tolist() for store in (with_target, alone)]
    assert picks[0] == picks[1] != []


def test_channels_are_ordered_source_by_source_and_edges_repeat():
    array = np.arange(10, dtype=np.float16).reshape(2, 5, 1, 1) / 10
    channels = context_channels(array, rows=[1, 0], indices=[0, 2, 4], context=1)
    assert channels.dtype == np.float32
    values = np.round((channels[..., 0, 0] + 1) / 2 * 10, 2)
    np.testing.assert_allclose(
        values, [[5, 5, 6, 0, 0, 1], [6, 7, 8, 1, 2, 3], [8, 9, 9, 3, 4, 4]], atol=0.01
    )
