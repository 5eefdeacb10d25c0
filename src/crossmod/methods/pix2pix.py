"""pix2pix with channel-stacked sources."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from crossmod.losses.adversarial import discriminator_loss, generator_loss
from crossmod.losses.reconstruction import l1
from crossmod.methods.base import Batch, GradientMethod, Inputs, plain
from crossmod.methods.pix2pix_settings import MethodSettings
from crossmod.methods.registry import register
from crossmod.nets.patchgan import PatchGAN
from crossmod.nets.unet import UNet, UNetShape


@register("pix2pix")
class Pix2Pix(GradientMethod):
    """U-Net generator against a PatchGAN that sees sources and target.

    Source: Isola, Zhu, Zhou and Efros, "Image-to-image translation with conditional adversarial
    networks", CVPR 2017; the discriminator's loss is halved as in section 3.3.

    Deviations: dropout is off and batch norm uses running statistics at synthesis, so that an
    image depends on its sources alone; the paper keeps both in training mode. Sources are stacked
    as channels. The discriminator steps first, as in the paper's code.
    """

    settings: MethodSettings
    curves = ("generator_l1", "generator_adversarial", "discriminator")

    def __init__(self, settings: MethodSettings, inputs: Inputs) -> None:
        super().__init__(settings, inputs)
        shape = UNetShape.of(settings, inputs.channels, inputs.size)
        n_in = inputs.channels + 1
        self.networks = {
            "generator": UNet(shape),
            "discriminator": PatchGAN(n_in, inputs.size, width=settings.width, norm=settings.norm),
        }

    def make_optimizers(self) -> dict[str, Optimizer]:
        """Adam for each network."""
        s = self.settings
        return {
            name: Adam(network.parameters(), lr=s.learning_rate, betas=s.betas)
            for name, network in self.networks.items()
        }

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the discriminator, then one of the generator."""
        source, target = batch["source"], batch["target"]
        synthetic = self.networks["generator"](source)
        discriminator = self._step_discriminator(source, target, synthetic.detach())
        kind = self.settings.adversarial
        reconstruction = l1(synthetic, target)
        adversarial = generator_loss(kind, self._judge(source, synthetic))
        self.optimizers["generator"].zero_grad()
        self.backward(
            self.settings.lambda_l1 * reconstruction
            + self.settings.lambda_adversarial * adversarial
        )
        self.optimizers["generator"].step()
        return {
            "generator_l1": reconstruction.detach(),
            "generator_adversarial": adversarial.detach(),
            "discriminator": discriminator,
        }

    def _judge(self, source: Tensor, image: Tensor) -> Tensor:
        return self.networks["discriminator"](torch.cat([source, image], dim=1))

    def _step_discriminator(self, source: Tensor, target: Tensor, synthetic: Tensor) -> Tensor:
        """Step on acquired and synthetic images; the mean of both losses.

        Each is propagated on its own: batch statistics stay separate, half the memory is needed,
        and buffers that several devices share are not changed between forward and backward.
        """
        self.optimizers["discriminator"].zero_grad()
        total = source.new_zeros(())
        for image, acquired in ((synthetic, False), (target, True)):
            logits = self._judge(source, image)
            loss = discriminator_loss(self.settings.adversarial, logits, acquired=acquired) / 2
            self.backward(loss)
            total += loss.detach()
        self.optimizers["discriminator"].step()
        return total

    def generate(self, source: Tensor) -> Tensor:
        """Output of the generator."""
        return plain(self.networks["generator"])(source)
