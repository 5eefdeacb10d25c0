"""FD-GAN: synthesis by feature disentanglement."""

from __future__ import annotations

from torch import Tensor

from crossmod.losses.reconstruction import l1, l1_weight
from crossmod.methods.adversarial import AdversarialMethod
from crossmod.methods.base import Batch, Inputs, plain
from crossmod.methods.fd_gan_settings import MethodSettings
from crossmod.methods.registry import register
from crossmod.nets.fd_gan import FDGenerator, FDShape


@register("fd-gan")
class FDGAN(AdversarialMethod):
    """Shared features of all sources, decoded in the style of a fused pseudo-target.

    Source: the multi-modal MRI synthesis network with feature disentanglement (SRE encoders, SPE,
    LAF, Cat-Conv, AdaIN decoder) on BRATS2015; layers after Huang et al., MUNIT, ECCV 2018.

    Deviations: the paper leaves channels, norms, first weights, the weight of L1 and more open;
    each choice is a setting and its reason stands beside it.

    Of the curves, `style_spread` is the standard deviation over a batch of the scales and shifts
    that the style encoder sets, averaged over them: at 0 every image gets the same style.
    """

    settings: MethodSettings
    curves = (
        *("generator_l1", "pseudo_target_l1", "generator_adversarial", "discriminator"),
        "style_spread",
    )

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
            fused=settings.laf_channels,
            style=settings.style,
            style_width=settings.style_width,
            style_growth=settings.style_growth,
            style_heads=settings.style_heads,
            style_start=settings.style_start,
            adain=settings.adain,
            activation=settings.activation,
            affine=settings.affine,
            padding=settings.padding,
            up=settings.up,
            up_norm=settings.up_norm,
            up_blocks=settings.up_blocks,
        )
        self.networks = {
            "generator": FDGenerator(shape),
            "discriminator": self.make_discriminator(),
        }
        preset = l1_weight(settings.l1_weight, inputs.size)
        self.lambda_l1 = preset if settings.lambda_l1 is None else settings.lambda_l1
        self.lambda_laf = preset if settings.lambda_laf is None else settings.lambda_laf

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the discriminator, then one of the generator."""
        source, target = batch["source"], batch["target"]
        style_of = target if self.settings.style_from == "target" else None
        synthetic, pseudo_target, style = self.networks["generator"](source, style_of)
        discriminator = self.step_discriminator(source, target, synthetic.detach())
        reconstruction = l1(synthetic, target)
        fusion = l1(pseudo_target, target.expand_as(pseudo_target))
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
            "style_spread": style.detach().float().std(dim=2, correction=0).mean(),
        }

    def generate(self, source: Tensor) -> Tensor:
        """Image of the generator."""
        image: Tensor = plain(self.networks["generator"])(source)[0]
        return image
