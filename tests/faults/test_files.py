"""Every malformed file: one line that names the file, the fault and a remedy, in little memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
import SimpleITK  # noqa: F401  (what its import takes is not the case's)

from tests.faults.cases import Fault
from tests.faults.files import CASES

MOST_BYTES = 32 * 2**20


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_malformed_file_gives_one_line(case: Fault, tmp_path: Path) -> None:
    path = case.make(tmp_path)
    tracemalloc.start()
    try:
        line = case.run(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert line.startswith(f"{path}: ")
    fault, _, remedy = line.removeprefix(f"{path}: ").rpartition("; ")
    assert case.says in fault
    assert remedy
    assert "\n" not in line
    assert not any(name in fault + remedy for name in ("scan.", str(tmp_path), "passwd"))
    assert peak < MOST_BYTES


def test_there_are_many_cases_each_with_its_own_name() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 35
