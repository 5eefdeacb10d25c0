"""crossmod: cross-modality brain image synthesis studies.

The public Python API is what `__all__` names. It is imported when it is first used, so that
`import crossmod` costs nothing: neither torch nor pandas nor nibabel.

>>> import crossmod
>>> results = crossmod.open_study("config/config.yaml")
>>> results.table("summary")                                            # doctest: +SKIP
>>> unet = results.models["unet"]                                       # doctest: +SKIP
>>> image = crossmod.synthesize(unet.checkpoint, {"T1w": "t1.nii.gz"})  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossmod.api import (
        CrossmodError,
        Results,
        TrainedModel,
        load_study,
        open_study,
        synthesize,
    )

__version__ = "0.1.0"
__all__ = [
    "CrossmodError",
    "Results",
    "TrainedModel",
    "load_study",
    "open_study",
    "synthesize",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("crossmod.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
