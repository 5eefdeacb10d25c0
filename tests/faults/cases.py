"""What a case of malformed input is, and the groups of them that there are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from crossmod.errors import CrossmodError

# Heading in the documentation: module with a list CASES.
GROUPS = {
    "Files": "tests.faults.files",
    "DICOM": "tests.faults.dicom",
    "Studies": "tests.faults.studies",
}


@dataclass(frozen=True)
class Fault:
    """One case.

    Attributes
    ----------
    name : str
        Unique among all cases, for pytest and for the table.
    what : str
        What is wrong, for the reader of the table.
    make : callable
        Writes the case into an empty folder and returns what the user would name.
    says : str
        Words that must be in the line.
    run : callable
        Lets crossmod meet it and returns the line that it says.
    """

    name: str
    what: str
    make: Callable[[Path], Path]
    says: str
    run: Callable[[Path], str]

    def line(self) -> str:
        """What crossmod says, with the folder of the case taken out."""
        with tempfile.TemporaryDirectory(prefix="fault-") as folder:
            said = self.run(self.make(Path(folder)))
            said = said.encode(errors="backslashreplace").decode()
            return said.replace(f"{folder}/", "").replace(folder, ".")


def groups() -> dict[str, list[Fault]]:
    """Cases by heading."""
    return {title: import_module(module).CASES for title, module in GROUPS.items()}


def error_line(action: Callable[[], object]) -> str:
    """Line of the `CrossmodError` that an action raises.

    Raises
    ------
    AssertionError
        If it does not raise one.
    """
    try:
        action()
    except CrossmodError as error:
        return str(error)
    raise AssertionError("the fault went unnoticed")
