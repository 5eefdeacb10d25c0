"""Errors a user can mend: one line that names the file, the problem and what to do."""

from __future__ import annotations

from pathlib import Path


class CrossmodError(Exception):
    """A fault of the input, not of the program: printed as one line, without a traceback.

    Parameters
    ----------
    where : path or str
        File, configuration key or option that is at fault.
    problem : str
        What is wrong with it.
    remedy : str
        What the user should do.
    """

    def __init__(self, where: Path | str, problem: str, remedy: str) -> None:
        self.where, self.problem, self.remedy = str(where), problem, remedy
        super().__init__(" ".join(f"{where}: {problem}; {remedy}".split()))


class ConfigError(CrossmodError):
    """A study file that cannot be used as it is."""


class InputError(CrossmodError):
    """A scan, mask or table that cannot be used as it is."""


class ContractError(CrossmodError):
    """Data that do not fit what a trained model was trained on."""
