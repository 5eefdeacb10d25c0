"""Readers of the layouts and detection: folders of empty files, judged by names."""

import json
import os
from pathlib import Path

import pytest

from crossmod.errors import InputError
from crossmod.ingest import bids as bids_reader
from crossmod.ingest import brats, ixi, msd
from crossmod.ingest.detect import READERS, detect
from crossmod.ingest.index import index_study
from crossmod.ingest.names import Found
from crossmod.ingest.tables import file_rows, participant_rows

MODALITY = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
TUMOR = {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}


@pytest.fixture
def folder(tmp_path):
    """Make files of one byte: `folder("a/b.nii.gz", ...)`."""

    def make(*names: str, root: str = "raw") -> Path:
        for name in names:
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return tmp_path / root

    return make


@pytest.fixture
def decathlon(folder):
    """A task of the Decathlon with two training images and one test image."""

    def make(modality=MODALITY, labels=TUMOR, task: str = "Task01_BrainTumour") -> Path:
        root = folder(
            *(f"{task}/imagesTr/BRATS_00{i}.nii.gz" for i in (1, 2)),
            *(f"{task}/labelsTr/BRATS_00{i}.nii.gz" for i in (1, 2)),
            f"{task}/imagesTs/BRATS_003.nii.gz",
            f"{task}/imagesTr/._BRATS_001.nii.gz",
        )
        content = {"modality": modality, "labels": labels}
        (root / task / "dataset.json").write_text(json.dumps(content))
        return root

    return make


def scans_of(found: Found) -> dict[tuple[str, str], list[str]]:
    return {place: [s.name for s in sources] for place, sources in found.scans.items()}


def labels_of(found: Found) -> dict[str, str | None]:
    return {key: source.labels for key, _, source in found.annotations}


def early(folder: str, kind: str, number: int, more: str = "_3more.XX.O") -> str:
    """A file as named in 2014 and 2015."""
    name = f"VSD.Brain{more if kind == 'OT' else '.XX.O'}.{kind}.{number}"
    return f"{folder}/{name}/{name}.mha"


def numbered(folder: str, kind: str, number: int, more: str = "_3more.XX.XX") -> str:
    """A file as named in 2013: the folder goes without the number."""
    name = Path(early("", kind, number, more)).stem
    return f"BRATS-2/{folder}/{name.rpartition('.')[0]}/{name}.mha"


OLD, NEW = ("t1", "t1ce", "t2", "flair", "seg"), ("t1n", "t1c", "t2w", "t2f", "seg")
FIRST = ("T1", "T1C", "T2", "FLAIR", "truth")
EARLY = ("MR_T1", "MR_T1c", "MR_T2", "MR_Flair", "OT")


@pytest.mark.parametrize(
    ("names", "key", "labels"),
    [
        (
            [f"BRATS_LG0011/BRATS_LG0011_{kind}.mha" for kind in FIRST],
            "sub-BRATSLG0011",
            "brats-2012",
        ),
        (
            [f"synthetic/SimBRATS_HG0001/SimBRATS_HG0001_{kind}.mha" for kind in FIRST],
            "sub-SimBRATSHG0001",
            None,
        ),
        (
            [numbered("Image_Data/HG/0001", kind, 684 + n) for n, kind in enumerate(EARLY)],
            "sub-BRATSHG0001",
            "brats-2013",
        ),
        (
            [numbered("Synthetic_Data/LG/0025", kind, 9, "_1more.XX.O") for kind in EARLY],
            "sub-SimBRATSLG0025",
            None,
        ),
        (
            [early("HGG/brats_2013_pat0001_1", kind, 684 + n) for n, kind in enumerate(EARLY)],
            "sub-brats2013pat0001_ses-1",
            "brats-2013",
        ),
        (
            [early("LGG/brats_tcia_pat105_0283", kind, 9 + n) for n, kind in enumerate(EARLY)],
            "sub-bratstciapat105_ses-0283",
            "brats-2013",
        ),
        (
            [f"HGG/Brats17_CBICA_AAB_1/Brats17_CBICA_AAB_1_{k}.nii.gz" for k in OLD],
            "sub-Brats17CBICAAAB1",
            "brats-2017",
        ),
        (
            [f"BraTS20_Training_001/BraTS20_Training_001_{k}.nii" for k in OLD],
            "sub-BraTS20Training001",
            "brats-2017",
        ),
        (
            [f"BraTS2021_00000/BraTS2021_00000_{k}.nii.gz" for k in OLD],
            "sub-BraTS202100000",
            "brats-2017",
        ),
        (
            [f"train/BraTS-GLI-00005-100/BraTS-GLI-00005-100-{k}.nii.gz" for k in NEW],
            "sub-BraTSGLI00005_ses-100",
            "brats-2023",
        ),
        (
            [f"BraTS-GoAT-00001/BraTS-GoAT-00001-{k}.nii.gz" for k in NEW],
            "sub-BraTSGoAT00001",
            "brats-2023",
        ),
        (
            [f"BraTS-PED-00001-000/BraTS-PED-00001-000-{k}.nii.gz" for k in NEW],
            "sub-BraTSPED00001_ses-000",
            None,
        ),
    ],
)
def test_every_edition_of_brats(names, key, labels, folder) -> None:
    root = folder(*names)
    assert detect(root).layout == "brats"
    found = brats.find(root)
    assert scans_of(found) == {
        (key, modality): [Path(name).name]
        for modality, name in zip(("T1w", "T1ce", "T2w", "FLAIR"), names, strict=False)
    }
    assert labels_of(found) == {key: labels}
    assert not found.remarks
    told = next((grade for grade in ("HG", "LG") if grade in names[0]), None)
    assert found.participants == {key.split("_")[0]: {"grade": f"{told}G"} if told else {}}


def test_real_and_synthetic_subjects_of_2013_stay_apart(folder) -> None:
    root = folder(
        *(numbered(f"{kind}_Data/HG/0001", "MR_T1", 866) for kind in ("Image", "Synthetic")),
        numbered("Synthetic_Data/HG/0001", "OT", 870).replace("Brain_", "Gray_matter_of_neuraxis_"),
    )
    found = brats.find(root)
    assert {key for key, _ in found.scans} == {"sub-BRATSHG0001", "sub-SimBRATSHG0001"}
    assert [remark.text for remark in found.remarks] == ["not used, the name is none of BraTS's"]


def test_a_folder_with_other_names_is_told_those_of_each_year(folder) -> None:
    root = folder("HG/0001/flair.mha", "VSD.Brain.XX.O.MR_T1.54513.mha")
    with pytest.raises(InputError) as caught:
        brats.find(root)
    assert len(brats.EXAMPLES) == 5
    for example in brats.EXAMPLES.values():
        assert example in str(caught.value)
        assert brats.matches(root / example, root)


def test_one_time_point_of_brats_is_no_other_subject(folder) -> None:
    root = folder(
        *(f"BraTS-MET-00089-00{i}/BraTS-MET-00089-00{i}-t1c.nii.gz" for i in (0, 1)),
        "BraTS-MEN-RT-0001-1/BraTS-MEN-RT-0001-1_t1c.nii.gz",
        "BraTS-MEN-RT-0001-1/BraTS-MEN-RT-0001-1_gtv.nii.gz",
    )
    found = brats.find(root)
    keys = {"sub-BraTSMET00089_ses-000", "sub-BraTSMET00089_ses-001", "sub-BraTSMENRT0001_ses-1"}
    assert {key for key, _ in found.scans} == keys
    assert labels_of(found) == {"sub-BraTSMENRT0001_ses-1": None}


def test_what_brats_does_not_name_is_remarked_on(folder) -> None:
    root = folder(
        "BraTS20_Training_355/BraTS20_Training_355_t1.nii",
        "BraTS20_Training_355/W39_1998.09.19_Segm.nii",
        "BraTS20_Training_355/BraTS20_Training_355_adc.nii",
        "name_mapping.csv",
    )
    remarks = brats.find(root).remarks
    assert {remark.participant for remark in remarks} == {"sub-BraTS20Training355"}
    assert {remark.path: remark.text for remark in remarks} == {
        "BraTS20_Training_355/W39_1998.09.19_Segm.nii": "not used, the name is none of BraTS's",
        "BraTS20_Training_355/BraTS20_Training_355_adc.nii": (
            "not used, BraTS has no images called adc"
        ),
    }


def test_what_belongs_to_nobody_is_told_of_a_part_of_the_subjects_too(folder, study_of) -> None:
    names = [f"Train/BraTS2021_0000{i}/BraTS2021_0000{i}_{k}.nii.gz" for i in (1, 2) for k in OLD]
    odd = [name.replace("_t1.", "_voided-t1.") for name in names if "_t1." in name]
    seg = "BraTS2021_00003_seg.nii.gz"
    root = folder(*names, *odd, seg, "Train/other.nii.gz")
    chosen = {"name": "b", "include": ["sub-BraTS202100001"]}
    remarks = index_study(study_of(root, dataset=chosen)).remarks
    assert {(remark.participant, remark.path) for remark in remarks} == {
        ("sub-BraTS202100001", odd[0]), ("", "Train/other.nii.gz"), ("sub-BraTS202100003", seg),
    }  # fmt: skip


def test_volumes_of_the_decathlon(decathlon) -> None:
    root = decathlon()
    assert detect(root).layout == "msd"
    found = msd.find(root)
    assert scans_of(found)["sub-BRATS003", "T1ce"] == ["BRATS_003.nii.gz volume 2"]
    assert len(found.scans) == 12
    assert labels_of(found) == {"sub-BRATS001": "msd", "sub-BRATS002": "msd"}
    assert not found.remarks


def test_labels_of_another_task_are_left_out(decathlon) -> None:
    found = msd.find(decathlon({"0": "CT"}, {"0": "background", "1": "liver", "2": "cancer"}))
    assert scans_of(found)["sub-BRATS001", "CT"] == ["BRATS_001.nii.gz"]  # one volume: 3-D
    assert not found.annotations
    assert {remark.text for remark in found.remarks} == {
        "not used, dataset.json names labels liver, cancer: no labeling of tumors that is known"
    }


def test_a_volume_of_no_known_modality_is_remarked_on(decathlon) -> None:
    found = msd.find(decathlon({"0": "T2", "1": "ADC"}))
    assert {modality for _, modality in found.scans} == {"T2w"}
    texts = [remark.text for remark in found.remarks if remark.path == "dataset.json"]
    assert texts == ["volume 1 not used, ADC is no modality of crossmod"]


@pytest.mark.parametrize(
    ("modality", "message"),
    [
        ({"0": "MRI"}, "names MRI, no modality of crossmod"),
        ({"0": "T1", "1": "T1w"}, "names T1w twice"),
        (["FLAIR"], "names no modalities"),
        ({"first": "FLAIR"}, "names no modalities"),
    ],
)
def test_a_decathlon_without_known_modalities_is_refused(modality, message, decathlon) -> None:
    with pytest.raises(InputError, match=message):
        msd.find(decathlon(modality))


def test_labels_of_another_form_are_left_out(decathlon) -> None:
    found = msd.find(decathlon(labels=["background", "edema"]))
    assert not found.annotations
    assert found.remarks[0].text == (
        "not used, dataset.json names no labels: no labeling of tumors that is known"
    )


def test_two_tasks_at_once_are_refused(decathlon) -> None:
    decathlon()
    with pytest.raises(InputError, match="holds 2 tasks of the Decathlon"):
        msd.find(decathlon(task="Task02_Heart"))


def test_ixi_in_a_folder_per_modality(folder, study_of) -> None:
    root = folder(
        *(f"IXI-{kind}/IXI{n}-{site}-0828-{kind}.nii.gz"
          for n, site in (("002", "Guys"), ("012", "HH")) for kind in ("T1", "T2", "PD")),
        "IXI-MRA/IXI002-Guys-0828-MRA.nii.gz",
        "IXI-DTI/IXI002-Guys-0828-DTI-00.nii.gz",
    )  # fmt: skip
    assert detect(root).layout == "ixi"
    found = ixi.find(root)
    assert scans_of(found)["sub-002", "PDw"] == ["IXI002-Guys-0828-PD.nii.gz"]
    assert len(found.scans) == 6
    assert [remark.text for remark in found.remarks] == [
        "not used, DTI is no modality of crossmod", "not used, MRA is no modality of crossmod",
    ]  # fmt: skip
    plain, grouped = (index_study(study_of(root, split=s)) for s in ({}, {"stratify": "site"}))
    assert participant_rows(plain)[0] == {"participant_id": "sub-002"}
    assert participant_rows(grouped)[0] == {"participant_id": "sub-002", "group": "Guys"}


@pytest.mark.parametrize("layout", sorted(READERS))
def test_a_folder_without_scans_of_a_layout_is_refused(layout, folder) -> None:
    root = folder("notes/read.txt")
    with pytest.raises(InputError, match=r"holds no scans|holds 0 tasks"):
        READERS[layout].find(root)
    with pytest.raises(InputError, match="does not exist"):
        READERS[layout].find(root / "none")


def test_an_unknown_folder_is_told_what_was_looked_for(folder) -> None:
    root = folder("a/b.nii.gz", "a/c.nii.gz")
    with pytest.raises(InputError, match="none of 2 files is named as in") as caught:
        detect(root)
    assert all(reader.example in str(caught.value) for reader in READERS.values())
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch) -> None:
    root = folder("IXI002-Guys-0828-T1.nii.gz", "closed/IXI003-Guys-0829-T1.nii.gz")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = ixi.find(root)
    assert list(found.scans) == [("sub-002", "T1w")]
    (remark,) = found.remarks
    assert (remark.path, "cannot be read (Permission denied)" in remark.text) == ("closed", True)


def test_links_between_folders_are_followed_once(folder) -> None:
    root = folder("a/IXI002-Guys-0828-T1.nii.gz")
    (root / "a" / "up").symlink_to(root)
    (root / "b").symlink_to(folder("IXI003-HH-0829-T1.nii.gz", root="elsewhere"))
    assert scans_of(ixi.find(root)) == {
        ("sub-002", "T1w"): ["IXI002-Guys-0828-T1.nii.gz"],
        ("sub-003", "T1w"): ["IXI003-HH-0829-T1.nii.gz"],
    }


def test_two_layouts_in_one_folder_are_refused(folder) -> None:
    root = folder("IXI002-Guys-0828-T1.nii.gz", "BraTS20_Training_001_t1.nii")
    with pytest.raises(InputError, match=r"more than one layout: brats \(1 file such as BraTS20"):
        detect(root)


def test_what_lies_in_a_bids_subject_is_bids(folder) -> None:
    root = folder(
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/ses-1/anat/IXI002-Guys-0828-T1.nii.gz",
        "derivatives/x/BraTS20_Training_001_t1.nii",
    )
    detected = detect(root)
    assert detected.layout == "bids"
    assert detected.evidence == "1 file such as sub-01/anat/sub-01_T1w.nii.gz"


def test_files_tell_what_each_became(folder, study_of) -> None:
    names = [f"BraTS20_Training_001/BraTS20_Training_001_{k}" for k in ("t1", "t1ce", "t2", "seg")]
    root = folder(*(f"{name}.nii.gz" for name in names), f"{names[2]}.nii", "other.nii")
    study = study_of(root, preprocess={"modalities": ["T1w", "T2w", "FLAIR"]})
    rows = {row["path"]: row for row in file_rows(index_study(study), root)}
    assert len(rows) == 6
    folder_of = "sub-BraTS20Training001/anat/sub-BraTS20Training001"
    became = {path.rpartition("_")[2]: row.get("becomes", "") for path, row in rows.items()}
    assert became == {
        "t1.nii.gz": f"{folder_of}_T1w.nii.gz",
        "t1ce.nii.gz": f"{folder_of}_ce-gadolinium_T1w.nii.gz",  # not processed, converted anyway
        "t2.nii.gz": "",
        "t2.nii": "",
        "seg.nii.gz": f"derivatives/annotations/{folder_of}_desc-tumor_dseg.nii.gz",
        "other.nii": "",
    }
    assert "2 files claim to be T2w" in rows[f"{names[2]}.nii"]["reason"]
    assert rows["other.nii"]["status"] == "left out"


FMRIPREP = [
    "desc-preproc_T1w",
    "space-MNI152NLin2009cAsym_desc-preproc_T1w",
    "space-MNI152NLin2009cAsym_desc-brain_mask",
    "desc-brain_mask",
]


def test_a_derivative_is_read_by_its_entities(folder, study_of) -> None:
    root = folder(*(f"sub-01/anat/sub-01_{name}.nii.gz" for name in FMRIPREP))
    tasks = {"tasks": [{"sources": ["T1w"], "target": "T2w"}]}
    (undecided,) = index_study(study_of(root, **tasks)).sessions.values()
    assert undecided.scans["T1w"].status == "excluded"
    assert "they differ in space, choose with dataset.entities" in undecided.scans["T1w"].reason
    wanted = {"space": "MNI152NLin2009cAsym", "desc": "preproc"}
    index = index_study(study_of(root, dataset={"name": "d", "entities": wanted}, **tasks))
    (session,) = index.sessions.values()
    assert session.path("T1w").name == f"sub-01_{FMRIPREP[1]}.nii.gz"
    assert [source.path.name for _, source in session.annotations] == [
        f"sub-01_{FMRIPREP[2]}.nii.gz"
    ]
    assert [remark.path for remark in index.remarks] == [
        f"sub-01/anat/sub-01_{FMRIPREP[0]}.nii.gz", f"sub-01/anat/sub-01_{FMRIPREP[3]}.nii.gz",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ({"run": ("2", "1", None)}, ["sub-1_run-02_T1w.nii.gz", "sub-2_T1w.nii.gz"]),
        ({"run": None}, ["sub-2_T1w.nii.gz"]),
        ({"run": "1"}, ["sub-1_run-01_T1w.nii.gz"]),
        ({"run": "1", "acq": None}, ["sub-1_run-01_T1w.nii.gz"]),
    ],
)
def test_runs_are_chosen_by_preference(wanted, chosen, folder) -> None:
    names = ["sub-1_run-01_T1w", "sub-1_run-02_T1w", "sub-1_acq-x_run-1_T1w", "sub-2_T1w"]
    if "acq" not in wanted:
        names.pop(2)
    root = folder(*(f"{name[:5]}/anat/{name}.nii.gz" for name in names))
    found = bids_reader.find(root, wanted)
    assert [s.path.name for sources in found.scans.values() for s in sources] == chosen
    assert len(found.remarks) >= len(names) - len(chosen)


def test_an_entity_that_no_scan_has_is_refused(folder, study_of) -> None:
    root = folder("sub-1/anat/sub-1_run-1_T1w.nii.gz")
    with pytest.raises(InputError, match="names the entity 'spce', which no scan has; known are"):
        bids_reader.find(root, {"spce": "MNI"})
    with pytest.raises(InputError, match=r"holds no scans .* with these dataset.entities"):
        bids_reader.find(root, {"run": "2"})
    other = folder("IXI002-Guys-0828-T1.nii.gz", root="ixi")
    with pytest.raises(InputError, match="is for BIDS folders"):
        index_study(study_of(other, dataset={"name": "i", "entities": {"run": "1"}}))
