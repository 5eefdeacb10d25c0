"""A regression forest as tensors: grown by scikit-learn, kept and evaluated with torch alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_INTEGERS = ("feature", "left", "right", "roots")
_FLOATS = ("threshold", "value")


class Forest(nn.Module):
    """Mean of regression trees; (N, F) features -> (N,) values. Empty until `take` or loaded.

    All trees lie one after the other in the same arrays. A leaf is its own child.
    """

    def __init__(self) -> None:
        super().__init__()
        self.feature: Tensor
        self.left: Tensor
        self.right: Tensor
        self.roots: Tensor
        self.threshold: Tensor
        self.value: Tensor
        for name in _INTEGERS:
            self.register_buffer(name, torch.zeros(0, dtype=torch.int32))
        for name in _FLOATS:
            self.register_buffer(name, torch.zeros(0))

    def take(self, trees: Iterable[Any]) -> None:
        """Copy grown trees (`estimator.tree_` of scikit-learn)."""
        parts: dict[str, list[np.ndarray]] = {name: [] for name in (*_INTEGERS, *_FLOATS)}
        start = 0
        for tree in trees:
            own = np.arange(tree.node_count)
            leaf = tree.children_left < 0
            parts["roots"].append(np.array([start]))
            parts["feature"].append(np.where(leaf, 0, tree.feature))
            parts["left"].append(np.where(leaf, own, tree.children_left) + start)
            parts["right"].append(np.where(leaf, own, tree.children_right) + start)
            parts["threshold"].append(tree.threshold)
            parts["value"].append(tree.value[:, 0, 0])
            start += tree.node_count
        for name, arrays in parts.items():
            kind = torch.int32 if name in _INTEGERS else torch.float32
            setattr(self, name, torch.from_numpy(np.concatenate(arrays)).to(kind))

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Take the sizes of what is loaded: a grown forest is as large as its data made it."""
        for name in (*_INTEGERS, *_FLOATS):
            if isinstance(state.get(prefix + name), Tensor):
                setattr(self, name, torch.empty_like(state[prefix + name]))
        super()._load_from_state_dict(state, prefix, *rest)

    def forward(self, features: Tensor) -> Tensor:
        """Mean over the trees."""
        total = features.new_zeros(len(features))
        rows = torch.arange(len(features), device=features.device)
        for root in self.roots.tolist():
            node = torch.full_like(rows, root)
            while True:
                below = features[rows, self.feature[node].long()] <= self.threshold[node]
                following = torch.where(below, self.left[node], self.right[node]).long()
                if torch.equal(following, node):
                    break
                node = following
            total += self.value[node]
        return total / max(len(self.roots), 1)
