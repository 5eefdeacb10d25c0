"""REPLICA: forests as tensors, features by hand, coarse to fine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestRegressor

from crossmod.methods.base import Inputs
from crossmod.methods.registry import build
from crossmod.methods.replica import Replica
from crossmod.nets.forest import Forest
from crossmod.nets.patch_features import patches, surroundings

SMALL = {"trees": 4, "samples": 2000, "slices": 8}


def heads(count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Sources in a disk; the target is the mean of a pixel's two neighbors, which no voxelwise
    function can give."""
    generator = torch.Generator().manual_seed(seed)
    axis = torch.linspace(-1, 1, 32)
    disk = (axis[:, None] ** 2 + axis**2 < 0.7).float()
    source = torch.rand(count, 2, 32, 32, generator=generator)
    mean = (source[:, :1].roll(1, -1) + source[:, :1].roll(-1, -1)) / 2
    return {"source": source * 1.8 * disk - 0.9 * disk - (1 - disk), "target": mean * disk * 2 - 1}


def fitted(**settings: Any) -> Any:
    torch.manual_seed(0)
    method: Any = build("replica", {**SMALL, **settings}, Inputs(("T1w", "T2w"), 0, 32))
    method.fit([heads(4, seed) for seed in range(3)])
    return method


def test_a_forest_of_tensors_answers_like_scikit_learn() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 6)).astype(np.float32)
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2]
    theirs = RandomForestRegressor(n_estimators=5, min_samples_leaf=3, random_state=0).fit(x, y)
    ours = Forest()
    ours.take(tree.tree_ for tree in theirs.estimators_)
    new = random.normal(size=(300, 6)).astype(np.float32)
    np.testing.assert_allclose(ours(torch.from_numpy(new)), theirs.predict(new), atol=1e-5)
    loaded = Forest()
    loaded.load_state_dict(ours.state_dict())
    assert torch.equal(loaded(torch.from_numpy(new)), ours(torch.from_numpy(new)))


def test_patches_are_the_neighbors() -> None:
    image = torch.arange(30.0).view(1, 1, 5, 6)
    found = patches(image)
    assert found.shape == (1, 9, 5, 6)
    assert found[0, :, 2, 3].tolist() == image[0, 0, 1:4, 2:5].flatten().tolist()
    assert found[0, 0, 0, 0] == image[0, 0, 0, 0]  # repeated beyond the border


def test_surroundings_are_means_in_eight_directions() -> None:
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    found = surroundings(image)
    assert found.shape == (1, 24, 64, 64)
    right, below = image[0, 0, 29:32, 32:35], image[0, 0, 32:35, 29:32]
    assert found[0, 0, 30, 30] == pytest.approx(float(right.mean()))
    assert found[0, 2, 30, 30] == pytest.approx(float(below.mean()))
    assert found[0, 16, 30, 30] == pytest.approx(float(image[0, 0, 26:35, 38:47].mean()))


def test_learns_what_no_voxelwise_function_can() -> None:
    new = heads(3, seed=9)
    inside = new["source"][:, :1] > -1
    linear: Any = build("linear-regression", {}, Inputs(("T1w", "T2w"), 0, 32))
    linear.fit([heads(4, seed) for seed in range(3)])
    errors = [
        float((m.synthesize(new["source"]) - new["target"])[inside].abs().mean())
        for m in (fitted(), linear)
    ]
    assert errors[0] < 0.7 * errors[1]


def test_the_finer_scale_sees_the_coarser() -> None:
    method = fitted(scales=2)
    assert list(method.networks) == ["forest_2", "forest_1"]
    before = method.synthesize(heads(1, seed=5)["source"])
    method.networks["forest_2"].value.mul_(-1)
    assert not torch.equal(method.synthesize(heads(1, seed=5)["source"]), before)


def test_memory_does_not_grow_with_the_slices(monkeypatch) -> None:
    method = fitted(slices=3)
    source, target = method._draw_slices([heads(4, seed) for seed in range(5)])
    assert len(source) == len(target) == 3
    seen, features = [], Replica._features
    monkeypatch.setattr(
        Replica, "_features", lambda self, s, c: (seen.append(len(s)), features(self, s, c))[1]
    )
    fitted(slices=12)
    assert max(seen) == 8
    assert sum(seen) == 3 * 12


def test_every_slice_is_as_likely_to_be_drawn() -> None:
    method: Any = build("replica", {**SMALL, "slices": 2}, Inputs(("T1w",), 0, 4))
    numbered = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 1, 4, 4)
    torch.manual_seed(0)
    drawn = torch.zeros(8)
    for _ in range(800):
        source, _ = method._draw_slices([{"source": numbered, "target": numbered}])
        drawn[source[:, 0, 0, 0].long()] += 1
    assert drawn.sum() == 1600
    assert (drawn - 200).abs().max() < 60


def test_a_grown_forest_is_asked_as_if_it_had_not_seen_the_pixels() -> None:
    """The next forest is grown on what this one will say of new images, not on what it knows."""
    torch.manual_seed(0)
    method: Any = build("replica", {**SMALL, "trees": 20}, Inputs(("T1w", "T2w"), 0, 32))
    x = torch.rand(2000, 6)
    noisy = x[:, 0] + 0.3 * torch.randn(2000)
    forest = Forest()
    grown = method._grow(forest, x[:1000], noisy[:1000])
    estimate = method._as_unseen(forest, x[:1000], *grown)

    def error(found: torch.Tensor, truth: torch.Tensor) -> float:
        return float((found - truth).square().mean().sqrt())

    known, new = error(forest(x[:1000]), noisy[:1000]), error(forest(x[1000:]), noisy[1000:])
    assert known < 0.8 * new
    assert error(estimate, noisy[:1000]) == pytest.approx(new, rel=0.1)
