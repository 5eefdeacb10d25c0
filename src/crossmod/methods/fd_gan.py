"""FD-GAN: synthesis by feature disentanglement."""

from __future__ import annotations

from torch import Tensor, nn

from crossmod.losses.reconstruction import l1
from crossmod.methods.adversarial import AdversarialMethod
from crossmod.methods.base import Batch, Inputs, plain
from crossmod.methods.fd_gan_settings import MethodSettings
from crossmod.methods.registry import register
from crossmod.nets.fd_gan import FDGenerator, FDShape
from crossmod.nets.global_discriminator import GlobalDiscriminator
from crossmod.nets.patchgan import PatchGAN

PAPER_WEIGHT = 0.1  # lambda_1 and lambda_2 of equation 5
REFERENCE_WEIGHT = 100.0  # of pix2pix, whose balance with the adversarial loss is known to train


@register("fd-gan")
class FDGAN(AdversarialMethod):
    """Shared features of all sources, decoded in the style of a fused pseudo-target.

    Source: the multi-modal MRI synthesis network with feature disentanglement (SRE encoders, SPE,
    LAF, Cat-Conv, AdaIN decoder) on BRATS2015; layers after Huang et al., MUNIT, ECCV 2018.

    Deviations: the paper leaves channels, norms, the weight of L1 and more open; each choice is a
    setting and its reason stands beside it. Equation 4 is read as the usual adversarial loss with
    a non-saturating generator: as printed, the discriminator's term has no lower bound. Networks
    step in turns at every batch: in turns of whole epochs, as the text can be read, neither has an
    opponent that moves. Of the three transposed convolutions two double the size, for three would
    not give it back. The pseudo-target has one channel, for it is compared with the target.
    """

    settings: MethodSettings
    curves = ("generator_l1", "pseudo_target_l1", "generator_adversarial", "discriminator")

    def __init__(self, settings: MethodSettings, inputs: Inputs) -> None:
        super().__init__(settings, inputs)
        shape = FDShape(
            sources=len(inputs.sources),
            channels_per_source=2 * inputs.context + 1,
            size=inputs.size,
            width=settings.width,
            first=settings.first_width,
            residual_blocks=settings.residual_blocks,
            grid=settings.laf_grid,
            blend=settings.laf_seams == "blend",
            style=settings.style,
            style_width=settings.style_width,
            style_growth=settings.style_growth,
            style_heads=settings.style_heads,
            share_style=settings.share_adain,
            activation=settings.activation,
            affine=settings.affine,
            padding=settings.padding,
            up=settings.up,
            up_norm=settings.up_norm,
        )
        self.networks = {"generator": FDGenerator(shape), "discriminator": self._discriminator()}
        weights = {
            "reference": REFERENCE_WEIGHT,
            "paper-mean": PAPER_WEIGHT,
            "paper-sum": PAPER_WEIGHT * inputs.size**2,
        }
        preset = weights[settings.l1_weight]
        self.lambda_l1 = preset if settings.lambda_l1 is None else settings.lambda_l1
        self.lambda_laf = preset if settings.lambda_laf is None else settings.lambda_laf

    def _discriminator(self) -> nn.Module:
        kind = PatchGAN if self.settings.discriminator == "patch" else GlobalDiscriminator
        width = self.settings.discriminator_width or self.settings.width
        return kind(self.inputs.channels + 1, self.inputs.size, width=width)

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the discriminator, then one of the generator."""
        source, target = batch["source"], batch["target"]
        style_of = target if self.settings.style_from == "target" else None
        synthetic, pseudo_target = self.networks["generator"](source, style_of)
        discriminator = self.step_discriminator(source, target, synthetic.detach())
        reconstruction, fusion = l1(synthetic, target), l1(pseudo_target, target)
        adversarial = self.adversarial_loss(source, synthetic)
        self.step_generator(
            self.lambda_l1 * reconstruction
            + self.lambda_laf * fusion
            + self.settings.lambda_adversarial * adversarial
        )
        return {
            "generator_l1": reconstruction.detach(),
            "pseudo_target_l1": fusion.detach(),
            "generator_adversarial": adversarial.detach(),
            "discriminator": discriminator,
        }

    def generate(self, source: Tensor) -> Tensor:
        """Image of the generator."""
        image: Tensor = plain(self.networks["generator"])(source)[0]
        return image
