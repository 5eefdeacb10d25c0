"""U-Net regression: pix2pix without its discriminator."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Adam, Optimizer

from crossmod.losses.reconstruction import l1
from crossmod.methods.base import Batch, GradientMethod, Inputs, plain
from crossmod.methods.registry import register
from crossmod.methods.unet_settings import MethodSettings
from crossmod.nets.unet import UNet, UNetShape


@register("unet")
class UNetRegression(GradientMethod):
    """U-Net trained with L1 alone: the control that tells what an adversarial loss adds.

    Source: the generator of Isola et al., CVPR 2017, after Ronneberger et al., MICCAI 2015;
    L1 regression of one modality from others as in Osman and Tamam, J Appl Clin Med Phys 2022.

    Deviations: instance norm where pix2pix has batch norm, no dropout, Adam's own moments; each
    is a setting, and its reason stands beside it.
    """

    settings: MethodSettings
    curves = ("l1",)

    def __init__(self, settings: MethodSettings, inputs: Inputs) -> None:
        super().__init__(settings, inputs)
        shape = UNetShape.of(settings, inputs.channels, inputs.size)
        self.networks = {"generator": UNet(shape)}

    def make_optimizers(self) -> dict[str, Optimizer]:
        """Adam."""
        s, parameters = self.settings, self.networks["generator"].parameters()
        return {"generator": Adam(parameters, lr=s.learning_rate, betas=s.betas)}

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step of L1 regression."""
        loss = l1(self.networks["generator"](batch["source"]), batch["target"])
        self.optimizers["generator"].zero_grad()
        self.backward(loss)
        self.optimizers["generator"].step()
        return {"l1": loss.detach()}

    def generate(self, source: Tensor) -> Tensor:
        """Output of the network."""
        return plain(self.networks["generator"])(source)
