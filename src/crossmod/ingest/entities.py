"""Choosing among the files of a BIDS folder by the entities of their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crossmod.errors import InputError
from crossmod.ingest.names import Found, Remark, Source, entities_of, plain_number
from crossmod.paths import split_key

Wanted = str | None | tuple[str | None, ...]
# Entities that name the grid, which masks share with the scans they were drawn on.
_OF_THE_GRID = ("space", "cohort", "res")


def choose(found: Found, root: Path, wanted: Mapping[str, Wanted]) -> None:
    """Keep the scans that have the entities wanted, and the masks on their grid.

    What is not kept becomes a remark.

    Parameters
    ----------
    found : Found
        Scans and annotations; changed in place.
    root : path
        Data folder.
    wanted : mapping of entity to value or values
        Of several values the first that a session has; None for names without the entity.

    Raises
    ------
    InputError
        If no scan has an entity.
    """
    _refuse_unknown(found, wanted)
    for (key, modality), sources in list(found.scans.items()):
        kept = sources
        for entity, values in wanted.items():
            kept = _first(kept, entity, values)
        found.scans[key, modality] = kept
        found.remarks += [
            _remark(key, source, root, wanted) for source in sources if source not in kept
        ]
        if not kept:
            del found.scans[key, modality]
    grid = {entity: values for entity, values in wanted.items() if entity in _OF_THE_GRID}
    fits = {
        source: all(_first([source], entity, values) for entity, values in grid.items())
        for _, _, source in found.annotations
    }
    others = [(key, source) for key, _, source in found.annotations if not fits[source]]
    found.annotations = [entry for entry in found.annotations if fits[entry[2]]]
    found.remarks += [_remark(key, source, root, grid) for key, source in others]


def difference(sources: list[Source]) -> str:
    """Entities in which files that claim to be the same scan differ: `run and acq`."""
    names = [entities_of(source.path.name) for source in sources]
    entities = dict.fromkeys(entity for name in names for entity in name if entity != "sub")
    return " and ".join(e for e in entities if len({name.get(e) for name in names}) > 1)


def _refuse_unknown(found: Found, wanted: Mapping[str, Wanted]) -> None:
    names = [source.path.name for sources in found.scans.values() for source in sources]
    known = sorted({entity for name in names for entity in entities_of(name)} - {"sub", "ses"})
    for entity in wanted:
        if entity not in known:
            problem = f"names the entity {entity!r}, which no scan has"
            raise InputError("dataset.entities", problem, f"known are {', '.join(known) or 'none'}")


def _first(sources: list[Source], entity: str, values: Wanted) -> list[Source]:
    """Files with the first of the values that any of them has."""
    for value in values if isinstance(values, tuple) else (values,):
        plain = value if value is None else plain_number(value)
        having = [s for s in sources if entities_of(s.path.name).get(entity) == plain]
        if having:
            return having
    return []


def _remark(key: str, source: Source, root: Path, wanted: Mapping[str, Wanted]) -> Remark:
    text = f"not used, dataset.entities chooses others ({', '.join(map(_told, wanted.items()))})"
    return Remark(split_key(key)[0], source.path.relative_to(root).as_posix(), text)


def _told(pair: tuple[str, Wanted]) -> str:
    entity, values = pair
    listed = values if isinstance(values, tuple) else (values,)
    return " or ".join(f"no {entity}" if value is None else f"{entity}-{value}" for value in listed)
