"""Division of subjects into train, validation and test: by subject, stratified, append-only."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from crossmod.errors import InputError
from crossmod.files import read_rows

if TYPE_CHECKING:
    from crossmod.config import SplitSettings

Role = Literal["train", "validation", "test", "external"]
ROLES: tuple[Role, ...] = get_args(Role)
COLUMNS = ("participant_id", "fold", "role")

Split = dict[tuple[str, int], Role]
"""(participant, fold) to role; the order of insertion is the order of assignment."""


def fold_count(settings: SplitSettings) -> int:
    """Number of folds: 1 for a holdout."""
    return settings.folds if settings.mode == "kfold" else 1


def assign(groups: Mapping[str, str], existing: Split, settings: SplitSettings) -> Split:
    """Give every participant a role in every fold.

    A participant keeps the role it has; a new one takes the role that its stratum and the whole
    data set lack most. New participants are taken in the order of a hash of their name, so the
    result does not depend on the order of the folder, and nobody else moves.

    Parameters
    ----------
    groups : mapping of str to str
        Participant to stratum.
    existing : Split
        Roles given before; may be empty.
    settings : SplitSettings
        Fractions, number of folds, seed, external participants.

    Returns
    -------
    Split
        Old rows first, in their old order.
    """
    split = dict(existing)
    known = {participant for participant, _ in existing}
    new = sorted(set(groups) - known, key=lambda name: _hash(settings.seed, name))
    tallies = _tallies(existing, groups, settings)
    for participant in new:
        if participant in settings.external:
            split.update({(participant, f): "external" for f in range(fold_count(settings))})
        elif settings.mode == "holdout":
            split[participant, 0] = cast(Role, tallies[0].place(groups[participant]))
        else:
            *folds, tests = tallies
            part = int(tests.place(groups[participant]))
            for fold, tally in enumerate(folds):
                role = "test" if fold == part else tally.place(groups[participant])
                split[participant, fold] = cast(Role, role)
    return split


class _Tally:
    """Roles given so far, and what share of the participants each shall have.

    Counting anew for each participant would take time that grows with the square of their number.
    """

    def __init__(self, target: Mapping[str, float]) -> None:
        self.target = target
        self.everywhere: Counter[str] = Counter()
        self.strata: defaultdict[str | None, Counter[str]] = defaultdict(Counter)

    def count(self, role: str, stratum: str | None) -> None:
        """Count a participant; roles that have no share, as `external`, are passed over."""
        if role in self.target:
            self.everywhere[role] += 1
            self.strata[stratum][role] += 1

    def place(self, stratum: str) -> str:
        """The role furthest below its share, in the stratum and in all together; counted."""
        counts = [(c, c.total() + 1) for c in (self.everywhere, self.strata[stratum])]

        def lack(role: str) -> float:
            return sum(self.target[role] * total - count[role] for count, total in counts)

        # Rounded so that equal lacks are equal on every machine; ties go to the first role named.
        role = max(self.target, key=lambda role: round(lack(role), 9))
        self.count(role, stratum)
        return role


def _tallies(existing: Split, groups: Mapping[str, str], settings: SplitSettings) -> list[_Tally]:
    """A tally of each fold; of a cross-validation also one of the folds that test a participant.

    A participant that is no longer there counts in all together, and in no stratum.
    """
    if settings.mode == "holdout":
        tallies = [_Tally(_fractions(settings))]
    else:
        learning = {"train": 1 - settings.validation, "validation": settings.validation}
        equal = {str(fold): 1 / settings.folds for fold in range(settings.folds)}
        tallies = [*(_Tally(learning) for _ in range(settings.folds)), _Tally(equal)]
    for (participant, fold), role in existing.items():
        stratum = groups.get(participant)
        tallies[fold].count(role, stratum)
        if role == "test" and settings.mode == "kfold":
            tallies[-1].count(str(fold), stratum)
    return tallies


def _fractions(settings: SplitSettings) -> dict[str, float]:
    train = 1 - settings.test - settings.validation
    return {"train": train, "test": settings.test, "validation": settings.validation}


def _hash(seed: int, participant: str) -> str:
    return hashlib.sha256(f"{seed}:{participant}".encode()).hexdigest()


def read_split(path: Path, folds: int) -> Split:
    """Read a split table.

    Raises
    ------
    InputError
        If a participant has two roles in one fold, a role in a fold that does not exist, is
        tested in two folds, or the table is malformed.
    """
    split: Split = {}
    for number, row in enumerate(read_rows(path, COLUMNS), start=2):
        participant, fold, role = row["participant_id"], row["fold"], row["role"]
        if role not in ROLES:
            problem = f"line {number} has the unknown role {role!r}"
            raise InputError(path, problem, f"use one of {', '.join(ROLES)}")
        if not fold.isdigit() or int(fold) >= folds:
            problem = f"line {number} has fold {fold!r}, the study has folds 0 to {folds - 1}"
            raise InputError(path, problem, "mend the line or the study's split settings")
        key = (participant, int(fold))
        if split.get(key, role) != role:
            problem = f"puts {participant} into {split[key]} and {role} of fold {fold}"
            raise InputError(path, problem, "give each subject one role: the split leaks")
        split[key] = cast(Role, role)
    _refuse_double_tests(path, split)
    return split


def _refuse_double_tests(path: Path, split: Split) -> None:
    tests = Counter(participant for (participant, _), role in split.items() if role == "test")
    twice = [participant for participant, count in tests.items() if count > 1]
    if twice:
        problem = f"tests {twice[0]} in {tests[twice[0]]} folds"
        raise InputError(path, problem, "test each subject once")


def split_rows(split: Split) -> list[dict[str, str]]:
    """Rows of split.tsv in the order of assignment."""
    return [{"participant_id": p, "fold": str(f), "role": r} for (p, f), r in split.items()]


def participants(split: Split, fold: int, roles: Sequence[Role]) -> list[str]:
    """Participants with one of `roles` in `fold`, in the order of assignment."""
    return [p for (p, f), role in split.items() if f == fold and role in roles]


def missing_participants(split: Split, names: Iterable[str]) -> list[str]:
    """Those of `names` that the split does not know."""
    known = {participant for participant, _ in split}
    return [name for name in names if name not in known]
