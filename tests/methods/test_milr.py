"""MILR: fusion by hand, and any subset of the sources."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from crossmod.methods.base import Inputs
from crossmod.methods.milr import rectified_l1
from crossmod.methods.registry import build
from crossmod.nets.latent_fusion import LatentFusionNet, fuse

SOURCES = ("T1w", "T2w", "PDw")
YES, NO = True, False


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(fusion: str = "max", sources: int = 3) -> LatentFusionNet:
    torch.manual_seed(0)
    return LatentFusionNet(sources, 1, 32, width=4, latent=3, fusion=fusion)  # type: ignore[arg-type]


def test_fusion_by_hand() -> None:
    embedded = torch.tensor([1.0, 5.0, -2.0]).view(1, 3, 1, 1, 1)
    pairs = torch.tensor([[YES, NO, YES]])
    assert fuse(embedded, pairs, "max").flatten().tolist() == [1.0]
    assert fuse(embedded, pairs, "mean").flatten().tolist() == [-0.5]
    assert fuse(embedded, pairs, "mean-variance").flatten().tolist() == [-0.5, 2.25]
    assert fuse(embedded, torch.tensor([[NO, NO, YES]]), "max").flatten().tolist() == [-2.0]


@pytest.mark.parametrize("fusion", ["max", "mean", "mean-variance"])
def test_every_subset_of_the_sources_is_accepted(fusion: str) -> None:
    net = network(fusion).eval()
    source = random(1, 3, 32, 32).tanh()
    images = []
    for size in (1, 2, 3):
        for subset in itertools.combinations(range(3), size):
            part = torch.full_like(source, -1)
            part[:, list(subset)] = source[:, list(subset)]
            image, alone, variance = net(part)
            assert torch.isfinite(image).all()
            assert (variance > 0) == (size > 1)
            if size == 1:
                torch.testing.assert_close(alone[:, subset[0]], image[:, 0])
            images.append(image)
    assert len(images) == 7
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(images, 2))


@pytest.mark.parametrize("fusion", ["max", "mean", "mean-variance"])
def test_a_missing_source_does_not_matter_at_all(fusion: str) -> None:
    """A network of three sources with one missing is the network of the other two."""
    three, two = network(fusion).eval(), network(fusion, sources=2).eval()
    weights = {k: v for k, v in three.state_dict().items() if not k.startswith("encoders.2")}
    two.load_state_dict(weights)
    source = random(2, 3, 32, 32).tanh()
    source[:, 2] = -1
    torch.testing.assert_close(three(source)[0], two(source[:, :2])[0])
    torch.testing.assert_close(three(source)[2], two(source[:, :2])[2])


def test_sources_may_be_missing_in_one_slice_of_a_batch_only() -> None:
    net = network().eval()
    source = random(2, 3, 32, 32).tanh()
    source[1, 0] = -1
    image = net(source)[0]
    torch.testing.assert_close(image[:1], net(source[:1])[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(image[1:], net(source[1:])[0], atol=1e-5, rtol=1e-5)


def test_an_empty_slice_gives_a_finite_image() -> None:
    image, _, variance = network("mean-variance")(torch.full((1, 3, 32, 32), -1.0))
    assert torch.isfinite(image).all()
    assert torch.isfinite(variance)


def test_the_latent_cost_pulls_the_embeddings_together() -> None:
    found = {}
    for weight in (0.0, 10.0):
        torch.manual_seed(0)
        settings = {"width": 4, "learning_rate": 2e-3, "lambda_latent": weight}
        method = build("milr", settings, Inputs(SOURCES, context=0, size=32))
        method.optimizers = method.make_optimizers()  # type: ignore[attr-defined]
        source = random(2, 3, 32, 32).tanh()
        data = {"source": source, "target": source[:, :1]}
        for _ in range(20):
            losses = method.training_step(data)  # type: ignore[attr-defined]
        found[weight] = float(losses["latent_variance"])
    assert found[10.0] < 0.5 * found[0.0]


def test_the_error_before_rectification_by_hand() -> None:
    image = torch.tensor([-3.0, -3.0, 0.5], requires_grad=True)
    error = rectified_l1(image, torch.tensor([-1.0, 0.0, 0.0]))
    error.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(error.detach(), torch.tensor((0 + 3 + 0.5) / 3))
    torch.testing.assert_close(image.grad, torch.tensor([0.0, -1.0, 1.0]) / 3)


def test_an_image_that_is_all_background_is_learned_from() -> None:
    torch.manual_seed(0)
    method = build("milr", {"width": 4, "learning_rate": 2e-2}, Inputs(SOURCES, 0, 32))
    method.optimizers = method.make_optimizers()  # type: ignore[attr-defined]
    with torch.no_grad():
        method.networks["generator"].decoder.last.bias.fill_(-3)  # type: ignore[union-attr,operator]
    source = random(2, 3, 32, 32).tanh()
    assert (method.generate(source) == -1).all()
    for _ in range(100):
        method.training_step({"source": source, "target": source[:, :1]})  # type: ignore[attr-defined]
    assert (method.generate(source) > -1).float().mean() > 0.5


def test_synthesis_decodes_the_fused_image_alone() -> None:
    method = build("milr", {"width": 4}, Inputs(SOURCES[:2], context=0, size=32))
    net, source = method.networks["generator"], random(2, 2, 32, 32).tanh()
    source[0, 1] = -1
    torch.testing.assert_close(net.fused(source), net(source)[0], rtol=0, atol=0)
    with FlopCounterMode(display=False) as whole:
        net(source)
    with FlopCounterMode(display=False) as part:
        method.synthesize(source)
    with FlopCounterMode(display=False) as decoder:
        net.decoder(torch.zeros(2, 16, 32, 32))
    # Each source's own image is decoded once, in training alone.
    assert whole.get_total_flops() - part.get_total_flops() == 2 * decoder.get_total_flops()
