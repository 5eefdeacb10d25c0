"""Slice stores, and requests to train on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from slice_stores import write_store

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three sessions."""
    folder = tmp_path_factory.mktemp("stores")
    return [write_store(folder, f"sub-{i:02d}", seed=i) for i in range(3)]


@pytest.fixture
def request_of(stores: list[Path]) -> Callable[..., Any]:
    """Make a request: `request_of("unet", settings={"width": 8}, epochs=3)`."""
    from crossmod.methods import settings_class
    from crossmod.settings import TaskSettings
    from crossmod.training.request import TrainRequest

    def make(method: str, settings: dict[str, Any] | None = None, **training: Any) -> TrainRequest:
        known = [field.name for field in fields(settings_class(method))]
        small = {key: size for key, size in {"width": 4, "trees": 4}.items() if key in known}
        own = settings_class(method)(**{**small, **(settings or {})}).to_dict()
        defaults = {"epochs": 3, "validate_every": 2, "steps_per_epoch": 2, "batch_size": 2}
        return TrainRequest(
            task=TaskSettings(sources=("T1w", "T2w"), target="FLAIR"),
            model={"method": method, "settings": own, "training": {**defaults, **training}},
            train_manifests=tuple(stores[:2]),
            validation_manifests=tuple(stores[2:]),
            seed=0,
            preprocess={},
        )

    return make
