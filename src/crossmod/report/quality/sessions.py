"""Preprocessed sessions as quality control sees them, and their flags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from crossmod.files import read_json
from crossmod.report.quality.measures import OF_SCAN, OF_SESSION, Measure
from crossmod.settings import MODALITIES
from crossmod.status import Status, read_status

LEAST_GROUP = 10
OUTLYING = 3.5
NORMAL_MAD = 0.6745  # median absolute deviation of a standard normal distribution

DOUBTS = ("check the name", "check the files")
"""How notes end that doubt what scans are."""
Place = tuple[str, str]
"""Modality, empty for the session as a whole, and id of a measure."""


@dataclass(frozen=True)
class Flag:
    """One reason to look at a session.

    Attributes
    ----------
    modality : str
        Empty for the session as a whole.
    measure : str
        Id; empty where no number is at fault.
    reason : str
    """

    modality: str
    measure: str
    reason: str


@dataclass(frozen=True)
class Preprocessed:
    """One session.

    Attributes
    ----------
    status, file : Status, path
        What preprocessing says of it, and where.
    values : dict of Place to float
        Measures that there are.
    histograms : dict of modality to dict
        `head` of the raw scan, `brain` of the normalized one.
    """

    status: Status
    file: Path
    values: Mapping[Place, float] = field(default_factory=dict)
    histograms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Session key."""
        return self.status.session

    @property
    def modalities(self) -> tuple[str, ...]:
        """Scans that were used, the reference first."""
        reference = self.status.details.get("reference")
        found = [m for m in MODALITIES if m in self.histograms]
        return tuple(sorted(found, key=lambda m: m != reference))

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks of preprocessing."""
        return tuple(str(note) for note in self.status.details.get("notes", ()))


def read_session(file: Path) -> Preprocessed:
    """Read the status of a session and what was measured of it.

    Raises
    ------
    InputError
        If a file is missing or malformed.
    """
    status = read_status(file)
    if "quality" not in status.outputs:
        return Preprocessed(status, file)
    content = read_json(status.path("quality", file))
    values = {("", name): float(value) for name, value in content["session"].items()}
    for modality, found in content["scans"].items():
        values |= {(modality, name): float(value) for name, value in found.items()}
    return Preprocessed(status, file, values, content["histograms"])


def measure_of(place: Place) -> Measure | None:
    """The measure at a place, None for one that this version does not know."""
    modality, name = place
    return next((m for m in (OF_SCAN if modality else OF_SESSION) if m.id == name), None)


def medians(sessions: Iterable[Preprocessed]) -> dict[Place, tuple[float, float, int]]:
    """Median, median absolute deviation and number of values of each measure."""
    gathered: dict[Place, list[float]] = {}
    for session in sessions:
        for place, value in session.values.items():
            gathered.setdefault(place, []).append(value)
    found = {}
    for place, values in gathered.items():
        middle = median(values)
        found[place] = (middle, median(abs(v - middle) for v in values), len(values))
    return found


def flags_of(sessions: Sequence[Preprocessed]) -> dict[str, tuple[Flag, ...]]:
    """Session key to its flags: failures, limits, outliers of the group, scans left out.

    Notes
    -----
    Outliers are values whose modified z score 0.6745 (x - median) / MAD is beyond 3.5 (Iglewicz and
    Hoaglin, How to Detect and Handle Outliers, ASQC 1993), towards the worse side, among at least
    ten values of the same modality.
    """
    group = medians(sessions)
    return {session.key: _flags(session, group) for session in sessions}


def _flags(
    session: Preprocessed, group: Mapping[Place, tuple[float, float, int]]
) -> tuple[Flag, ...]:
    if not session.status.ok:
        return (Flag("", "", session.status.reason),)
    found = []
    for place, value in session.values.items():
        measure = measure_of(place)
        reason = _fault(measure, value, *group[place]) if measure else ""
        if reason:
            found.append(Flag(*place, reason))
    found += [Flag("", "", note) for note in session.notes if " left out: " in note]
    found += [Flag("", "", note) for note in session.notes if note.endswith(DOUBTS)]
    return tuple(found)


def _fault(measure: Measure, value: float, middle: float, mad: float, number: int) -> str:
    """Why a value is flagged; empty where it is not."""
    said = f"{measure.name} {measure.text(value)}{f' {measure.unit}' if measure.unit else ''}"
    low = measure.least is not None and value < measure.least
    high = measure.most is not None and value > measure.most
    if low or high:
        limit = f"below {measure.least:g}" if low else f"above {measure.most:g}"
        return f"{said}, {limit}: {measure.fault}"
    if number < LEAST_GROUP or mad == 0:
        return ""
    score = NORMAL_MAD * (value - middle) / mad
    sides = {"low": score < -OUTLYING, "high": score > OUTLYING, "both": abs(score) > OUTLYING}
    if not sides.get(measure.outlier, False):
        return ""
    return f"{said} is an outlier among {number} (median {measure.text(middle)})"
