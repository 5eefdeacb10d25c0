"""REPLICA: regression forests on patches, from coarse to fine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from crossmod.methods.base import BACKGROUND, Batch, ClassicalMethod, Inputs
from crossmod.methods.registry import register
from crossmod.methods.replica_settings import MethodSettings
from crossmod.nets.forest import Forest
from crossmod.nets.patch_features import patches, surroundings

SLICES_AT_ONCE = 8


@register("replica")
class Replica(ClassicalMethod):
    """A forest of regression trees per resolution; each sees the image of the coarser one.

    Source: Jog, Carass, Roy, Pham and Prince, "Random forest regression for magnetic resonance
    image synthesis", Medical Image Analysis 35:475-488, 2017 (REPLICA).

    Deviations: patches are two-dimensional (with neighboring slices if `context` is set); the
    context descriptor, means over squares in eight directions at three distances, is given at all
    scales and not turned towards the center of the head; outside the brain nothing is predicted.
    """

    settings: MethodSettings

    def __init__(self, settings: MethodSettings, inputs: Inputs) -> None:
        super().__init__(settings, inputs)
        # From coarse to fine.
        self.factors = [2**i for i in reversed(range(settings.scales))]
        self.networks = {f"forest_{factor}": Forest() for factor in self.factors}

    def fit(self, batches: Iterable[Batch]) -> None:
        """Grow the forests, coarse to fine, on slices and pixels drawn at random."""
        source, target = self._draw_slices(batches)
        coarser = None
        for factor in self.factors:
            small, inside = self._shrink(source, factor)
            features = self._features_inside(small, coarser, inside)
            truth = functional.avg_pool2d(target, factor)[:, 0][inside]
            forest = self._forest(factor)
            grown = self._grow(forest, features, truth)
            if factor > 1:
                coarser = small.new_full((len(small), 1, *small.shape[2:]), BACKGROUND)
                coarser[:, 0][inside] = self._as_unseen(forest, features, *grown)

    def _draw_slices(self, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
        """At most `slices` slices, every one as likely as any other (reservoir sampling)."""
        kept: list[tuple[Tensor, Tensor]] = []
        seen = 0
        for batch in batches:
            for pair in zip(batch["source"], batch["target"], strict=True):
                seen += 1
                place = int(torch.randint(seen, ()))
                if len(kept) < self.settings.slices:
                    kept.append(pair)
                elif place < self.settings.slices:
                    kept[place] = pair
        sources, targets = zip(*kept, strict=True)
        return torch.stack(sources), torch.stack(targets)

    def _grow(self, forest: Forest, features: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Grow a forest; the pixels it was grown on, and what trees that left each out say of it.

        0 stands for a pixel that no tree left out, which happens with few trees.
        """
        # Needed to fit only: a trained model runs on torch alone.
        from sklearn.ensemble import RandomForestRegressor

        s = self.settings
        drawn = torch.randperm(len(truth))[: s.samples]
        grower = RandomForestRegressor(
            n_estimators=s.trees,
            min_samples_leaf=s.min_leaf,
            max_features=s.max_features,
            max_samples=s.max_samples,
            oob_score=True,
            random_state=int(torch.randint(2**31, ())),
        )
        grower.fit(features[drawn].numpy(), truth[drawn].numpy())
        forest.take(tree.tree_ for tree in grower.estimators_)
        return drawn, torch.from_numpy(grower.oob_prediction_).to(truth)

    @staticmethod
    def _as_unseen(forest: Forest, features: Tensor, drawn: Tensor, left_out: Tensor) -> Tensor:
        """What a forest says of every pixel, (N,), as it would of an unseen one.

        The trees that a pixel was given to know it by heart, and the next forest would learn to
        copy an image far better than any that synthesis can give it.
        """
        estimate = forest(features)
        estimate[drawn] = torch.where(left_out == 0, estimate[drawn], left_out)
        return estimate

    def _forest(self, factor: int) -> Forest:
        return cast(Forest, self.networks[f"forest_{factor}"])

    def _shrink(self, source: Tensor, factor: int) -> tuple[Tensor, Tensor]:
        """Sources at a coarser resolution, and the pixels there that hold any brain (B, H, W)."""
        brain = self.inputs.brain(source).float()
        return functional.avg_pool2d(source, factor), functional.max_pool2d(brain, factor)[:, 0] > 0

    def _features(self, source: Tensor, coarser: Tensor | None) -> Tensor:
        """Features of every pixel, (B, H, W, F)."""
        centers = [self.inputs.center(index) for index in range(len(self.inputs.sources))]
        parts = [patches(source), surroundings(source[:, centers])]
        if coarser is not None:
            parts.append(patches(functional.interpolate(coarser, scale_factor=2.0)))
        return torch.cat(parts, dim=1).permute(0, 2, 3, 1)

    def _features_inside(self, source: Tensor, coarser: Tensor | None, inside: Tensor) -> Tensor:
        """Features of the pixels inside, (N, F), made a few slices at a time.

        Those of the background would take most of the memory.
        """
        parts = []
        for start in range(0, len(source), SLICES_AT_ONCE):
            few = slice(start, start + SLICES_AT_ONCE)
            below = None if coarser is None else coarser[few]
            parts.append(self._features(source[few], below)[inside[few]])
        return torch.cat(parts)

    def _predict(self, factor: int, features: Tensor, inside: Tensor) -> Tensor:
        """Image at one resolution, background outside: (B, 1, H, W)."""
        image = features.new_full(inside.shape, BACKGROUND)
        image[inside] = self._forest(factor)(features[inside])
        return image[:, None]

    def generate(self, source: Tensor) -> Tensor:
        """Coarse to fine; what the last forest says inside, background outside."""
        coarser = None
        for factor in self.factors:
            small, inside = self._shrink(source, factor)
            coarser = self._predict(factor, self._features(small, coarser), inside)
        return cast(Tensor, coarser)
