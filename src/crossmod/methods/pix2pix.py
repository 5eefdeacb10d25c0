"""pix2pix with channel-stacked sources."""

from __future__ import annotations

from torch import Tensor

from crossmod.losses.reconstruction import l1, l1_weight
from crossmod.methods.adversarial import AdversarialMethod
from crossmod.methods.base import Batch, Inputs, plain
from crossmod.methods.pix2pix_settings import MethodSettings
from crossmod.methods.registry import register
from crossmod.nets.unet import UNet, UNetShape


@register("pix2pix")
class Pix2Pix(AdversarialMethod):
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
        judge = self.make_discriminator()  # first, as ever: its weights are drawn first
        self.networks = {"generator": UNet(shape), "discriminator": judge}
        preset = l1_weight(settings.l1_weight, inputs.size)
        self.lambda_l1 = preset if settings.lambda_l1 is None else settings.lambda_l1

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the discriminator, then one of the generator."""
        source, target = batch["source"], batch["target"]
        synthetic = self.networks["generator"](source)
        discriminator = self.step_discriminator(source, target, synthetic.detach())
        reconstruction = l1(synthetic, target)
        adversarial = self.adversarial_loss(source, synthetic)
        weight = self.settings.lambda_adversarial
        self.step_generator(self.lambda_l1 * reconstruction + weight * adversarial)
        return {
            "generator_l1": reconstruction.detach(),
            "generator_adversarial": adversarial.detach(),
            "discriminator": discriminator,
        }

    def generate(self, source: Tensor) -> Tensor:
        """Output of the generator."""
        return plain(self.networks["generator"])(source)
