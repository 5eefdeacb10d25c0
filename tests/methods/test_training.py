"""Data, loop, checkpoint and cost, apart from what every method must do."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from slice_stores import write_store

from crossmod.data.dataset import OPEN_STORES, Shuffle, SliceDataset
from crossmod.errors import ConfigError, ContractError, InputError
from crossmod.settings import TaskSettings, TrainingSettings
from crossmod.training import checkpoint, loop
from crossmod.training.cost import cost
from crossmod.training.curve import Curve, clock
from crossmod.training.reading import BatchReader
from crossmod.training.request import make_contract

TASK = TaskSettings(sources=("T1w", "T2w"), target="FLAIR")


def run(request: Any, folder: Path) -> checkpoint.LoadedModel:
    loop.train(request, folder / "a.pt", folder / "a.tsv", folder / "resume")
    return checkpoint.load_model(folder / "a.pt", device="cpu")


def curve_of(folder: Path) -> list[list[str]]:
    return [line.split("\t") for line in (folder / "a.tsv").read_text().splitlines()]


# --- data


def test_slices_come_as_networks_see_them(stores: list[Path]) -> None:
    data = SliceDataset(stores, TASK, TrainingSettings(context=1))
    assert len(data) == 18
    batch = data.batch(np.array([0, 7]))
    array = np.load(stores[1].with_suffix(".npy"))
    assert batch["source"].shape == (2, 6, 32, 32)
    assert batch["source"].dtype == batch["target"].dtype == torch.float32
    np.testing.assert_allclose(batch["source"][1, 1], 2 * array[0, 1] - 1, atol=1e-6)
    np.testing.assert_allclose(batch["source"][1, 3], 2 * array[1, 0] - 1, atol=1e-6)
    np.testing.assert_allclose(batch["target"][1, 0], 2 * array[2, 1] - 1, atol=1e-6)
    assert torch.equal(batch["source"][0, 0], batch["source"][0, 1])  # below the first slice


def test_flips_mirror_left_and_right_of_source_and_target(stores: list[Path]) -> None:
    data = SliceDataset(stores, TASK, TrainingSettings())
    plain = data.batch(np.array([3, 4]))
    flipped = data.batch(np.array([3, 4]), np.array([True, False]))
    for name in ("source", "target"):
        assert torch.equal(flipped[name][0], plain[name][0].flip(1))
        assert torch.equal(flipped[name][1], plain[name][1])


def test_sessions_that_cannot_be_used_are_named(
    stores: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = write_store(tmp_path, "sub-08", verdict="failed", reason="no brain found")
    lacking = write_store(tmp_path, "sub-09", modalities=["T1w", "T2w", "PDw"])
    data = SliceDataset([stores[0], failed, lacking], TASK, TrainingSettings())
    assert [member.session for member in data.members] == ["sub-00"]
    printed = capsys.readouterr().err
    assert "2 sessions left out: sub-08 (no brain found); sub-09 (no FLAIR)" in printed
    with pytest.raises(InputError, match="none of 2 sessions can be trained on"):
        SliceDataset([failed, lacking], TASK, TrainingSettings())


def test_slices_without_target_teach_nothing(tmp_path: Path) -> None:
    full = [500] * 6
    occupancy = {"T1w": full, "T2w": full, "FLAIR": [0, 100, 400, 500, 500, 0]}
    store = write_store(tmp_path, "sub-01", occupancy=occupancy)
    data = SliceDataset([store], TASK, TrainingSettings())
    assert data.members[0].slices.tolist() == [2, 3, 4]


def test_many_sessions_need_few_open_files(tmp_path: Path) -> None:
    count = OPEN_STORES + 20
    stores = [write_store(tmp_path, f"sub-{i:03d}", seed=i) for i in range(count)]
    data = SliceDataset(stores, TASK, TrainingSettings())
    before = len(os.listdir("/proc/self/fd"))
    for batch in data.passes(16):
        assert batch["source"].shape[1:] == (2, 32, 32)
    assert len(os.listdir("/proc/self/fd")) - before <= OPEN_STORES + 2


def test_shuffle_shows_every_slice_once_per_pass_in_full_batches() -> None:
    shuffle = Shuffle(length=10, seed=3, batch_size=4)
    seen = np.concatenate([shuffle.indices(step) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist()
    again = Shuffle(length=10, seed=3, batch_size=4)
    assert again.indices(3).tolist() == shuffle.indices(3).tolist()
    assert Shuffle(10, 4, 4).indices(3).tolist() != shuffle.indices(3).tolist()
    assert Shuffle(length=2, seed=0, batch_size=5).indices(0).shape == (5,)


# --- contract


def test_contract_describes_the_training_data(
    request_of: Callable[..., Any], stores: list[Path]
) -> None:
    request = request_of("brain-mean", context=1)
    training = SliceDataset(stores[:2], TASK, request.training)
    validation = SliceDataset(stores[2:], TASK, request.training, "validation")
    contract = make_contract(request, training, validation)
    assert (contract.sources, contract.target, contract.channels) == (("T1w", "T2w"), "FLAIR", 6)
    assert (contract.size, contract.halvings, contract.spacing_mm) == (32, 0, 1.0)
    # Normalizers are (1 + seed, 100 + seed); seeds 0 and 1 train.
    assert contract.cohort == {m: [1.5, 100.5] for m in ("T1w", "T2w", "FLAIR")}
    other = make_contract(request, training, training)
    assert other.split != contract.split
    json.dumps(contract.to_dict())


def test_stores_made_differently_are_refused(
    request_of: Callable[..., Any], stores: list[Path], tmp_path: Path
) -> None:
    from dataclasses import replace

    geometry = json.loads(stores[0].read_text())["geometry"] | {"halvings": 1}
    odd = write_store(tmp_path, "sub-07", geometry=geometry)
    request = replace(request_of("brain-mean"), train_manifests=(stores[0], odd))
    with pytest.raises(ContractError, match=r"sub-07.* was sliced or preprocessed otherwise"):
        run(request, tmp_path)


# --- loop


def test_curve_has_losses_of_each_epoch_and_scores_of_some(
    request_of: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = run(request_of("unet", epochs=5), tmp_path)
    rows = curve_of(tmp_path)
    assert rows[0] == ["epoch", "step", "split", "name", "value"]
    losses = [(r[0], r[1]) for r in rows if r[2:4] == ["train", "l1"]]
    assert losses == [("1", "2"), ("2", "4"), ("3", "6"), ("4", "8"), ("5", "10")]
    assert [r[0] for r in rows if r[2:4] == ["validation", "psnr"]] == ["2", "4", "5"]
    assert model.info["kept_epoch"] == model.info["epochs"] == 5
    printed = capsys.readouterr().err
    assert "4 for validation" not in printed
    assert "epoch 5/5: l1 " in printed
    assert "slices/s" in printed


@pytest.mark.parametrize("waited_s, told", [(0.0, False), (1e6, True)])
def test_progress_tells_when_training_waits_for_data(
    waited_s: float, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = Curve(epochs=1)
    curve.show(1, slices=4, waited_s=waited_s)
    assert ("waiting for data" in capsys.readouterr().err) == told


def test_the_reader_counts_how_long_training_waits_for_it(
    stores: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = SliceDataset(stores, TASK, TrainingSettings())
    read = data.batch

    def slow(*arguments: Any) -> Any:
        time.sleep(0.05)
        return read(*arguments)

    monkeypatch.setattr(data, "batch", slow)
    reader = BatchReader(data, Shuffle(len(data), seed=0, batch_size=2))
    batches = list(reader.batches(range(3)))
    assert reader.waited_s >= 3 * 0.05
    assert all(
        torch.equal(batch["source"], reader.read(i)["source"]) for i, batch in enumerate(batches)
    )


def test_validation_scores_what_the_checkpoint_makes(
    request_of: Callable[..., Any], stores: list[Path], tmp_path: Path
) -> None:
    model = run(request_of("pix2pix"), tmp_path)
    array = np.load(stores[2].with_suffix(".npy"))
    source = np.ascontiguousarray(2 * array[:2].swapaxes(0, 1) - 1)
    values = (model.synthesize(source)[:, 0] + 1) / 2
    error = (values - array[2])[(array[:2] > 0).any(axis=0)]
    psnr = -10 * np.log10(np.mean(error.astype(float) ** 2))
    assert float(curve_of(tmp_path)[-1][4]) == pytest.approx(psnr, abs=1e-4)


def test_a_network_learns_to_beat_the_constant_brain(
    request_of: Callable[..., Any], tmp_path: Path
) -> None:
    settings = {"width": 8, "learning_rate": 2e-3}
    run(request_of("unet", settings, epochs=12, steps_per_epoch=10, validate_every=12), tmp_path)
    unet = float(curve_of(tmp_path)[-1][4])
    run(request_of("brain-mean"), tmp_path)
    assert unet > float(curve_of(tmp_path)[-1][4]) + 3


def test_best_keeps_the_weights_of_the_best_validation(
    request_of: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([10.0, 30.0, 20.0])
    kept = []

    def score(method: Any, *rest: Any) -> float:
        kept.append(checkpoint.on_cpu(method.state_dict()))
        return next(scores)

    monkeypatch.setattr(loop, "validation_psnr", score)
    model = run(request_of("unet", epochs=6, keep="best"), tmp_path)
    assert model.info["kept_epoch"] == 4
    weights = checkpoint.read(tmp_path / "a.pt")["weights"]["generator"]
    for key, value in weights.items():
        assert torch.equal(value, kept[1]["generator"][key])
    assert any(not torch.equal(v, kept[2]["generator"][k]) for k, v in weights.items())


def test_best_needs_validation_sessions(request_of: Callable[..., Any], tmp_path: Path) -> None:
    from dataclasses import replace

    request = replace(request_of("unet", keep="best"), validation_manifests=())
    with pytest.raises(ConfigError, match=r"training\.keep: is 'best', but there is no valid"):
        run(request, tmp_path)


def test_trains_without_validation_sessions(request_of: Callable[..., Any], tmp_path: Path) -> None:
    from dataclasses import replace

    run(replace(request_of("unet"), validation_manifests=()), tmp_path)
    assert {row[2] for row in curve_of(tmp_path)[1:]} == {"train"}


def test_state_of_another_request_is_ignored(
    request_of: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(loop, "_write_outputs", lambda *a: sys.exit(3))
    for _ in range(2):  # both are killed before the end and leave their state
        with pytest.raises(SystemExit):
            run(request_of("unet"), tmp_path)
    assert "resumed after epoch 2" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(request_of("unet", {"learning_rate": 1e-3}), tmp_path)
    printed = capsys.readouterr().err
    assert "resume state ignored" in printed
    assert "resumed" not in printed
    (tmp_path / "resume" / "state.pt").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(SystemExit):
        run(request_of("unet", {"learning_rate": 1e-3}), tmp_path)
    assert "resume state ignored" in capsys.readouterr().err


def test_divergence_stops_the_training(request_of: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="became infinite or NaN in epoch"):
        run(request_of("unet", {"learning_rate": 1e30}, epochs=6), tmp_path)
    assert not (tmp_path / "a.pt").exists()


def test_bf16_and_channels_last_give_nearly_the_same_model(
    request_of: Callable[..., Any], tmp_path: Path
) -> None:
    source = np.random.default_rng(0).random((1, 2, 32, 32), dtype=np.float32)
    plain = run(request_of("unet"), tmp_path).synthesize(source)
    # `compile` is ignored on a CPU; channels_last changes the order of sums at most.
    layout = run(request_of("unet", channels_last=True, compile=True), tmp_path).synthesize(source)
    np.testing.assert_allclose(layout, plain, atol=1e-3)
    low = run(request_of("unet", precision="bf16-mixed"), tmp_path).synthesize(source)
    assert 0 < np.abs(low - plain).max() < 0.1


@pytest.mark.slow
def test_two_devices_share_the_work(request_of: Callable[..., Any], tmp_path: Path) -> None:
    """Two processes on a CPU: halves of each batch, averaged gradients, one checkpoint."""
    settings = {"norm": "instance", "dropout": 0.0}
    one = request_of("pix2pix", settings, epochs=2, batch_size=4)
    two = request_of("pix2pix", settings, epochs=2, batch_size=2, devices=2, accelerator="cpu")
    source = np.random.default_rng(0).random((1, 2, 32, 32), dtype=np.float32)
    alone, together = run(one, tmp_path / "one"), run(two, tmp_path / "two")
    np.testing.assert_allclose(together.synthesize(source), alone.synthesize(source), atol=1e-3)
    assert len(curve_of(tmp_path / "two")) == len(curve_of(tmp_path / "one"))


# --- checkpoint


def test_reading_a_checkpoint_runs_nothing(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'sprung'}",)

    torch.save({"format": checkpoint.FORMAT, "weights": Trap()}, tmp_path / "trap.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Trap()))
    for name in ("trap.pt", "pickle.pt"):
        with pytest.raises(ContractError, match="is no checkpoint, or a damaged one"):
            checkpoint.load_model(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_files_that_are_no_checkpoint_give_one_line(
    request_of: Callable[..., Any], tmp_path: Path
) -> None:
    run(request_of("linear-regression"), tmp_path)
    good = (tmp_path / "a.pt").read_bytes()
    content = checkpoint.read(tmp_path / "a.pt")
    checkpoint.write(tmp_path / "foreign.pt", {"state_dict": {}})
    checkpoint.write(tmp_path / "method.pt", {**content, "method": "pix3pix"})
    checkpoint.write(tmp_path / "weights.pt", {**content, "weights": {"coefficients": {}}})
    checkpoint.write(tmp_path / "contract.pt", {**content, "contract": {"sources": ["T1w"]}})
    checkpoint.write(tmp_path / "settings.pt", {**content, "settings": {"width": 3}})
    checkpoint.write(tmp_path / "list.pt", [1, 2])  # type: ignore[arg-type]
    (tmp_path / "torn.pt").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "text.pt").write_text("not a model")
    files = sorted(tmp_path.glob("*.pt"))
    assert len(files) == 10
    for path in [*(f for f in files if f.name != "a.pt"), tmp_path / "absent.pt", tmp_path]:
        with pytest.raises(ContractError) as caught:
            checkpoint.load_model(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)


def test_synthesis_does_not_wait_for_the_training_library(
    request_of: Callable[..., Any], tmp_path: Path
) -> None:
    run(request_of("unet"), tmp_path)
    code = "import sys; from crossmod.training.checkpoint import load_model; load_model('a.pt')\n"
    code += (
        "print([m for m in ('lightning_fabric', 'torch._dynamo', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_no_path_or_time_in_the_outputs(request_of: Callable[..., Any], tmp_path: Path) -> None:
    run(request_of("unet"), tmp_path)
    assert str(tmp_path).encode() not in (tmp_path / "a.pt").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pt", "a.tsv"]


# --- cost


def test_cost_of_the_full_model() -> None:
    model = {"method": "pix2pix", "settings": {}, "training": {"context": 0}}
    found = cost(model, sources=2, size=256)
    assert found["parameters"] == 54_409_409 + 2_765_633
    assert found["flops_per_slice"] == pytest.approx(11.9e9, rel=0.01)
    assert 5 < found["flops_per_training_slice"] / found["flops_per_slice"] < 10


def test_cost_of_null_models() -> None:
    copy = {"method": "copy-source", "settings": {"source": "T2w"}, "training": {"context": 1}}
    assert cost(copy, sources=2, size=64)["parameters"] == 2
    regression = {"method": "linear-regression", "settings": {}, "training": {"context": 1}}
    assert cost(regression, sources=2, size=64)["parameters"] == 7
    forest = {"method": "replica", "settings": {}}
    assert set(cost(forest, sources=2, size=64).values()) == {0}


def test_clock() -> None:
    assert [clock(s) for s in (0, 61, 3661)] == ["0:00:00", "0:01:01", "1:01:01"]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_trains_and_resumes_on_a_gpu(
    precision: str,
    request_of: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    request = request_of(
        "pix2pix", precision=precision, channels_last=True, accelerator="cuda", epochs=4
    )
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_write_outputs", lambda *a: sys.exit(3))
        with pytest.raises(SystemExit):
            run(request, tmp_path)
    run(request, tmp_path)
    assert "resumed after epoch 3" in capsys.readouterr().err
    model = checkpoint.load_model(tmp_path / "a.pt", device="cuda")
    assert np.isfinite(model.synthesize(np.zeros((1, 2, 32, 32), dtype=np.float32))).all()
