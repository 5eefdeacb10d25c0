"""Checkpoints: plain types and tensors, written at once, read without running anything."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch

from crossmod.data.contract import DataContract
from crossmod.errors import ContractError
from crossmod.files import atomic_path
from crossmod.hashing import hash_file
from crossmod.methods.base import Inputs
from crossmod.methods.registry import build

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = "crossmod-checkpoint-1"
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError)
_REMEDY = "train the model again, or give another checkpoint"


@dataclass(frozen=True)
class LoadedModel:
    """A trained model, ready to synthesize.

    Attributes
    ----------
    contract : DataContract
        What it was trained on.
    method : str
        Name of the method.
    settings : dict
        The method's own settings.
    sha256 : str
        Hash of the checkpoint file.
    info : dict
        Training settings, seed, number of epochs, epoch kept.
    resolution : {"network", "native"}
        Whether it is given the slices of the store, or slices of the common grid.
    synthesize : callable
        Maps float32 (B, C, H, W) in [-1, 1], array or tensor, to a float32 array (B, 1, H, W).
    """

    contract: DataContract
    method: str
    settings: dict[str, Any]
    sha256: str
    info: dict[str, Any]
    resolution: Literal["network", "native"]
    synthesize: Callable[[Any], NDArray[np.float32]]


def write(path: Path, content: dict[str, Any]) -> None:
    """Write plain types and tensors atomically; same content, same bytes."""
    # Given a path, torch.save would write the (random) temporary file name into the archive.
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        torch.save(content, stream)


def read(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read what `write` wrote; nothing in the file is executed.

    Raises
    ------
    ContractError
        If the file is missing, damaged, or holds anything but plain types and tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that are refused anyway
            content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise ContractError(path, "does not exist", "train the model first") from None
    except (OSError, *_UNREADABLE):
        problem = "is no checkpoint, or a damaged one"
        raise ContractError(path, problem, _REMEDY) from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ContractError(path, "is no checkpoint of crossmod", _REMEDY)
    return cast(dict[str, Any], content)


def on_cpu(weights: dict[str, dict[str, torch.Tensor]]) -> dict[str, dict[str, torch.Tensor]]:
    """Copy weights to the host, in the plain memory layout whatever they were trained in."""
    layout = torch.contiguous_format
    return {
        name: {key: value.detach().cpu().clone(memory_format=layout) for key, value in own.items()}
        for name, own in weights.items()
    }


def load_model(path: Path | str, device: str | None = None) -> LoadedModel:
    """Load a trained model.

    Parameters
    ----------
    path : path
        `checkpoint.pt`.
    device : str, optional
        By default a GPU if there is one.

    Raises
    ------
    ContractError
        If the file is missing, damaged, foreign, or does not fit its own settings.
    """
    path = Path(path)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    content = read(path, device)
    if content.get("format") != FORMAT:
        problem = f"has the format {content.get('format')!r}, not {FORMAT!r}"
        raise ContractError(path, problem, _REMEDY)
    try:
        contract = DataContract.from_dict(content["contract"], where=str(path))
        inputs = Inputs(contract.sources, contract.context, contract.size)
        method = build(content["method"], content["settings"], inputs)
        for network in method.networks.values():
            network.to(device)
        method.load_state_dict(content["weights"])
    except (AttributeError, *_UNREADABLE) as error:
        problem = f"does not fit its own settings ({' '.join(str(error).split())[:200]})"
        raise ContractError(path, problem, _REMEDY) from None

    def synthesize(source: Any) -> NDArray[np.float32]:
        tensor = torch.as_tensor(source, dtype=torch.float32, device=device)
        if tensor.ndim != 4 or tensor.shape[1] != contract.channels:
            problem = f"was given {tuple(tensor.shape)} where (B, {contract.channels}, H, W) is due"
            raise ContractError(path, problem, "give the sources that the contract names")
        return method.synthesize(tensor).cpu().numpy()

    return LoadedModel(
        contract=contract,
        method=content["method"],
        settings=content["settings"],
        sha256=hash_file(path),
        info={key: content[key] for key in ("training", "seed", "epochs", "kept_epoch", "code")},
        resolution=content["settings"].get("resolution", "network"),
        synthesize=synthesize,
    )
