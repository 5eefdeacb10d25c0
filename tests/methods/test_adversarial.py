"""What methods with a discriminator share, so that they can be compared by their generators."""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import pytest
import torch

from crossmod.checking import check
from crossmod.hashing import hash_settings
from crossmod.methods import method_names, settings_class
from crossmod.methods.base import Inputs
from crossmod.methods.registry import build

INPUTS = Inputs(("T1w", "T2w"), context=0, size=32)
ADVERSARIAL = [
    name
    for name in method_names()
    if "adversarial" in {field.name for field in fields(settings_class(name))}
]
every_adversarial_method = pytest.mark.parametrize("name", ADVERSARIAL)


def new(name: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    method: Any = build(name, {"width": 8, **settings}, INPUTS)
    method.optimizers = method.make_optimizers()
    return method


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    source = torch.rand(2, 2, 32, 32, generator=generator) * 2 - 1
    return {"source": source, "target": -source[:, :1]}


def moved(method: Any, before: dict[str, Any], network: str) -> bool:
    after = method.state_dict()[network]
    names = [name for name, _ in method.networks[network].named_parameters()]
    return any(not torch.equal(after[name], before[network][name]) for name in names)


@pytest.mark.parametrize(
    "choice",
    [{}, {"discriminator": "global"}, {"discriminator_width": 4}, {"adversarial": "literal"}],
)
def test_methods_have_the_same_discriminator(choice: dict[str, Any]) -> None:
    shapes = [
        {
            key: value.shape
            for key, value in new(name, **choice).state_dict()["discriminator"].items()
        }
        for name in ADVERSARIAL
    ]
    assert len(shapes) == 3
    assert shapes[0] == shapes[1] == shapes[2]


def test_the_norm_of_a_generator_does_not_change_its_discriminator() -> None:
    states = [new("pix2pix", norm=norm).state_dict() for norm in ("batch", "instance")]
    assert states[0]["discriminator"].keys() == states[1]["discriminator"].keys()
    assert states[0]["generator"].keys() != states[1]["generator"].keys()


@every_adversarial_method
def test_whole_epochs_alternate(name: str) -> None:
    method = new(name, turns="epoch")
    for epoch, (resting, stepping) in enumerate(
        [("generator", "discriminator"), ("discriminator", "generator")]
    ):
        method.begin_epoch(epoch)
        before = copy.deepcopy(method.state_dict())
        method.training_step(batch())
        assert moved(method, before, stepping)
        assert not moved(method, before, resting)


@every_adversarial_method
def test_equation_4_as_printed_has_no_lower_bound(name: str) -> None:
    """The printed term of a synthetic image is log D, at most 0; the usual one is at least 0."""
    first = [
        float(new(name, adversarial=kind).training_step(batch())["discriminator"])
        for kind in ("vanilla", "literal")
    ]
    assert first[1] < first[0]


def test_choices_that_came_later_leave_older_hashes_alone() -> None:
    """As of before `discriminator` and `turns`: folders of models of older studies."""
    known = {"pix2pix": "2d6ba7e5", "sgan": "35067758", "fd-gan": "7b6b3c02"}
    for name, value in known.items():
        settings = settings_class(name)
        assert hash_settings(settings().to_dict()) == value
        for change in ({"discriminator": "global"}, {"turns": "epoch"}):
            changed = settings(**change)
            assert hash_settings(changed.to_dict()) != value
            assert check(settings, changed.to_dict(), name) == changed
