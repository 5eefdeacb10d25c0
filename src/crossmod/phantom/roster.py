"""Who is in the phantom: known from the settings alone, before any image exists."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from crossmod.config import PhantomSettings
from crossmod.errors import InputError
from crossmod.paths import bids_folder, modality_name, raw_scan
from crossmod.settings import MODALITIES, Modality

Group = Literal["tumour", "ms", "healthy"]
GROUPS: tuple[Group, ...] = ("tumour", "ms", "healthy")
AGES: dict[Group, tuple[int, int]] = {"tumour": (35, 80), "ms": (20, 60), "healthy": (20, 80)}
TRUTH = Path("derivatives", "truth")

# Each purpose draws from a stream of its own, so that one more draw somewhere, or one more
# modality, changes nothing elsewhere.
_STREAMS = ("plan", "shape", "tissue", "texture", "lesion", "scanner", "head", *MODALITIES)


@dataclass(frozen=True)
class PlannedSubject:
    """One subject of the phantom.

    Attributes
    ----------
    participant : str
        `sub-0001`.
    number : int
        Position from 0; with the seed it decides everything about the subject.
    group : {"tumour", "ms", "healthy"}
        Diagnosis; it says which lesion the head has.
    sex : {"F", "M"}
        Decides the mean size of the head.
    age : int
        Years; decides the width of the CSF spaces and the iron in the deep grey matter.
    modalities : tuple of str
        Scans that exist, in the order of the settings.
    """

    participant: str
    number: int
    group: Group
    sex: Literal["F", "M"]
    age: int
    modalities: tuple[Modality, ...]

    @property
    def has_lesion(self) -> bool:
        """Whether a lesion label map belongs to the subject."""
        return self.group != "healthy"


def stream(settings: PhantomSettings, number: int, purpose: str) -> np.random.Generator:
    """Random numbers of one subject for one purpose."""
    key = (settings.seed, number, _STREAMS.index(purpose))
    return np.random.default_rng(np.random.SeedSequence(key))


def plan(settings: PhantomSettings) -> list[PlannedSubject]:
    """All subjects, without making any.

    Groups come in shuffled blocks of three, so that every prefix of the list is balanced. The
    subjects that lack a scan are spread evenly for the same reason.
    """
    return [_planned(settings, number) for number in range(settings.subjects)]


def planned(settings: PhantomSettings, participant: str) -> PlannedSubject:
    """One subject, which depends on its number and not on how many there are.

    Raises
    ------
    InputError
        If no phantom has such a participant.
    """
    if not re.fullmatch(r"sub-\d{4}", participant) or participant == "sub-0000":
        raise InputError(participant, "is no subject of the phantom", "write sub-0001 to sub-9999")
    return _planned(settings, int(participant.removeprefix("sub-")) - 1)


def _planned(settings: PhantomSettings, number: int) -> PlannedSubject:
    offset = float(np.random.default_rng(np.random.SeedSequence((settings.seed,))).random())
    block, place = divmod(number, len(GROUPS))
    key = np.random.SeedSequence((settings.seed, block, len(_STREAMS)))
    group = GROUPS[np.random.default_rng(key).permutation(len(GROUPS))[place]]
    random = stream(settings, number, "plan")
    sex: Literal["F", "M"] = "F" if random.random() < 0.5 else "M"
    age = int(random.integers(*AGES[group], endpoint=True))
    modalities = list(settings.modalities)
    share = settings.missing
    lacks = math.floor((number + 1) * share + offset) > math.floor(number * share + offset)
    if lacks and len(modalities) > 1:
        del modalities[int(random.integers(1, len(modalities)))]
    return PlannedSubject(f"sub-{number + 1:04d}", number, group, sex, age, tuple(modalities))


def truth_image(participant: str, modality: Modality) -> Path:
    """Noise-free image on the T1w grid, relative to the data set."""
    name = f"{participant}_space-T1w_desc-truth_{modality_name(modality)}.nii.gz"
    return TRUTH / bids_folder(participant) / name


def brain_file(participant: str) -> Path:
    """True brain mask; its name keeps it from being taken for a mask that came with the data."""
    return TRUTH / bids_folder(participant) / f"{participant}_desc-braintruth_mask.nii.gz"


def tissue_file(participant: str) -> Path:
    """Label map of all tissues, relative to the data set."""
    return TRUTH / bids_folder(participant) / f"{participant}_desc-tissue_dseg.nii.gz"


def lesion_file(participant: str) -> Path:
    """Label map of the lesions (subjects with a lesion only), relative to the data set."""
    return TRUTH / bids_folder(participant) / f"{participant}_label-lesion_dseg.nii.gz"


def transform_file(participant: str, modality: Modality) -> Path:
    """Transform between a scan and T1w, relative to the data set."""
    name = f"{participant}_from-{modality}_to-T1w_mode-image_xfm.txt"
    return TRUTH / bids_folder(participant) / name


def sidecar(scan: Path) -> Path:
    """JSON file beside a scan."""
    return scan.with_name(scan.name.removesuffix(".nii.gz") + ".json")


def truth_files(settings: PhantomSettings, subject: PlannedSubject) -> list[Path]:
    """Truth of one subject, relative to the data set."""
    name = subject.participant
    files = [truth_image(name, modality) for modality in settings.modalities]
    files += [brain_file(name), tissue_file(name)]
    files += [lesion_file(name)] if subject.has_lesion else []
    return files + [transform_file(name, m) for m in subject.modalities if m != "T1w"]


def subject_files(settings: PhantomSettings, participant: str, root: Path) -> list[Path]:
    """Every file that `generate_subject` writes, without making any.

    Parameters
    ----------
    settings : PhantomSettings
        Settings of the phantom.
    participant : str
        `sub-0001`.
    root : path
        Folder of the data set.
    """
    subject = planned(settings, participant)
    scans = [raw_scan(participant, modality) for modality in subject.modalities]
    files = [file for scan in scans for file in (scan, sidecar(scan))]
    return [root / file for file in files + truth_files(settings, subject)]
