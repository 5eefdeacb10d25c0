"""The game of pix2pix: who is moved by which loss."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from crossmod.methods.base import Inputs
from crossmod.methods.registry import build

INPUTS = Inputs(("T1w",), context=0, size=32)


def new(**settings: Any) -> Any:
    torch.manual_seed(0)
    method: Any = build("pix2pix", {"width": 8, "dropout": 0.0, **settings}, INPUTS)
    method.optimizers = method.make_optimizers()
    return method


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    source = torch.rand(2, 1, 32, 32, generator=generator) * 2 - 1
    return {"source": source, "target": -source}


def moved(method: Any, before: dict[str, Any], network: str) -> bool:
    after = method.state_dict()[network]
    weights = [key for key in after if key.endswith("weight")]
    return any(not torch.equal(after[key], before[network][key]) for key in weights)


@pytest.mark.parametrize("kind", ["vanilla", "lsgan", "hinge"])
def test_the_discriminator_moves_the_generator(kind: str) -> None:
    method = new(lambda_l1=0, adversarial=kind)
    before = copy.deepcopy(method.state_dict())
    method.training_step(batch())
    assert moved(method, before, "generator")
    assert moved(method, before, "discriminator")


def test_without_losses_the_generator_stays() -> None:
    method = new(lambda_l1=0, lambda_adversarial=0)
    before = copy.deepcopy(method.state_dict())
    method.training_step(batch())
    assert not moved(method, before, "generator")
    assert moved(method, before, "discriminator")


@pytest.mark.parametrize("kind", ["vanilla", "lsgan", "hinge"])
def test_the_discriminator_learns_to_tell_a_generator_that_stays(kind: str) -> None:
    method = new(lambda_l1=0, lambda_adversarial=0, adversarial=kind)
    losses = [float(method.training_step(batch())["discriminator"]) for _ in range(15)]
    assert losses[-1] < 0.6 * losses[0]


def test_the_l1_loss_pulls_the_image_to_the_target() -> None:
    method = new(lambda_adversarial=0, learning_rate=2e-3)
    losses = [float(method.training_step(batch())["generator_l1"]) for _ in range(15)]
    assert losses[-1] < 0.8 * losses[0]


def test_the_discriminator_sees_the_sources() -> None:
    method = new()
    judge, data = method.networks["discriminator"].eval(), batch()
    logits = judge(torch.cat([data["source"], data["target"]], dim=1))
    assert not torch.equal(logits, judge(torch.cat([-data["source"], data["target"]], dim=1)))
