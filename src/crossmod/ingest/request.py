"""What the job on one session is asked to convert, as JSON on its command line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from crossmod.errors import InputError
from crossmod.ingest.labels import CONVENTIONS
from crossmod.ingest.names import KINDS, Kind, Source
from crossmod.settings import MODALITIES, Modality


@dataclass(frozen=True)
class Request:
    """Sources of one session.

    Attributes
    ----------
    scans : dict of modality to Source
        One source per modality.
    annotations : tuple of (kind, Source)
        Brain masks and lesion maps.
    """

    scans: dict[Modality, Source]
    annotations: tuple[tuple[Kind, Source], ...] = ()

    @property
    def numbered(self) -> list[tuple[str, Kind, Source, int]]:
        """Annotations with the name each has in the status file, and its number of its kind."""
        seen: Counter[Kind] = Counter()
        rows = []
        for kind, source in self.annotations:
            seen[kind] += 1
            name = kind if seen[kind] == 1 else f"{kind}-{seen[kind]}"
            rows.append((name, kind, source, seen[kind]))
        return rows

    @property
    def files(self) -> list[Path]:
        """Every file the session depends on, each once."""
        sources = [*self.scans.values(), *(source for _, source in self.annotations)]
        return list(dict.fromkeys(path for source in sources for path in source.files))

    def to_json(self) -> str:
        """Text for `crossmod ingest --sources`."""
        scans = {modality: _plain(source) for modality, source in self.scans.items()}
        notes = [{"kind": kind, **_plain(source)} for kind, source in self.annotations]
        return json.dumps({"scans": scans, "annotations": notes})

    @classmethod
    def from_json(cls, content: Any) -> Request:
        """Read what `to_json` wrote.

        Parameters
        ----------
        content : object
            Parsed JSON.

        Raises
        ------
        InputError
            If it has another form, or names what there is not.
        """
        try:
            scans = {cast(Modality, m): _source(entry) for m, entry in content["scans"].items()}
            notes = tuple(_annotation(entry) for entry in content.get("annotations", []))
        except (KeyError, TypeError, AttributeError) as error:
            remedy = 'write {"scans": {"T1w": {"path": "t1.mha"}}}'
            raise InputError("--sources", f"has another form ({error})", remedy) from None
        for modality, source in scans.items():
            _check("modality", modality, MODALITIES)
            _check_source(modality, source)
        for kind, source in notes:
            _check("annotation", kind, KINDS)
            _check_source(kind, source)
        return cls(scans, notes)


def _annotation(entry: dict[str, Any]) -> tuple[Kind, Source]:
    values = dict(entry)
    return cast(Kind, values.pop("kind")), _source(values)


def _check_source(name: str, source: Source) -> None:
    """Refuse a place in a file or a convention of labels that cannot be."""
    volume = source.volume
    if volume is not None and (type(volume) is not int or volume < 0):
        raise InputError("--sources", f"names the volume {volume!r}", "write a number from 0 on")
    if source.labels is not None:
        _check("labels", source.labels, CONVENTIONS)
        if name != "lesion":
            problem = f"names labels for {name}"
            raise InputError("--sources", problem, "leave them out but for lesions")


def _check(what: str, value: object, known: Collection[str]) -> None:
    if value not in tuple(known):
        problem = f"names the unknown {what} {value!r}"
        raise InputError("--sources", problem, f"use one of {', '.join(known)}")


def _plain(source: Source) -> dict[str, Any]:
    values = {key: value for key, value in asdict(source).items() if value is not None}
    return {key: v.as_posix() if isinstance(v, Path) else v for key, v in values.items()}


def _source(entry: dict[str, Any]) -> Source:
    values = dict(entry)
    values.update({key: Path(entry[key]) for key in ("path", "sidecar") if key in entry})
    return Source(**values)
