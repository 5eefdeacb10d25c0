import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmod.config import SplitSettings
from crossmod.data.splits import assign, participants, read_split, split_rows
from crossmod.errors import InputError
from crossmod.files import write_rows


def people(count: int, strata: int = 3) -> dict[str, str]:
    return {f"sub-{i:03d}": f"g{i % strata}" for i in range(count)}


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(4, 60),
    extra=st.integers(0, 20),
    seed=st.integers(0, 99),
    mode=st.sampled_from(["holdout", "kfold"]),
)
def test_new_subjects_move_nobody_and_shares_are_met(count, extra, seed, mode) -> None:
    chosen = SplitSettings(mode=mode, seed=seed, folds=4)
    old = assign(people(count), {}, chosen)
    new = assign(people(count + extra), old, chosen)
    assert list(new.items())[: len(old)] == list(old.items())
    for fold in range(4 if mode == "kfold" else 1):
        roles = Counter(role for (_, f), role in new.items() if f == fold)
        assert roles.total() == count + extra
        share = 0.25
        assert abs(roles["test"] - share * roles.total()) <= 3


def test_the_order_of_the_folder_does_not_matter() -> None:
    chosen = SplitSettings()
    forward = assign(people(20), {}, chosen)
    backward = assign(dict(reversed(people(20).items())), {}, chosen)
    assert forward == backward


def test_strata_are_spread_evenly() -> None:
    split = assign(people(60), {}, SplitSettings(test=0.3, validation=0.1))
    tested = Counter(int(p[-3:]) % 3 for p in participants(split, 0, ["test"]))
    assert max(tested.values()) - min(tested.values()) <= 1


def test_cross_validation_tests_everybody_once() -> None:
    split = assign(people(23), {}, SplitSettings(mode="kfold", folds=5))
    tests = Counter(p for (p, _), role in split.items() if role == "test")
    assert set(tests.values()) == {1}
    assert len(tests) == 23


def test_external_subjects_stay_out() -> None:
    chosen = SplitSettings(external=("sub-001",), mode="kfold", folds=3)
    split = assign(people(9), {}, chosen)
    assert {split["sub-001", f] for f in range(3)} == {"external"}


def test_another_seed_gives_another_split() -> None:
    one, two = (assign(people(40), {}, SplitSettings(seed=s)) for s in (0, 1))
    assert one != two


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("sub-1", 0, "train"), ("sub-1", 0, "test")], "sub-1 into train and test of fold 0"),
        ([("sub-1", 0, "test"), ("sub-1", 1, "test")], "tests sub-1 in 2 folds"),
        ([("sub-1", 0, "learn")], "line 2 has the unknown role 'learn'"),
        ([("sub-1", 5, "test")], "line 2 has fold '5'"),
    ],
)
def test_a_leaking_or_wrong_table_is_refused(rows, message, tmp_path) -> None:
    names = ("participant_id", "fold", "role")
    write_rows(tmp_path / "s.tsv", names, [dict(zip(names, row, strict=True)) for row in rows])
    with pytest.raises(InputError, match=message):
        read_split(tmp_path / "s.tsv", folds=2)


def test_a_split_survives_its_table(tmp_path) -> None:
    split = assign(people(12), {}, SplitSettings(mode="kfold", folds=3))
    write_rows(tmp_path / "s.tsv", ("participant_id", "fold", "role"), split_rows(split))
    assert list(read_split(tmp_path / "s.tsv", 3).items()) == list(split.items())


def counted_anew(groups, existing, chosen: SplitSettings) -> list[tuple[tuple[str, int], str]]:
    """The division by its definition: for each participant, all roles are counted again."""
    split = dict(existing)
    known = {p for p, _ in existing}
    learning = {"train": 1 - chosen.validation, "validation": chosen.validation}
    holdout = {"train": 1 - chosen.test - chosen.validation, "test": chosen.test}
    holdout["validation"] = chosen.validation

    def lacking(name: str, roles: dict[str, str], target: dict[str, float]) -> str:
        given = {p: role for p, role in roles.items() if role in target}
        alike = {p: role for p, role in given.items() if groups.get(p) == groups[name]}

        def lack(role: str) -> float:
            parts = [
                target[role] * (len(s) + 1) - Counter(s.values())[role] for s in (given, alike)
            ]
            return round(sum(parts), 9)

        return max(target, key=lack)

    def digest(name: str) -> str:
        return hashlib.sha256(f"{chosen.seed}:{name}".encode()).hexdigest()

    for name in sorted(set(groups) - known, key=digest):
        if chosen.mode == "holdout":
            roles = {p: role for (p, _), role in split.items()}
            split[name, 0] = lacking(name, roles, holdout)
            continue
        tested = {p: str(f) for (p, f), role in split.items() if role == "test"}
        part = lacking(name, tested, {str(f): 1 / chosen.folds for f in range(chosen.folds)})
        for fold in range(chosen.folds):
            roles = {p: role for (p, f), role in split.items() if f == fold}
            split[name, fold] = "test" if fold == int(part) else lacking(name, roles, learning)
    return list(split.items())


@settings(max_examples=40, deadline=None)
@given(
    strata=st.lists(st.sampled_from("abc"), min_size=1, max_size=40),
    later=st.lists(st.sampled_from("abd"), max_size=15),
    gone=st.integers(1, 9),
    mode=st.sampled_from(["holdout", "kfold"]),
    validation=st.sampled_from([0.0, 0.08, 0.1, 0.25]),
)
def test_running_counts_divide_as_counting_anew_does(strata, later, gone, mode, validation) -> None:
    chosen = SplitSettings(mode=mode, folds=3, test=0.3, validation=validation)
    groups = {f"sub-{i}": group for i, group in enumerate(strata)}
    first = assign(groups, {}, chosen)
    assert list(first.items()) == counted_anew(groups, {}, chosen)
    # Every so many have dropped out, others are new.
    groups = {name: g for i, (name, g) in enumerate(groups.items()) if i % gone}
    groups |= {f"sub-new{i}": group for i, group in enumerate(later)}
    assert list(assign(groups, first, chosen).items()) == counted_anew(groups, first, chosen)
