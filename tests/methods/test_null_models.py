"""Null models against closed forms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from crossmod.errors import ConfigError
from crossmod.methods.base import Inputs
from crossmod.methods.registry import build

INPUTS = Inputs(("T1w", "T2w"), context=0, size=16)


def batches(count: int = 3) -> list[dict[str, torch.Tensor]]:
    """Noise in the upper half, background below."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(count):
        source = torch.rand(2, 2, 16, 16, generator=generator) * 1.8 - 0.9
        target = 0.3 * source[:, :1] - 0.5 * source[:, 1:] + 0.1
        target += 0.01 * torch.randn(2, 1, 16, 16, generator=generator)
        source[:, :, 8:], target[:, :, 8:] = -1, -1
        made.append({"source": source, "target": target})
    return made


def brain(data: list[dict[str, torch.Tensor]]) -> tuple[np.ndarray, np.ndarray]:
    x = torch.cat([b["source"] for b in data])[:, :, :8].permute(0, 2, 3, 1).reshape(-1, 2)
    y = torch.cat([b["target"] for b in data])[:, 0, :8].reshape(-1)
    return x.double().numpy(), y.double().numpy()


def test_brain_mean_is_the_mean_of_all_brain_pixels() -> None:
    data = batches()
    method = build("brain-mean", {}, INPUTS)
    method.fit(data)  # type: ignore[attr-defined]
    image = method.synthesize(data[0]["source"])
    assert float(image[0, 0, 0, 0]) == pytest.approx(brain(data)[1].mean(), abs=1e-6)
    assert (image[:, :, 8:] == -1).all()


def test_linear_regression_equals_least_squares() -> None:
    data = batches()
    method = build("linear-regression", {}, INPUTS)
    method.fit(data)  # type: ignore[attr-defined]
    x, y = brain(data)
    expected, *_ = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)
    np.testing.assert_allclose(method.coefficients.values, expected, atol=1e-6)  # type: ignore[attr-defined]
    image = method.synthesize(data[0]["source"])
    values = x @ expected[:2] + expected[2]
    np.testing.assert_allclose(image[0, 0, :8].flatten(), values[:128], atol=1e-5)


@pytest.mark.parametrize("source, column", [(None, 0), ("T1w", 0), ("T2w", 1)])
def test_copy_source_is_the_best_line(source: str | None, column: int) -> None:
    data = batches()
    method = build("copy-source", {"source": source}, INPUTS)
    method.fit(data)  # type: ignore[attr-defined]
    x, y = brain(data)
    slope, intercept = np.polyfit(x[:, column], y, 1)
    found = method.coefficients.values  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, [slope, intercept], atol=1e-6)


def test_copy_source_refuses_what_is_no_source() -> None:
    with pytest.raises(ConfigError, match="FLAIR is no source of the task"):
        build("copy-source", {"source": "FLAIR"}, INPUTS)


def test_repeated_sources_share_their_slope() -> None:
    data = batches()
    for batch in data:
        batch["source"][:, 1] = batch["source"][:, 0]
    method = build("linear-regression", {}, INPUTS)
    method.fit(data)  # type: ignore[attr-defined]
    slopes = method.coefficients.values[:2]  # type: ignore[attr-defined]
    assert float(slopes[0]) == pytest.approx(float(slopes[1]), abs=1e-4)


@pytest.mark.parametrize("name", ["brain-mean", "copy-source", "linear-regression"])
def test_fits_one_batch_at_a_time_and_works_at_any_size(name: str) -> None:
    alive: list[dict[str, torch.Tensor]] = []

    def stream() -> Iterator[dict[str, torch.Tensor]]:
        for batch in batches():
            alive.append(batch)
            yield batch

    method = build(name, {}, INPUTS)
    method.fit(stream())  # type: ignore[attr-defined]
    assert len(alive) == 3
    assert method.synthesize(torch.zeros(1, 2, 40, 24)).shape == (1, 1, 40, 24)
