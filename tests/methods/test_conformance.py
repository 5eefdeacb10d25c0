"""What every synthesis method must do, tested once over the registry."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from crossmod.checking import check
from crossmod.data.store import Geometry
from crossmod.methods import declaration, method_class, method_names, settings_class
from crossmod.methods.base import ClassicalMethod, GradientMethod, Inputs, Method
from crossmod.methods.registry import build
from crossmod.training import checkpoint, loop, resume
from crossmod.training.curve import Curve
from crossmod.training.seeding import seed_everything

METHODS = method_names()
GRADIENT = [name for name in METHODS if declaration(name).fitting == "gradient"]
CLASSICAL = [name for name in METHODS if declaration(name).fitting == "classical"]
INPUTS = Inputs(sources=("T1w", "T2w"), context=1, size=32)

every_method = pytest.mark.parametrize("name", METHODS)
every_gradient_method = pytest.mark.parametrize("name", GRADIENT)


def new(name: str, seed: int = 0, inputs: Inputs = INPUTS, **settings: Any) -> Any:
    """Small instance of a method, able to learn."""
    seed_everything(seed)
    known = [field.name for field in fields(settings_class(name))]
    small = {key: size for key, size in {"width": 8, "trees": 4}.items() if key in known}
    method = build(name, {**small, **settings}, inputs)
    if isinstance(method, GradientMethod):
        method.optimizers = method.make_optimizers()
    return method


def make_batch(inputs: Inputs = INPUTS, count: int = 2) -> dict[str, torch.Tensor]:
    """Smooth images in a disk, target a function of the sources."""
    generator = torch.Generator().manual_seed(1)
    axis = torch.linspace(-1, 1, inputs.size)
    disk = (axis[:, None] ** 2 + axis**2 < 0.7).expand(count, 1, -1, -1)
    coarse = torch.rand(count, inputs.channels, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=inputs.size, mode="bilinear")
    source = torch.where(disk, smooth.clamp(0.05, 1) * 2 - 1, -1.0)
    target = torch.where(disk, 0.5 * smooth[:, :1] ** 2 + 0.2, -1.0)
    return {"source": source, "target": target}


def learn(method: Method, steps: int = 1) -> list[dict[str, float]]:
    """Steps on one batch, or a fit to it."""
    batch = make_batch()
    if isinstance(method, ClassicalMethod):
        method.fit([batch])
        return []
    assert isinstance(method, GradientMethod)
    return [{k: float(v) for k, v in method.training_step(batch).items()} for _ in range(steps)]


def test_finds_all_methods() -> None:
    assert CLASSICAL == ["brain-mean", "copy-source", "linear-regression", "replica"]
    assert GRADIENT == ["fd-gan", "milr", "pix2pix", "sgan", "unet"]


@every_method
def test_class_fits_its_declaration(name: str) -> None:
    base = GradientMethod if declaration(name).fitting == "gradient" else ClassicalMethod
    assert issubclass(method_class(name), base)
    assert "2D" in declaration(name).dimensionality


@every_method
def test_docstring_names_source_and_deviations(name: str) -> None:
    text = method_class(name).__doc__ or ""
    assert "Source:" in text
    assert "Deviations:" in text


@every_method
def test_every_setting_is_described(name: str) -> None:
    schema = TypeAdapter(settings_class(name)).json_schema()
    assert list(schema["properties"]) == [field.name for field in fields(settings_class(name))]
    for key, field in schema["properties"].items():
        assert field.get("description"), key


@every_method
@pytest.mark.parametrize("context", [0, 2])
def test_synthesizes_finite_images_in_range(name: str, context: int) -> None:
    inputs = Inputs(("T1w", "T2w"), context, 32)
    method = new(name, inputs=inputs)
    batch = make_batch(inputs, count=3)
    if isinstance(method, ClassicalMethod):
        method.fit([batch])
    image = method.synthesize(batch["source"])
    assert image.shape == (3, 1, 32, 32)
    assert image.dtype == torch.float32
    assert torch.isfinite(image).all()
    assert image.min() >= -1
    assert image.max() <= 1
    assert image.std() > 0


@every_method
def test_synthesize_evaluates_and_changes_nothing(name: str) -> None:
    method = new(name)
    learn(method)
    before = copy.deepcopy(method.state_dict())
    modes = [n.training for n in method.networks.values()]
    source = make_batch()["source"]
    first, second = method.synthesize(source), method.synthesize(source)
    one_by_one = torch.cat([method.synthesize(s[None]) for s in source])
    assert torch.equal(first, second)
    assert not first.requires_grad
    # In evaluation mode a slice does not depend on its neighbors in the batch.
    torch.testing.assert_close(first, one_by_one, atol=1e-5, rtol=0)
    assert [n.training for n in method.networks.values()] == modes
    for network, state in method.state_dict().items():
        for key, value in state.items():
            assert torch.equal(value, before[network][key]), key


@every_gradient_method
def test_every_parameter_gets_a_gradient(name: str) -> None:
    method = new(name)
    learn(method)
    assert set(method.optimizers) == set(method.networks)
    for network in method.networks.values():
        for key, parameter in network.named_parameters():
            assert parameter.requires_grad, key
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
            assert parameter.grad.abs().sum() > 0, key


@every_gradient_method
def test_optimizers_hold_every_parameter(name: str) -> None:
    method = new(name)
    for key, network in method.networks.items():
        held = {id(p) for g in method.optimizers[key].param_groups for p in g["params"]}
        assert held == {id(p) for p in network.parameters()}


@every_gradient_method
def test_names_the_losses_it_returns(name: str) -> None:
    assert tuple(learn(new(name))[0]) == method_class(name).curves  # type: ignore[attr-defined]


@every_gradient_method
def test_same_seed_same_losses(name: str) -> None:
    first, again, other = (learn(new(name, seed), steps=3) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@every_gradient_method
def test_overfits_one_batch(name: str) -> None:
    losses = learn(new(name, learning_rate=2e-3), steps=25)
    key = method_class(name).curves[0]  # type: ignore[attr-defined]
    assert losses[-1][key] < 0.5 * losses[0][key]


@every_gradient_method
def test_step_size_is_constant_then_falls_to_almost_nothing(name: str) -> None:
    method = new(name)
    factors = [method.learning_rate_factor(epoch, 200) for epoch in range(200)]
    assert factors[:100] == [1.0] * 100
    assert all(a > b > 0 for a, b in pairwise(factors[100:]))
    assert factors[-1] == pytest.approx(0.01, abs=1e-3)


@every_method
def test_checkpoint_gives_the_same_images(
    name: str, request_of: Callable[..., Any], tmp_path: Path
) -> None:
    kept: list[dict[str, Any]] = []
    original = checkpoint.write
    request = request_of(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "write", lambda p, c: (kept.append(c), original(p, c)))
        loop.train(request, tmp_path / "a.pt", tmp_path / "a.tsv", tmp_path / "resume")
    inputs = Inputs(("T1w", "T2w"), 0, 32)
    trained = build(name, request.model["settings"], inputs)
    trained.load_state_dict(kept[-1]["weights"])
    source = make_batch(inputs)["source"]
    model = checkpoint.load_model(tmp_path / "a.pt", device="cpu")
    assert (model.synthesize(source.numpy()) == trained.synthesize(source).numpy()).all()
    loop.train(request, tmp_path / "b.pt", tmp_path / "b.tsv", tmp_path / "resume")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()


@every_gradient_method
@pytest.mark.parametrize("keep", ["last", "best"])
def test_resumed_equals_uninterrupted(
    name: str,
    keep: str,
    request_of: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Killed in epoch 3 of 4, after the state of epoch 2 was saved."""
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    noisy = {f.name: 0.5 for f in fields(settings_class(name)) if f.name == "dropout"}
    request = request_of(name, noisy, epochs=4, keep=keep, augment_flip=True)
    loop.train(request, tmp_path / "a.pt", tmp_path / "a.tsv", tmp_path / "resume-a")
    assert not (tmp_path / "resume-a").exists()

    class KilledError(Exception):
        pass

    def killed(self: Curve, epoch: int, step: int, *rest: Any) -> None:
        if epoch == 3:
            raise KilledError
        add(self, epoch, step, *rest)

    add = Curve.add
    with monkeypatch.context() as patch:
        patch.setattr(Curve, "add", killed)
        with pytest.raises(KilledError):
            loop.train(request, tmp_path / "b.pt", tmp_path / "b.tsv", tmp_path / "resume-b")
    assert (tmp_path / "resume-b" / resume.STATE).is_file()
    assert not (tmp_path / "b.pt").exists()
    capsys.readouterr()
    loop.train(request, tmp_path / "b.pt", tmp_path / "b.tsv", tmp_path / "resume-b")
    assert "resumed after epoch 2" in capsys.readouterr().err
    a, b = (checkpoint.read(tmp_path / f"{run}.pt") for run in "ab")
    for network, state in a["weights"].items():
        for key, value in state.items():
            assert torch.equal(value, b["weights"][network][key]), key
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()


@every_method
def test_refuses_other_channels(name: str, request_of: Callable[..., Any], tmp_path: Path) -> None:
    from crossmod.errors import ContractError

    path = tmp_path / "a.pt"
    loop.train(request_of(name, epochs=1), path, tmp_path / "a.tsv", tmp_path / "resume")
    model = checkpoint.load_model(path, device="cpu")
    with pytest.raises(ContractError, match=r"a\.pt: was given .* where \(B, 2, H, W\) is due"):
        model.synthesize(torch.zeros(1, 3, 32, 32))
    affine = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
    geometry = Geometry((32, 32, 8), affine, (0, 0), size=32, halvings=0)
    with pytest.raises(ContractError, match="lacks T2w"):
        model.contract.check(["T1w", "FLAIR"], geometry, "sub-01")


@every_method
def test_settings_survive_the_checkpoints_plain_values(name: str) -> None:
    kind = settings_class(name)
    plain = json.loads(json.dumps(kind().to_dict()))
    assert check(kind, plain, "here") == kind()
    method = build(name, {**plain, **({"width": 8} if "width" in plain else {})}, INPUTS)
    assert type(method) is method_class(name)
