"""FD-GAN: its parts in closed form, its size, and what its settings change."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from crossmod.errors import ConfigError
from crossmod.losses.adversarial import discriminator_loss, generator_loss
from crossmod.methods.base import Inputs
from crossmod.methods.registry import build
from crossmod.nets.fd_gan import BlockwiseFusion, FDGenerator, FDShape, adain
from crossmod.nets.global_discriminator import GlobalDiscriminator
from crossmod.nets.patchgan import PatchGAN


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def new(**settings: Any) -> Any:
    torch.manual_seed(0)
    small = {"width": 4, "style_width": 16, **settings}
    method: Any = build("fd-gan", small, Inputs(("T1w", "T2w"), context=0, size=32))
    method.optimizers = method.make_optimizers()
    return method


def batch() -> dict[str, torch.Tensor]:
    source = random(2, 2, 32, 32).tanh()
    return {"source": source, "target": source[:, :1] * 0.5 - 0.2}


def test_one_block_is_a_convolution_of_one_pixel() -> None:
    fusion = BlockwiseFusion(3, grid=1)
    nn.init.normal_(fusion.bias)
    source = random(2, 3, 8, 8)
    expected = nn.functional.conv2d(source, fusion.weight, fusion.bias.view(1))
    torch.testing.assert_close(fusion(source), expected)


def test_every_block_has_its_own_weights() -> None:
    fusion = BlockwiseFusion(2, grid=4)
    nn.init.normal_(fusion.bias)
    source = random(1, 2, 16, 16)
    made = fusion(source)
    for row in range(4):
        for column in range(4):
            block = (slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4))
            weight, bias = fusion.weight[0, :, row, column], fusion.bias[0, row, column]
            expected = (source[0][:, *block] * weight[:, None, None]).sum(dim=0) + bias
            torch.testing.assert_close(made[0, 0][block], expected)


def test_adain_with_the_inputs_own_moments_changes_nothing() -> None:
    x = random(2, 5, 16, 16) * 3 + 1
    spread = x.var(dim=(2, 3), unbiased=False).add(1e-5).sqrt()
    torch.testing.assert_close(adain(x, spread, x.mean(dim=(2, 3))), x, atol=1e-5, rtol=1e-5)


def test_adain_sets_mean_and_spread() -> None:
    x, scale, shift = random(2, 3, 32, 32), random(2, 3, seed=1).abs() + 1, random(2, 3, seed=2)
    made = adain(x, scale, shift)
    torch.testing.assert_close(made.mean(dim=(2, 3)), shift, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(made.std(dim=(2, 3)), scale, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize(
    ("sources", "millions"), [(1, 15_234_321), (2, 21_208_725), (3, 27_183_129)]
)
def test_size_at_full_width(sources: int, millions: int) -> None:
    with torch.device("meta"):
        assert count(FDGenerator(FDShape(sources, 1, 256))) == millions


def test_size_of_the_discriminators() -> None:
    with torch.device("meta"):
        assert count(PatchGAN(3, 256)) == pytest.approx(2_766_529, rel=0.01)
        assert count(GlobalDiscriminator(3, 256)) == pytest.approx(11_150_000, rel=0.01)


@pytest.mark.parametrize("heads", ["joint", "separate"])
def test_starts_as_plain_instance_norm(heads: str) -> None:
    style = new(style_heads=heads).networks["generator"].style
    for module in style.heads.modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
    scale, shift = style(random(3, 1, 32, 32)).unbind(dim=1)
    assert (scale == 1).all()
    assert (shift == 0).all()
    assert scale.shape == (8, 3, 16)


def test_shared_style_is_the_same_in_all_layers() -> None:
    style = new(adain="shared").networks["generator"].style
    found = style(random(2, 1, 32, 32))
    assert found.shape == (8, 2, 2, 16)
    assert (found == found[:1]).all()
    assert style.heads[0][-1].out_features == 32


def test_scalar_style_is_the_same_in_all_channels() -> None:
    style = new(adain="scalar").networks["generator"].style
    found = style(random(2, 1, 32, 32))
    assert found.shape == (8, 2, 2, 16)
    assert (found == found[..., :1]).all()
    assert style.heads[0][-1].out_features == 16


def test_two_channels_of_the_pseudo_target_are_two_fusions() -> None:
    torch.manual_seed(0)
    both = BlockwiseFusion(2, grid=2, n_out=2)
    source = random(1, 2, 16, 16)
    for blend in (False, True):
        both.blend = blend
        for channel in range(2):
            one = BlockwiseFusion(2, grid=2, blend=blend)
            with torch.no_grad():
                one.weight.copy_(both.weight[channel : channel + 1])
            torch.testing.assert_close(one(source), both(source)[:, channel : channel + 1])


def test_equation_4_as_printed() -> None:
    logits = random(50)
    printed = torch.sigmoid(logits).log().mean()
    found = discriminator_loss("literal", logits, acquired=False)
    torch.testing.assert_close(found, printed)
    for loss in (partial(discriminator_loss, acquired=True), generator_loss):
        torch.testing.assert_close(loss("literal", logits), loss("vanilla", logits))


def test_blended_blocks_have_no_seam() -> None:
    fusion = BlockwiseFusion(1, grid=2, blend=True)
    with torch.no_grad():
        fusion.weight.copy_(torch.tensor([[[[1.0, 1.0], [3.0, 3.0]]]]))
        fusion.bias.zero_()
    made = fusion(torch.ones(1, 1, 16, 16))[0, 0]
    # Centers of the blocks lie between rows 3 and 4, and 11 and 12, an eighth of the way apart.
    expected = torch.arange(16).sub(3.5).div(8).clamp(0, 1).mul(2).add(1)
    torch.testing.assert_close(made, expected[:, None].expand(16, 16))
    plain = BlockwiseFusion(1, grid=1, blend=True)
    source = random(1, 1, 8, 8)
    torch.testing.assert_close(plain(source), source * plain.weight.item())


def test_widths_that_the_paper_leaves_open() -> None:
    with torch.device("meta"):
        plain = FDGenerator(FDShape(2, 1, 256))
        narrow = FDGenerator(FDShape(2, 1, 256, first=32))
        doubled = FDGenerator(FDShape(2, 1, 256, style_growth="doubled"))
    assert narrow.encoders[0][0].out_channels == 32
    # First layer and its norm, and the input of the second layer, in two encoders.
    assert count(plain) - count(narrow) == 2 * (32 * 50 + 2 * 32 + 32 * 128 * 16)
    shapes = [m.out_channels for m in doubled.style.describe if isinstance(m, nn.Conv2d)]
    assert shapes == [64, 128, 256, 512, 1024, 8]


def test_scales_and_shifts_may_have_heads_of_their_own() -> None:
    style = new(style_heads="separate").networks["generator"].style
    target = random(2, 1, 32, 32)
    before = style(target)
    nn.init.normal_(style.heads[1][-1].bias)
    after = style(target)
    assert torch.equal(after[:, 0], before[:, 0])
    assert not torch.equal(after[:, 1], before[:, 1])


def test_joint_batches_share_their_statistics() -> None:
    separate, joint = new(), new(discriminator_batches="joint")
    one = batch()
    images = (one["target"], -one["target"])
    found = [float(m.step_discriminator(one["source"], *images)) for m in (separate, joint)]
    assert found[0] != pytest.approx(found[1], rel=1e-4)
    weights = [m.networks["discriminator"].state_dict() for m in (separate, joint)]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_every_source_has_an_encoder_of_its_own() -> None:
    generator = new().networks["generator"].eval()
    seen = []
    for encode in generator.encoders:
        encode.register_forward_pre_hook(lambda _, x: seen.append(x[0].clone()))
    source = batch()["source"]
    generator(source)
    torch.testing.assert_close(torch.cat(seen, dim=1), source)


def test_the_style_reaches_the_image() -> None:
    generator = new().networks["generator"].eval()
    source = batch()["source"]
    image, pseudo_target, _ = generator(source)
    torch.testing.assert_close(generator(source, pseudo_target)[0], image)
    assert not torch.equal(generator(source, random(2, 1, 32, 32))[0], image)


@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.parametrize(("start", "awake"), [("kaiming", True), ("normal", False)])
def test_the_style_takes_part_from_the_first_step(width: int, start: str, awake: bool) -> None:
    """With N(0, 0.02) every image gets the same style, and no gradient comes to change that."""
    method = new(width=width, style_width=64, style_start=start)
    generator = method.networks["generator"]
    losses = method.training_step({k: v[:, :1] if k == "target" else v for k, v in batch().items()})
    gradients = [
        first.weight.grad.abs().mean()
        for first in (generator.style.describe[0], generator.encoders[0][0])
    ]
    assert (float(losses["style_spread"]) > 1e-4) == awake
    assert (float(gradients[0]) > 1e-4 * float(gradients[1])) == awake


@pytest.mark.parametrize(
    ("preset", "weight"), [("reference", 100.0), ("paper-mean", 0.1), ("paper-sum", 102.4)]
)
def test_presets_of_the_l1_weight(preset: str, weight: float) -> None:
    method = new(l1_weight=preset)
    assert method.lambda_l1 == method.lambda_laf == pytest.approx(weight)
    assert new(l1_weight=preset, lambda_laf=3.0).lambda_laf == 3.0


@pytest.mark.parametrize(
    "settings",
    [
        {"laf_grid": 16},
        {"laf_seams": "blend", "first_width": 2, "discriminator_batches": "joint"},
        {"style_growth": "doubled", "style_heads": "separate"},
        {"style_from": "target"},
        {"activation": "relu", "affine": False, "padding": "zeros"},
        {"up": "nearest", "up_norm": "instance"},
        {"up_norm": "none", "discriminator": "global", "adversarial": "hinge"},
        {"adain": "scalar", "laf_channels": 2, "style_start": "normal"},
        {"adain": "shared", "up_blocks": 3},
    ],
    ids=str,
)
def test_every_reading_of_the_paper_trains(settings: dict[str, Any]) -> None:
    method = new(learning_rate=2e-3, **settings)
    losses = [float(method.training_step(batch())["generator_l1"]) for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]


def test_a_grid_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"slices\.size: 30 px cannot be halved twice"):
        build("fd-gan", {"width": 4}, Inputs(("T1w",), context=0, size=30))
    with pytest.raises(ConfigError, match="laf_grid: 24 px cannot be cut into 16 equal blocks"):
        build("fd-gan", {"width": 4, "laf_grid": 16}, Inputs(("T1w",), context=0, size=24))
