"""U-Net regression: pix2pix without its discriminator."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Adam

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
        own = {"width": settings.width, "norm": settings.norm, "up": settings.up}
        shape = UNetShape(inputs.channels, 1, inputs.size, dropout=settings.dropout, **own)
        network = UNet(shape)
        self.networks = {"generator": network}
        adam = Adam(network.parameters(), lr=settings.learning_rate, betas=settings.betas)
        self.optimizers = {"generator": adam}

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
