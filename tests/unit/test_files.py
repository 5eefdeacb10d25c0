from pathlib import Path

import pandas as pd
import pytest

from crossmod.errors import InputError
from crossmod.files import (
    atomic_path,
    read_json,
    read_rows,
    read_table,
    write_json,
    write_rows,
    write_table,
    write_text,
)


def test_atomic_write_leaves_nothing_behind_when_the_writer_fails(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_atomic_path_keeps_the_suffix_that_writers_look_at(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "deep" / "x.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("x")
    assert (tmp_path / "deep" / "x.nii.gz").read_text() == "x"


def test_unchanged_text_is_not_written_again(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "same")
    inode = target.stat().st_ino
    write_text(target, "same")
    assert target.stat().st_ino == inode
    write_text(target, "other")
    assert target.stat().st_ino != inode


def test_json_round_trip_and_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, "ä"]})
    assert read_json(path) == {"b": [1, "ä"]}
    with pytest.raises(ValueError, match=r"NaN|compliant"):
        write_json(path, {"a": float("nan")})
    path.write_text("{")
    with pytest.raises(InputError, match=r"a\.json: is no JSON"):
        read_json(path)
    with pytest.raises(InputError, match="does not exist"):
        read_json(tmp_path / "none.json")


def test_tables_round_trip_with_and_without_pandas(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    write_table(path, pd.DataFrame({"name": ["a", "NA"], "value": [1.5, None]}))
    assert path.read_text() == "name\tvalue\na\t1.5\nNA\tn/a\n"
    back = read_table(path)
    assert list(back["name"]) == ["a", "NA"]
    assert back["value"].isna().tolist() == [False, True]
    assert read_rows(path) == [{"name": "a", "value": "1.5"}, {"name": "NA", "value": ""}]
    write_rows(path, ("name", "value"), [{"name": "x", "value": None}])
    assert path.read_text() == "name\tvalue\nx\tn/a\n"


def test_ragged_or_incomplete_tables_are_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("a\tb\n1\t2\n1\n")
    with pytest.raises(InputError, match="line 3 has not 2 columns"):
        read_rows(path)
    with pytest.raises(InputError, match="lacks the column 'c'"):
        read_rows(path, ("c",))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no UTF-8 text"):
        read_rows(path)
