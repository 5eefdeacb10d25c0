"""Networks and losses: sizes, depths and closed forms."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from crossmod.errors import ConfigError
from crossmod.losses.adversarial import discriminator_loss, generator_loss
from crossmod.losses.reconstruction import l1
from crossmod.nets.patchgan import PatchGAN
from crossmod.nets.unet import UNet, UNetShape, depth_of

torch.set_num_threads(1)


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    "size, depth", [(512, 8), (256, 8), (128, 7), (96, 5), (64, 6), (32, 5), (20, 2)]
)
def test_depth_is_the_number_of_exact_halvings(size: int, depth: int) -> None:
    assert depth_of(size) == depth


@pytest.mark.parametrize("size", [17, 30])
def test_a_size_that_does_not_halve_is_refused_in_one_line(size: int) -> None:
    with pytest.raises(ConfigError, match=rf"^slices\.size: {size} px cannot be halved"):
        depth_of(size)


def test_generator_and_discriminator_have_the_papers_sizes() -> None:
    with torch.device("meta"):
        generator = UNet(UNetShape(2, 1, 256))
        discriminator = PatchGAN(3, 256)
        logits = discriminator(torch.zeros(1, 3, 256, 256))
    assert parameters(generator) == 54_409_409  # 54.4 M
    assert parameters(discriminator) == 2_765_633  # 2.77 M
    assert logits.shape == (1, 1, 30, 30)
    assert sum(isinstance(m, torch.nn.Dropout) for m in generator.modules()) == 3
    assert len(generator.encoder) == len(generator.decoder) == 8
    # Weights of convolutions by hand: encoder, then decoder (its inputs doubled by skips).
    down = [2, 64, 128, 256, 512, 512, 512, 512, 512]
    up = [(512, 512), *3 * [(1024, 512)], (1024, 256), (512, 128), (256, 64), (128, 1)]
    weights = 16 * (sum(a * b for a, b in pairwise(down)))
    weights += 16 * sum(a * b for a, b in up)
    found = sum(p.numel() for p in generator.parameters() if p.ndim == 4)
    assert found == weights


def test_a_logit_sees_70_pixels() -> None:
    torch.manual_seed(0)
    network = PatchGAN(1, 128, width=4, norm="instance").eval()
    for module in network.modules():  # instance norm would spread every pixel over the image
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.forward = lambda x: x  # type: ignore[method-assign]
    image = torch.zeros(1, 1, 128, 128, requires_grad=True)
    logits = network(image)
    logits[0, 0, 7, 7].backward()
    assert image.grad is not None
    rows = image.grad[0, 0].abs().sum(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


@pytest.mark.parametrize("size, bottom", [(64, 1), (96, 3), (32, 1)])
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("up", ["transposed", "nearest"])
def test_unet_keeps_the_size(size: int, bottom: int, norm: str, up: str) -> None:
    network = UNet(UNetShape(3, 1, size, width=4, norm=norm, up=up))  # type: ignore[arg-type]
    innermost = []
    network.encoder[-1].register_forward_hook(lambda *a: innermost.append(a[2].shape[-1]))
    image = network(torch.randn(1, 3, size, size))  # one slice: batch norm must bear it
    assert image.shape == (1, 1, size, size)
    assert image.abs().max() <= 1
    assert innermost == [bottom]


def test_instance_norm_computes_the_same_in_training_and_evaluation() -> None:
    x = torch.randn(2, 1, 32, 32)
    network = UNet(UNetShape(1, 1, 32, width=4, norm="instance", dropout=0.0))
    assert torch.equal(network(x), network.eval()(x))


def test_nearest_upsampling_leaves_no_checkerboard() -> None:
    """A constant stays constant away from the border, transposed convolutions make a grid."""
    from crossmod.nets.blocks import up_convolution

    torch.manual_seed(0)
    spread = {}
    for up in ("transposed", "nearest"):
        image = up_convolution(4, 1, up, bias=False)(torch.ones(1, 4, 8, 8))  # type: ignore[arg-type]
        spread[up] = float(image[0, 0, 4:-4, 4:-4].detach().std())
    assert spread["nearest"] < 1e-6 < spread["transposed"]


def test_channels_last_and_bf16_give_the_same_image() -> None:
    torch.manual_seed(0)
    network = UNet(UNetShape(2, 1, 32, width=8, norm="batch")).eval()
    x = torch.randn(2, 2, 32, 32)
    plain = network(x)
    network = network.to(memory_format=torch.channels_last)
    channels_last = network(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(channels_last, plain, atol=1e-5, rtol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = network(x)
    assert float((low.float() - plain).detach().abs().max()) < 0.02


@pytest.mark.parametrize("size, logits", [(16, 2), (24, 1), (32, 2), (64, 6)])
def test_discriminator_bears_small_slices(size: int, logits: int) -> None:
    assert PatchGAN(2, size, width=4)(torch.zeros(2, 2, size, size)).shape[-1] == logits


def test_weights_are_drawn_as_in_pix2pix() -> None:
    torch.manual_seed(0)
    network = UNet(UNetShape(2, 1, 64, width=16))
    weights = torch.cat([p.flatten() for p in network.parameters() if p.ndim == 4])
    assert float(weights.mean()) == pytest.approx(0, abs=1e-3)
    assert float(weights.std()) == pytest.approx(0.02, rel=0.01)


def test_losses_have_their_closed_forms() -> None:
    logits = torch.tensor([[0.0, 2.0]])
    softplus = [math.log1p(math.exp(v)) for v in (0.0, -2.0, 2.0)]
    vanilla = discriminator_loss("vanilla", logits, acquired=True)
    assert float(vanilla) == pytest.approx((softplus[0] + softplus[1]) / 2)
    vanilla = discriminator_loss("vanilla", logits, acquired=False)
    assert float(vanilla) == pytest.approx((softplus[0] + softplus[2]) / 2)
    assert float(discriminator_loss("lsgan", logits, acquired=True)) == pytest.approx(1.0)
    assert float(discriminator_loss("lsgan", logits, acquired=False)) == pytest.approx(2.0)
    assert float(discriminator_loss("hinge", logits, acquired=True)) == pytest.approx(0.5)
    assert float(discriminator_loss("hinge", logits, acquired=False)) == pytest.approx(2.0)
    assert float(generator_loss("hinge", logits)) == pytest.approx(-1.0)
    for kind in ("vanilla", "lsgan"):  # the generator wants its images taken for acquired ones
        wanted = discriminator_loss(kind, logits, acquired=True)  # type: ignore[arg-type]
        assert generator_loss(kind, logits) == wanted  # type: ignore[arg-type]
    assert float(l1(torch.tensor([1.0, -1.0]), torch.tensor([0.0, 0.0]))) == 1.0
