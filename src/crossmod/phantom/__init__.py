"""The embedded data set: synthetic multi-modality heads with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crossmod.phantom.roster import PlannedSubject, lesion_file, plan, subject_files, truth_files

if TYPE_CHECKING:
    from crossmod.config import PhantomSettings

__all__ = [
    "PlannedSubject",
    "generate_subject",
    "lesion_file",
    "plan",
    "subject_files",
    "truth_files",
    "write_dataset",
]


def generate_subject(settings: PhantomSettings, participant: str, root: Path) -> None:
    """Write every file of one subject; see `crossmod.phantom.subject.generate_subject`."""
    # Planning must stay fast: the imaging libraries are imported only where images are made.
    from crossmod.phantom.subject import generate_subject as generate

    generate(settings, participant, root)


def write_dataset(settings: PhantomSettings, root: Path) -> None:
    """Write the files above the subjects; see `crossmod.phantom.dataset.write_dataset`."""
    from crossmod.phantom.dataset import write_dataset as write

    write(settings, root)
