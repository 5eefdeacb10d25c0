"""The data contract: what a trained model was trained on, stored in its checkpoint."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from crossmod.data.store import Geometry
from crossmod.errors import ContractError


@dataclass(frozen=True)
class DataContract:
    """Everything new data must fit, and what is needed to go back to image units.

    Attributes
    ----------
    sources : tuple of str
        Modalities in channel order.
    target : str
        Synthesized modality.
    context : int
        Neighbouring slices on each side per source; channels are ordered source by source, from
        the slice below to the slice above: `len(sources) * (2 * context + 1)` channels.
    size : int
        Height and width in pixels.
    halvings : int
        How often the padded slice was halved.
    spacing_mm : float or None
        Isotropic voxel size of the common grid; None if the reference scan's grid was kept.
    space : str
        `native` or `template`.
    orientation : str
        Axis codes of the volumes; slices are cut along the third axis.
    percentiles : tuple of float
        Percentiles inside the brain mapped to 0 and 1 (`intensity` `percentiles`).
    cohort : dict of str to [low, high]
        Median over the training sessions of the intensities of each modality that were mapped to
        0 and 1: the scale of delivered images.
    preprocess : dict
        Preprocessing settings, so that new scans are treated alike.
    preprocess_hash : str
        Their hash.
    split : str
        Hash of the training and validation sessions.
    code : str
        Version and code hash of the package that trained.
    fit : str
        `pad` or `resize`, see `crossmod.data.store.Geometry`; older checkpoints lack it.
    standard : dict of str to list of float
        Landmarks of the standard scale by modality, see `crossmod.data.standardization`; empty
        without standardization, and older checkpoints lack it.
    """

    sources: tuple[str, ...]
    target: str
    context: int
    size: int
    halvings: int
    spacing_mm: float | None
    space: str
    orientation: str
    percentiles: tuple[float, float]
    cohort: dict[str, list[float]]
    preprocess: dict[str, Any]
    preprocess_hash: str
    split: str
    code: str
    fit: str = "pad"
    standard: dict[str, list[float]] = field(default_factory=dict)

    @property
    def intensity(self) -> str:
        """What was mapped to 0 and 1, as in `preprocess.intensity`."""
        return str(self.preprocess.get("intensity", "percentiles"))

    @property
    def channels(self) -> int:
        """Input channels of a network."""
        return len(self.sources) * (2 * self.context + 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        content = asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in content.items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any], where: str) -> DataContract:
        """Read back; `ContractError` naming `where` if keys are missing or unknown."""
        try:
            values = {**content, "sources": tuple(content["sources"])}
            values["percentiles"] = tuple(content["percentiles"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            problem = f"holds no valid data contract ({error})"
            raise ContractError(where, problem, "train the model again") from None

    def sources_in(self, available: Collection[str]) -> tuple[str, ...]:
        """Those of the sources that there are, in channel order."""
        return tuple(name for name in self.sources if name in available)

    def check(
        self, modalities: Collection[str], geometry: Geometry, where: str, *, part: bool = False
    ) -> None:
        """Refuse data that the model cannot read.

        Parameters
        ----------
        modalities : collection of str
            What there is.
        geometry : Geometry
            How its slices were cut.
        where : str
            Named in errors.
        part : bool
            Whether one of the sources is enough.

        Raises
        ------
        ContractError
            If a source is missing that is needed, or the slices were cut otherwise.
        """
        found = self.sources_in(modalities)
        if len(found) < len(self.sources) and not (part and found):
            missing = [name for name in self.sources if name not in found]
            problem = f"lacks {', '.join(missing)}, which the model needs"
            raise ContractError(where, problem, "give all sources or use another model")
        due = slicing_in_words(self)
        if slicing_in_words(geometry) != due:
            problem = f"has slices of {slicing_in_words(geometry)}, the model was trained on {due}"
            raise ContractError(where, problem, "slice again with the model's settings")


def slicing_in_words(of: DataContract | Geometry) -> str:
    """How slices were cut, the same words for the same cut."""
    how = "resized" if of.fit == "resize" else f"halved {of.halvings} times"
    return f"{of.size} px {how}"
