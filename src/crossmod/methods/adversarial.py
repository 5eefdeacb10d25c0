"""What methods with a generator and a discriminator share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from crossmod.losses.adversarial import discriminator_loss, generator_loss
from crossmod.methods.base import GradientMethod
from crossmod.nets.global_discriminator import GlobalDiscriminator
from crossmod.nets.patchgan import PatchGAN


class AdversarialMethod(GradientMethod):
    """A `generator` against a `discriminator` that sees sources and target.

    Its settings have `width`, `discriminator`, `discriminator_width`, `discriminator_batches`,
    `turns`, `adversarial`, `learning_rate` and `betas`: at equal settings methods differ in the
    generator and its losses alone. The discriminator steps first.

    Attributes
    ----------
    resting : str or None
        Network that does not step in this epoch; by default both do.
    """

    resting: str | None = None

    def make_discriminator(self) -> nn.Module:
        """New discriminator of sources and target, with batch norm whatever the generator has."""
        s = self.settings
        kind = PatchGAN if s.discriminator == "patch" else GlobalDiscriminator
        width = s.discriminator_width or s.width
        return kind(self.inputs.channels + 1, self.inputs.size, width=width)

    def begin_epoch(self, epoch: int) -> None:
        """Say who rests, where whole epochs alternate: the discriminator is trained first."""
        if self.settings.turns == "epoch":
            self.resting = "discriminator" if epoch % 2 else "generator"

    def make_optimizers(self) -> dict[str, Optimizer]:
        """Adam for each network."""
        s = self.settings
        return {
            name: Adam(network.parameters(), lr=s.learning_rate, betas=s.betas)
            for name, network in self.networks.items()
        }

    def judge(self, source: Tensor, image: Tensor) -> Tensor:
        """Logits of the discriminator on an image and the sources it belongs to."""
        return self.networks["discriminator"](torch.cat([source, image], dim=1))

    def adversarial_loss(self, source: Tensor, synthetic: Tensor) -> Tensor:
        """Loss of the generator."""
        return generator_loss(self.settings.adversarial, self.judge(source, synthetic))

    def step_generator(self, loss: Tensor) -> None:
        """Step of the generator down the gradient of `loss`."""
        self.optimizers["generator"].zero_grad()
        self.backward(loss)
        self._step("generator")

    def step_discriminator(self, source: Tensor, target: Tensor, synthetic: Tensor) -> Tensor:
        """Step on acquired and synthetic images (detached); the mean of both losses.

        In separate batches each is propagated on its own: batch statistics stay separate, half the
        memory is needed, and buffers that several devices share are not changed between forward
        and backward.
        """
        self.optimizers["discriminator"].zero_grad()
        kind = self.settings.adversarial
        total = source.new_zeros(())
        if self.settings.discriminator_batches == "joint":
            images = torch.cat([synthetic, target])
            made, acquired = self.judge(torch.cat([source, source]), images).chunk(2)
            loss = discriminator_loss(kind, made, acquired=False) / 2
            loss = loss + discriminator_loss(kind, acquired, acquired=True) / 2
            self.backward(loss)
            total += loss.detach()
        else:
            for image, is_acquired in ((synthetic, False), (target, True)):
                logits = self.judge(source, image)
                loss = discriminator_loss(kind, logits, acquired=is_acquired) / 2
                self.backward(loss)
                total += loss.detach()
        self._step("discriminator")
        return total

    def _step(self, network: str) -> None:
        if network != self.resting:
            self.optimizers[network].step()
