"""The files above the subjects that make the phantom a BIDS data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossmod import __version__
from crossmod.bids_dataset import dataset_description
from crossmod.config import PhantomSettings
from crossmod.files import write_json, write_rows, write_text
from crossmod.hashing import hash_settings
from crossmod.phantom.roster import TRUTH, plan
from crossmod.phantom.tissues import LESION_LABELS, Tissue

COLUMNS = ("participant_id", "group", "age", "sex")
README = """\
# crossmod phantom

Simulated heads with known truth. No person was scanned.

The brains are made from the ICBM 152 nonlinear symmetric 2009a tissue maps (Fonov et al.,
NeuroImage 54, 2011) as packed with nilearn; skull, scalp, face and neck are drawn by simple solids.
Signals follow the equations of spin echo, inversion recovery and spoiled gradient echo. The column
`group` of participants.tsv is the diagnosis: it says which lesion the head has.

`derivatives/truth` holds, on the grid of each T1w scan, the noise-free image of every modality
(also of scans that are missing), the brain mask, tissue and lesion labels, and the rigid transforms
between the scans.

Made by crossmod {version} from the settings {settings}.
"""
PARTICIPANTS: dict[str, Any] = {
    "group": {
        "Description": "Diagnosis; decides the lesion",
        "Levels": {
            "tumour": "tumour with necrotic core, enhancing rim and oedema",
            "ms": "white-matter plaques, most beside the ventricles",
            "healthy": "no lesion",
        },
    },
    "age": {"Description": "Age", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
}


def write_dataset(settings: PhantomSettings, root: Path) -> None:
    """Write descriptions, the participants table and label tables; no images.

    Files that are there already with the same content are left alone, so that jobs on several
    subjects may call this side by side.
    """
    origin = "https://doi.org/10.1016/j.neuroimage.2010.07.033"
    description = dataset_description(
        "crossmod phantom", License="CC0", ReferencesAndLinks=[origin]
    )
    write_json(root / "dataset_description.json", description)
    truth = dataset_description("crossmod phantom: truth", "derivative")
    write_json(root / TRUTH / "dataset_description.json", truth)
    write_rows(root / "participants.tsv", COLUMNS, _participants(settings))
    write_json(root / "participants.json", PARTICIPANTS)
    text = README.format(
        version=__version__, settings=hash_settings(settings.model_dump(mode="json"))
    )
    write_text(root / "README.md", text)
    # CT has no BIDS standard yet.
    write_text(root / ".bidsignore", "sub-*/ct/\n")
    tissues = [{"index": str(int(tissue)), "name": tissue.name.lower()} for tissue in Tissue]
    write_rows(root / TRUTH / "desc-tissue_dseg.tsv", ("index", "name"), tissues)
    lesions = [{"index": str(k), "name": t.name.lower()} for t, k in LESION_LABELS.items()]
    write_rows(root / TRUTH / "label-lesion_dseg.tsv", ("index", "name"), lesions)


def _participants(settings: PhantomSettings) -> list[dict[str, Any]]:
    return [
        {
            "participant_id": subject.participant,
            "group": subject.group,
            "age": subject.age,
            "sex": subject.sex,
        }
        for subject in plan(settings)
    ]
