"""Standardization by landmarks: the map, what it is learned from, and that nobody escapes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from slice_stores import write_store

from crossmod.data.dataset import SliceDataset
from crossmod.data.standardization import LANDMARKS, Curve, mean_landmarks, measure
from crossmod.data.store import Store
from crossmod.errors import InputError
from crossmod.settings import TaskSettings, TrainingSettings
from crossmod.training import checkpoint, loop

TASK = TaskSettings(sources=("T1w", "T2w"), target="FLAIR")
NYUL = TrainingSettings(standardization="nyul")
RNG = np.random.default_rng(0)
VALUES = RNG.beta(2, 5, 20_000)
OTHERS = RNG.beta(5, 3, 20_000)


def train(request: Any, folder: Path) -> checkpoint.LoadedModel:
    folder.mkdir(exist_ok=True)
    loop.train(request, folder / "a.pt", folder / "a.tsv", folder / "resume")
    return checkpoint.load_model(folder / "a.pt", device="cpu")


# --- the map


def test_landmarks_are_percentiles() -> None:
    assert measure(np.linspace(0, 1, 101)) == pytest.approx([p / 100 for p in LANDMARKS])


def test_a_volume_on_the_standard_scale_stays_as_it_is() -> None:
    own = measure(VALUES)
    np.testing.assert_allclose(Curve(own, own).apply(VALUES), VALUES, atol=1e-6)


def test_landmarks_become_those_of_the_standard() -> None:
    mapped = Curve(measure(VALUES), measure(OTHERS)).apply(VALUES)
    np.testing.assert_allclose(measure(mapped), measure(OTHERS), atol=1e-4)


def test_the_map_increases_keeps_the_background_and_can_be_undone() -> None:
    curve = Curve(measure(VALUES), measure(OTHERS))
    every = np.linspace(0, 1, 1001)
    mapped = curve.apply(every)
    assert (np.diff(mapped) > 0).all()
    assert (mapped[0], mapped[-1]) == (0, 1)
    back = Curve(curve.target, curve.source).apply(mapped)
    np.testing.assert_allclose(back, every, atol=1e-5)


def test_volumes_that_differ_by_a_curve_become_equal() -> None:
    own, standard = measure(VALUES), measure(OTHERS)
    bent = [0.5 * v + 0.1 for v in own]
    other = Curve(own, bent).apply(VALUES)
    first, second = Curve(own, standard).apply(VALUES), Curve(measure(other), standard).apply(other)
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_landmarks_that_fall_together_become_their_mean() -> None:
    own = [0, 0, 0.2, 0.4, 0.4, 0.4, 0.5, 0.6, 0.7, 1, 1]
    standard = np.linspace(0.05, 0.95, 11).tolist()
    mapped = Curve(own, standard).apply(np.array([0, 0.4, 1]))
    assert mapped == pytest.approx([0, np.mean(standard[3:6]), 1])


# --- what it is learned from


def test_the_standard_is_the_mean_of_the_training_sessions(stores: list[Path]) -> None:
    data = SliceDataset(stores[:2], TASK, NYUL)
    found = [Store.open(path).landmarks["T1w"] for path in stores[:2]]
    assert data.standard is not None
    assert data.standard["T1w"] == pytest.approx(np.mean(found, axis=0))
    assert list(data.standard) == ["T1w", "T2w", "FLAIR"]
    assert SliceDataset(stores[:2], TASK, TrainingSettings()).standard is None
    assert mean_landmarks([{"a": [0, 1]}, {"a": [1, 2]}]) == {"a": [0.5, 1.5]}


def test_sources_and_target_are_read_on_the_standard_scale(stores: list[Path]) -> None:
    data = SliceDataset(stores[:2], TASK, NYUL)
    for session in range(2):
        shown = data.batch(np.arange(6) + 6 * session)
        for name, image in (("T1w", shown["source"][:, 0]), ("FLAIR", shown["target"][:, 0])):
            values = (image.numpy() + 1) / 2
            found = measure(values[values > 0])
            np.testing.assert_allclose(found, data.standard[name], atol=5e-3)


@pytest.mark.parametrize("method", ["unet", "linear-regression"])
def test_only_training_sessions_are_learned_from(
    request_of: Callable[..., Any], tmp_path: Path, method: str
) -> None:
    """Other validation sessions leave the standard, and what is learned, as they are."""
    request = request_of(method, standardization="nyul")
    other = write_store(tmp_path, "sub-09", seed=9)
    first = train(request, tmp_path / "first")
    second = train(replace(request, validation_manifests=(other,)), tmp_path / "second")
    assert list(first.contract.standard) == ["T1w", "T2w", "FLAIR"]
    assert first.contract.standard == second.contract.standard
    plain = train(request_of(method), tmp_path / "plain")
    assert plain.contract.standard == {}
    weights = [
        torch.cat(
            [v.flatten().double() for own in content["weights"].values() for v in own.values()]
        )
        for content in (
            checkpoint.read(tmp_path / n / "a.pt") for n in ("first", "second", "plain")
        )
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_stores_of_before_are_refused_in_one_line(tmp_path: Path) -> None:
    path = write_store(tmp_path, "sub-01")
    content = json.loads(path.read_text())
    del content["landmarks"]
    path.write_text(json.dumps(content))
    assert len(SliceDataset([path], TASK, TrainingSettings())) == 6
    with pytest.raises(InputError, match=r"tells no landmarks.*; delete it and slice again"):
        SliceDataset([path], TASK, NYUL)
