"""MILR: modality-invariant latent representations."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from crossmod.losses.reconstruction import l1
from crossmod.methods.base import BACKGROUND, Batch, GradientMethod, Inputs, plain
from crossmod.methods.milr_settings import MethodSettings
from crossmod.methods.registry import register
from crossmod.nets.latent_fusion import LatentFusionNet


@register("milr")
class MILR(GradientMethod):
    """Every source has a way into one latent space; what is available is fused and decoded.

    Source: Chartsias, Joyce, Giuffrida and Tsaftaris, TMI 37:803-814, 2018: costs 1 to 3 with
    weight 1 each (the image of every single embedding, the image of the fused one, the variance
    between embeddings).

    Synthesis can do with any of the sources.

    Deviations: one decoder, for the target of the task, where the paper has one for each
    modality; no spatial transformer, because scans are registered before; intensities are scaled
    to a fixed range instead of the volume's mean; the step size falls at the end, no early stop;
    the last ReLU passes gradients where its output is wrongly 0, because one that is 0 everywhere,
    as happens within the first steps at some step sizes, would else stay so.
    """

    settings: MethodSettings
    curves = ("l1", "single_l1", "latent_variance")

    def __init__(self, settings: MethodSettings, inputs: Inputs) -> None:
        super().__init__(settings, inputs)
        network = LatentFusionNet(
            len(inputs.sources),
            2 * inputs.context + 1,
            inputs.size,
            width=settings.width,
            latent=settings.latent,
            fusion=settings.fusion,
        )
        self.networks = {"generator": network}

    def make_optimizers(self) -> dict[str, Optimizer]:
        """Adam."""
        s, parameters = self.settings, self.networks["generator"].parameters()
        return {"generator": Adam(parameters, lr=s.learning_rate, betas=s.betas)}

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step on the three costs."""
        image, alone, variance = self.networks["generator"](batch["source"])
        fused = rectified_l1(image, batch["target"])
        single = rectified_l1(alone, batch["target"].expand_as(alone))
        # Each single image weighs as much as the fused one.
        loss = fused + single * alone.shape[1] + self.settings.lambda_latent * variance
        self.optimizers["generator"].zero_grad()
        self.backward(loss)
        self.optimizers["generator"].step()
        parts = {"l1": fused, "single_l1": single, "latent_variance": variance}
        return {name: part.detach() for name, part in parts.items()}

    def generate(self, source: Tensor) -> Tensor:
        """Image of the fused embedding; a source that is all background counts as missing."""
        network = cast(LatentFusionNet, plain(self.networks["generator"]))
        return network.fused(source).clamp(min=BACKGROUND)


def rectified_l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of an image that is yet to be rectified at the background.

    Below the background is no error where the target is background. Elsewhere it is one with a
    gradient, which a ReLU would stop.
    """
    lowest = torch.where(target > BACKGROUND, -torch.inf, BACKGROUND)
    return l1(image.maximum(lowest), target)
