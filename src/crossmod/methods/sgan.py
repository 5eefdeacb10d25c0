"""sGAN-style synthesis: a GAN whose generator must keep oriented structure."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from crossmod.losses.steerable import oriented_filters, steerable_loss
from crossmod.methods.adversarial import AdversarialMethod
from crossmod.methods.base import Batch, Inputs, plain
from crossmod.methods.registry import register
from crossmod.methods.sgan_settings import MethodSettings
from crossmod.nets.resnet import ResNetGenerator


@register("sgan")
class SGAN(AdversarialMethod):
    """Residual generator, PatchGAN, and a loss on the responses of steerable filters.

    Source: Olut, Sahin, Demir and Unal, "Generative adversarial training for MRA image synthesis
    using multi-contrast MRI", PRIME at MICCAI 2018; Huber losses as the FD-GAN paper describes
    it; filters after Freeman and Adelson, PAMI 1991.

    Deviations: "sGAN-style", for the paper itself was not at hand: every number is an assumption
    and says so in the settings.
    """

    settings: MethodSettings
    curves = ("generator_huber", "generator_steerable", "generator_adversarial", "discriminator")

    def __init__(self, settings: MethodSettings, inputs: Inputs) -> None:
        super().__init__(settings, inputs)
        s = settings
        self.networks = {
            "generator": ResNetGenerator(
                inputs.channels,
                inputs.size,
                width=s.width,
                blocks=s.residual_blocks,
                norm=s.norm,
                up=s.up,
            ),
            "discriminator": self.make_discriminator(),
        }
        self.filters = oriented_filters(s.orientations, s.sigma)

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the discriminator, then one of the generator."""
        s = self.settings
        source, target = batch["source"], batch["target"]
        synthetic = self.networks["generator"](source)
        discriminator = self.step_discriminator(source, target, synthetic.detach())
        huber = functional.huber_loss(synthetic, target, delta=s.huber_delta)
        self.filters = self.filters.to(target.device)
        steerable = steerable_loss(synthetic, target, self.filters, s.huber_delta)
        adversarial = self.adversarial_loss(source, synthetic)
        self.step_generator(
            s.lambda_huber * huber
            + s.lambda_steerable * steerable
            + s.lambda_adversarial * adversarial
        )
        return {
            "generator_huber": huber.detach(),
            "generator_steerable": steerable.detach(),
            "generator_adversarial": adversarial.detach(),
            "discriminator": discriminator,
        }

    def generate(self, source: Tensor) -> Tensor:
        """Output of the generator."""
        return plain(self.networks["generator"])(source)
