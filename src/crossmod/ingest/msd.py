"""Reader of the Medical Segmentation Decathlon's tasks: 4-D files, one volume per modality."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from crossmod.errors import InputError
from crossmod.files import read_json
from crossmod.ingest.folders import check_folder
from crossmod.ingest.names import Found, Remark, Source, plain_label, stem
from crossmod.settings import Modality

EXAMPLE = "imagesTr/BRATS_001.nii.gz with dataset.json"
_IMAGES = ("imagesTr", "imagesTs")
_LABELS = "labelsTr"
_MODALITIES: dict[str, Modality] = {
    "t1": "T1w",
    "t1w": "T1w",
    "t1gd": "T1ce",
    "t1ce": "T1ce",
    "t2": "T2w",
    "t2w": "T2w",
    "flair": "FLAIR",
    "pd": "PDw",
    "ct": "CT",
    "pet": "PET",
}
# The numbers that `crossmod.ingest.labels` maps, with a word of the name each must have.
_TUMOR = {"1": "edema", "2": "non-enhancing", "3": "enhancing"}


def matches(path: Path, root: Path) -> bool:
    """Whether a file lies in a task's folder of images."""
    task = path.parent.parent
    return (
        path.parent.name in _IMAGES
        and stem(path.name) is not None
        and (task / "dataset.json").is_file()
    )


def find(root: Path) -> Found:
    """Find the volumes that dataset.json names.

    Parameters
    ----------
    root : path
        Folder of one task (`Task01_BrainTumour`), or a folder with one task in it.

    Raises
    ------
    InputError
        If there is no task, or more than one, or dataset.json names no modality of crossmod.
    """
    check_folder(root)
    task = _task(root)
    description = read_json(task / "dataset.json", "copy it again from the data set")
    volumes = _volumes(task, description)
    found = Found()
    for folder in _IMAGES:
        for path in _images(task / folder):
            participant = _participant(path)
            found.participants.setdefault(participant, {})
            for modality, volume in volumes.items():
                source = Source(path, volume if len(description["modality"]) > 1 else None)
                found.scans.setdefault((participant, modality), []).append(source)
    if not found.scans:
        raise InputError(task, "holds no images in imagesTr or imagesTs", "check data_dir")
    _annotate(found, root, task, description)
    for number, name in description["modality"].items():
        if int(number) not in volumes.values():
            text = f"volume {number} not used, {name} is no modality of crossmod"
            found.remarks.append(Remark("", "dataset.json", text))
    return found


def _task(root: Path) -> Path:
    places = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    tasks = [path for path in places if (path / "dataset.json").is_file()]
    if len(tasks) != 1:
        problem = f"holds {len(tasks)} tasks of the Decathlon where one is due"
        raise InputError(root, problem, "set data_dir to the folder with dataset.json")
    return tasks[0]


def _volumes(task: Path, description: Any) -> dict[Modality, int]:
    """Modality to its place in the 4-D files."""
    named = description.get("modality") if isinstance(description, dict) else None
    if not isinstance(named, dict) or not all(map(_is_number, named)):
        remedy = 'write "modality": {"0": "FLAIR", ...} there'
        raise InputError(task / "dataset.json", "names no modalities", remedy)
    volumes: dict[Modality, int] = {}
    for number, name in named.items():
        modality = _MODALITIES.get(re.sub(r"[^a-z0-9]", "", str(name).lower()))
        if modality in volumes:
            problem = f"names {modality} twice"
            raise InputError(task / "dataset.json", problem, "keep one of the two")
        if modality is not None:
            volumes[modality] = int(number)
    if not volumes:
        problem = f"names {', '.join(map(str, named.values()))}, no modality of crossmod"
        raise InputError(task / "dataset.json", problem, f"known are {', '.join(_MODALITIES)}")
    return volumes


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _annotate(found: Found, root: Path, task: Path, description: Any) -> None:
    """Attach label maps if their numbers mean what those of the brain tumor task do."""
    labels = description.get("labels")
    pairs = labels.items() if isinstance(labels, dict) else ()
    named = {number: str(name).lower() for number, name in pairs if number != "0"}
    tumor = named.keys() == _TUMOR.keys() and all(_TUMOR[k] in named[k] for k in _TUMOR)
    for path in _images(task / _LABELS):
        participant = _participant(path)
        if tumor:
            found.annotations.append((participant, "lesion", Source(path, labels="msd")))
        else:
            told = f"labels {', '.join(named.values())}" if named else "no labels"
            text = f"not used, dataset.json names {told}: no labeling of tumors that is known"
            place = path.relative_to(root).as_posix()
            found.remarks.append(Remark(participant, place, text))


def _images(folder: Path) -> list[Path]:
    """Images of a folder; `._BRATS_001.nii.gz` is left by an archive and none."""
    if not folder.is_dir():
        return []
    paths = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in paths if stem(path.name) is not None)


def _participant(path: Path) -> str:
    return f"sub-{plain_label(stem(path.name) or '')}"
