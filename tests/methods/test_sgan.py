"""Steerable filters: that they steer, and that the loss sees orientation."""

from __future__ import annotations

import math

import pytest
import torch

from crossmod.losses.steerable import basis_filters, oriented_filters, steerable_loss

SIGMA = 1.5


def analytic(angle: float) -> torch.Tensor:
    """Second derivative of a Gaussian along `angle`, sampled where the filters are."""
    radius = math.ceil(3 * SIGMA)
    axis = torch.arange(-radius, radius + 1, dtype=torch.float64) / SIGMA
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    along = x * math.cos(angle) + y * math.sin(angle)
    found = (along**2 - 1) * torch.exp(-(x**2 + y**2) / 2)
    first = (x**2 - 1) * torch.exp(-(x**2 + y**2) / 2)
    return ((found - found.mean()) / (first - first.mean()).norm()).float()


@pytest.mark.parametrize("orientations", [3, 8, 20])
def test_filters_steer(orientations: int) -> None:
    for place, made in enumerate(oriented_filters(orientations, SIGMA)):
        angle = place * math.pi / orientations
        torch.testing.assert_close(made[0], analytic(angle), atol=1e-6, rtol=1e-5)


def test_three_filters_span_all_orientations() -> None:
    many = oriented_filters(20, SIGMA).flatten(1)
    assert torch.linalg.matrix_rank(many, tol=1e-4) == 3
    assert many.mean(dim=1).abs().max() < 1e-6
    assert basis_filters(SIGMA)[0].norm() == pytest.approx(1)


def test_a_line_answers_most_to_the_filter_across_it() -> None:
    image = torch.zeros(1, 1, 41, 41)
    image[..., :, 20] = 1  # runs along y, so that it bends along x: angle 0
    filters = oriented_filters(8, SIGMA)
    responses = torch.nn.functional.conv2d(image, filters)[0, :, 15, 15].abs()
    assert responses.argmax() == 0
    turned = torch.nn.functional.conv2d(image.transpose(2, 3), filters)[0, :, 15, 15].abs()
    assert turned.argmax() == 4


def test_the_loss_ignores_brightness_and_sees_edges() -> None:
    filters = oriented_filters(8, SIGMA)
    image = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    assert float(steerable_loss(image, image, filters, 0.1)) == 0
    assert float(steerable_loss(image + 0.3, image, filters, 0.1)) < 1e-12
    blurred = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    assert float(steerable_loss(blurred, image, filters, 0.1)) > 1e-4
