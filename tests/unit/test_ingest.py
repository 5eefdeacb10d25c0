import pytest

from crossmod.config import Study
from crossmod.errors import InputError
from crossmod.ingest.index import Session, index_study
from crossmod.ingest.names import Source, annotation_of, modality_of, why_no_scan
from crossmod.ingest.tables import annotation_rows, scan_rows

THREE = ["T1w", "T2w", "FLAIR"]
ROWS = [{"model": model, "task": "T1w+T2w-to-FLAIR"} for model in ("unet", "mean")]
EXPERIMENT = {"title": "Two", "control": "mean", "rows": ROWS}


def sessions_of(study: Study) -> list[Session]:
    return list(index_study(study).sessions.values())


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("sub-1_T1w.nii.gz", "T1w"),
        ("sub-1_acq-grey64_ce-GADOLINIUM_T1w.nii.gz", "T1ce"),
        ("sub-1_ce-none_T1w.nii.gz", "T1w"),
        ("sub-1_part-mag_T1w.nii.gz", "T1w"),
        ("sub-1_part-phase_T1w.nii.gz", None),
        ("sub-1_ses-2_FLAIR.nii", "FLAIR"),
        ("sub-1_ct.nii.gz", "CT"),
        ("sub-1_bold.nii.gz", None),
        ("sub-1_T1w.json", None),
    ],
)
def test_names_say_the_modality(name: str, modality: str | None) -> None:
    assert modality_of(name) == modality


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sub-1_desc-brain_mask.nii.gz", "brain"),
        ("sub-1_space-T1w_label-tumour_desc-auto_dseg.nii.gz", "lesion"),
        ("sub-1_label-lesion_mask.nii.gz", "lesion"),
        ("sub-1_label-lesions_mask.nii.gz", "lesion"),
        ("sub-1_label-Tumor_dseg.nii.gz", "lesion"),
        ("sub-1_label-tumors_dseg.nii.gz", "lesion"),
        ("sub-1_label-tumours_dseg.nii.gz", "lesion"),
        ("sub-1_label-plaque_mask.nii.gz", None),
        ("sub-1_label-lesionchange_mask.nii.gz", None),
        ("sub-1_desc-braintruth_mask.nii.gz", None),
        ("sub-1_desc-brain_T1w.nii.gz", None),
    ],
)
def test_names_say_the_annotation(name: str, kind: str | None) -> None:
    assert annotation_of(name) == kind


def test_index_tells_present_missing_and_excluded(bids, study_of) -> None:
    root = bids({"sub-01": THREE, "sub-02": ["T1w", "T2w"], "sub-03_ses-1": THREE})
    (root / "sub-01/anat/sub-01_run-2_T2w.nii.gz").write_bytes(b"x")
    (root / "sub-02/anat/sub-02_T2w.nii.gz").write_bytes(b"")
    study = study_of(root, dataset={"name": "tiny", "exclude": {"sub-03_ses-1": "moved"}})
    rows = {(r["session_key"], r["modality"]): r for r in scan_rows(sessions_of(study), root)}
    assert rows["sub-01", "T1w"]["status"] == "present"
    assert rows["sub-01", "T1w"]["path"] == "sub-01/anat/sub-01_T1w.nii.gz"
    assert "2 files claim to be T2w" in rows["sub-01", "T2w"]["reason"]
    assert rows["sub-02", "FLAIR"]["status"] == "missing"
    assert rows["sub-02", "T2w"]["reason"] == "empty file; copy it again"
    assert rows["sub-03_ses-1", "T1w"]["reason"] == "moved"


def listing(root, *lines):
    table = root / "exclusions.tsv"
    table.write_text("\n".join(["session\treason", *lines, ""]))
    return table


def test_a_table_excludes_sessions_and_participants_with_reasons(bids, study_of, tmp_path) -> None:
    names = ("sub-01", "sub-02_ses-1", "sub-02_ses-2", "sub-03_ses-1", "sub-03_ses-2")
    root = bids(dict.fromkeys(names, THREE))
    table = listing(tmp_path, "sub-02\tmotion", "sub-03_ses-2\tmask")
    dataset = {"name": "t", "exclusions": str(table), "exclude": {"sub-02_ses-1": "in the file"}}
    found = index_study(study_of(root, dataset=dataset)).sessions
    assert {key: session.excluded for key, session in found.items()} == {
        "sub-01": "",
        "sub-02_ses-1": "in the file",
        "sub-02_ses-2": "motion",
        "sub-03_ses-1": "",
        "sub-03_ses-2": "mask",
    }
    assert found["sub-03_ses-2"].available == ()


def test_a_list_of_exclusions_serves_studies_of_fewer_participants(
    bids, study_of, tmp_path
) -> None:
    root = bids({"sub-01": THREE, "sub-02": THREE})
    table = listing(tmp_path, "sub-02\tmotion")
    dataset = {"name": "t", "exclusions": str(table), "include": ["sub-01"]}
    assert list(index_study(study_of(root, dataset=dataset)).sessions) == ["sub-01"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sub-09\tmotion", "exclusions.tsv: names sub-09, which the data set does not have"),
        ("sub-01\tn/a", "exclusions.tsv: gives no reason for sub-01"),
        ("sub-01", "exclusions.tsv: line 2 has not 2 columns"),
    ],
)
def test_a_faulty_list_of_exclusions_is_refused(line, message, bids, study_of, tmp_path) -> None:
    root = bids({"sub-01": THREE})
    dataset = {"name": "t", "exclusions": str(listing(tmp_path, line))}
    with pytest.raises(InputError, match=message):
        index_study(study_of(root, dataset=dataset))


def test_annotations_of_a_subject_serve_all_its_sessions(bids, study_of) -> None:
    root = bids({"sub-01_ses-1": THREE, "sub-01_ses-2": THREE})
    mask = root / "derivatives/masks/sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    mask.parent.mkdir(parents=True)
    mask.write_bytes(b"x")
    other = mask.with_name("sub-01_label-lesionchange_mask.nii.gz")
    other.write_bytes(b"x")
    study = study_of(root)
    assert [s.annotations for s in sessions_of(study)] == [(("brain", Source(mask)),)] * 2
    remark = index_study(study).remarks[-1]
    assert remark.path == other.relative_to(root).as_posix()
    assert remark.text.startswith("mask not used, its name has neither desc-brain nor")


@pytest.mark.parametrize(
    ("place", "participant", "why"),
    [
        ("m/sub-01/ses-9/anat/sub-01_ses-9_label-lesion_mask", "sub-01", "its session has no scan"),
        ("m/sub-77/anat/sub-77_label-lesion_mask", "sub-77", "its session has no scan"),
        ("m/sub-02/sub-02_label-lesion_mask", "sub-02", "it lies in no folder anat, ct or pet"),
        ("m/sub-02/masks/sub-02_desc-brain_mask", "sub-02", "it lies in no folder anat"),
        ("sub-02_label-lesion_mask", "sub-02", "it lies in no folder anat, ct or pet"),
    ],
)
def test_masks_that_belong_to_no_scan_are_remarked_on(
    place, participant, why, bids, study_of
) -> None:
    root = bids({"sub-01_ses-1": THREE, "sub-02": THREE})
    mask = root / "derivatives" / f"{place}.nii.gz"
    bold = root / "derivatives/m/sub-02/func/sub-02_task-rest_desc-brain_mask.nii.gz"
    for path in (mask, bold):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    index = index_study(study_of(root))
    (remark,) = index.remarks
    assert (remark.participant, remark.path) == (participant, mask.relative_to(root).as_posix())
    assert why in remark.text
    assert not any(session.annotations for session in index.sessions.values())


def test_a_typing_error_in_a_table_loses_no_label_map(bids, study_of) -> None:
    root = bids({"sub-1": THREE, "sub-2": THREE})
    (root / "scans.tsv").write_text(
        "participant_id\tmodality\tpath\n1\tT1w\ta.nii\n2\tT1w\tb.nii\n01\tlesion\tc.nii\n"
    )
    chosen: dict = {"name": "m", "manifest": "scans.tsv"}
    for include in (None, ["sub-1"]):
        index = index_study(study_of(root, dataset={**chosen, "include": include}))
        (remark,) = index.remarks
        assert (remark.participant, remark.path) == ("sub-01", "c.nii")
        assert remark.text.startswith("mask not used, its session has no scan")


def test_masks_of_those_not_included_are_not_remarked_on(bids, study_of) -> None:
    root = bids({"sub-1": THREE, "sub-2": THREE})
    (root / "scans.tsv").write_text(
        "participant_id\tsession_id\tmodality\tpath\n"
        "1\t\tT1w\ta.nii\n2\t\tT1w\tb.nii\n2\t9\tlesion\tc.nii\n"
    )
    chosen = {"name": "m", "manifest": "scans.tsv", "include": ["sub-1"]}
    assert not index_study(study_of(root, dataset=chosen)).remarks


def test_manifest_of_any_names(bids, study_of) -> None:
    root = bids({"sub-01": THREE})
    table = root / "scans.tsv"
    lines = [
        "participant_id\tsession_id\tmodality\tpath\tsite",
        "01\t1\tT1w\tsub-01/anat/sub-01_T1w.nii.gz\tA",
        "01\t1\tlesion\tsub-01/anat/sub-01_FLAIR.nii.gz\tA",
    ]
    table.write_text("\n".join(lines) + "\n")
    chosen = {"name": "m", "layout": "manifest", "manifest": "scans.tsv"}
    (session,) = sessions_of(study_of(root, dataset=chosen, split={"stratify": "site"}))
    assert (session.key, session.group, session.available) == ("sub-01_ses-1", "A", ("T1w",))
    assert session.annotations[0][0] == "lesion"
    table.write_text("\n".join([*lines, "01\t1\tT9\tx\tA"]) + "\n")
    with pytest.raises(InputError, match="line 4 has the unknown modality 'T9'"):
        index_study(study_of(root, dataset=chosen))
    table.write_text("\n".join([lines[0], "../x\t1\tT1w\tx\tA"]) + "\n")
    with pytest.raises(InputError, match="line 2 has the label"):
        index_study(study_of(root, dataset=chosen))


@pytest.mark.parametrize(
    ("modality", "path", "what"),
    [
        ("T1w", "a.nii", "the modality T1w"),
        ("brain", "a.nii", "the modality brain"),
        ("lesion", "sub-01", "a DICOM folder"),
    ],
)
def test_labels_are_of_label_maps_alone(modality, path, what, bids, study_of) -> None:
    root = bids({"sub-01": THREE})
    row = f"01\t{modality}\t{path}\tmsd"
    (root / "scans.tsv").write_text(f"participant_id\tmodality\tpath\tlabels\n{row}\n")
    with pytest.raises(InputError, match=f"line 2 has labels and {what}; leave labels empty"):
        index_study(study_of(root, dataset={"name": "m", "manifest": "scans.tsv"}))


def test_one_file_under_two_subjects_is_a_leak(bids, study_of) -> None:
    root = bids({"sub-01": THREE, "sub-02": THREE})
    scan = root / "sub-02/anat/sub-02_T1w.nii.gz"
    scan.unlink()
    scan.symlink_to(root / "sub-01/anat/sub-01_T1w.nii.gz")
    with pytest.raises(InputError, match="is given as sub-01 T1w and as sub-02 T1w"):
        index_study(study_of(root))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": {"name": "t", "exclude": {"sub-09": "x"}}}, "dataset.exclude: names sub-09"),
        ({"dataset": {"name": "t", "include": ["sub-08"]}}, "dataset.include: names sub-08"),
        ({"split": {"external": ["sub-07"]}}, "split.external: names sub-07"),
        (
            {"evaluation": {"experiments": [{**EXPERIMENT, "without": ["sub-06"]}]}},
            "evaluation.experiments.without: names sub-06",
        ),
    ],
)
def test_names_that_do_not_exist_are_refused(change, message, bids, study_of) -> None:
    root = bids({"sub-01": THREE})
    with pytest.raises(InputError, match=message):
        index_study(study_of(root, **change))


def test_one_file_as_source_and_target_is_a_leak(bids, study_of) -> None:
    root = bids({"sub-01": THREE})
    rows = ["participant_id\tmodality\tpath", "01\tT2w\ta.nii.gz", "01\tFLAIR\ta.nii.gz"]
    (root / "scans.tsv").write_text("\n".join(rows) + "\n")
    chosen = {"name": "m", "layout": "manifest", "manifest": "scans.tsv"}
    with pytest.raises(InputError, match="is given as sub-01 T2w and as sub-01 FLAIR"):
        index_study(study_of(root, dataset=chosen))


def test_header_and_voxels_of_a_pair_are_one_scan(bids, study_of) -> None:
    root = bids({"sub-01": THREE})
    for name in ("a.hdr", "a.img"):
        (root / name).write_bytes(b"x")
    rows = ["participant_id\tmodality\tpath", "01\tT2w\ta.hdr", "02\tT2w\ta.img"]
    (root / "scans.tsv").write_text("\n".join(rows) + "\n")
    with pytest.raises(InputError, match="is given as sub-01 T2w and as sub-02 T2w"):
        index_study(study_of(root, dataset={"name": "m", "manifest": "scans.tsv"}))


def test_an_annotation_that_cannot_be_opened_is_left_out_with_its_reason(bids, study_of) -> None:
    root = bids({"sub-01": THREE})
    link = root / "derivatives/masks/sub-01/anat/sub-01_label-lesion_mask.nii.gz"
    link.parent.mkdir(parents=True)
    link.symlink_to("not-fetched")
    sessions = sessions_of(study_of(root))
    assert sessions[0].annotations == ()
    (row,) = annotation_rows(sessions, root)
    assert row["status"] == "excluded"
    assert row["reason"] == "is a link to nothing; copy the file again"


def test_dates_are_sessions_and_leftovers_are_no_subjects(bids, study_of) -> None:
    root = bids({"sub-01_ses-2020-01-05": THREE})
    (root / "sub-01_old" / "anat").mkdir(parents=True)
    (session,) = sessions_of(study_of(root))
    assert session.key == "sub-01_ses-2020-01-05"


def test_an_unknown_stratum_is_refused(bids, study_of) -> None:
    root = bids({"sub-01": THREE})
    with pytest.raises(InputError, match="names the column 'sit', which no participant has"):
        index_study(study_of(root, split={"stratify": "sit"}))


def test_no_folder_and_an_empty_folder(tmp_path, study_of) -> None:
    with pytest.raises(InputError, match="none: does not exist"):
        index_study(study_of(tmp_path / "none"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: is no folder"):
        index_study(study_of(tmp_path / "file"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no layout that is known"):
        index_study(study_of(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sub-1_T1W.nii.gz", "ends on T1W instead of T1w"),
        ("sub-1_flair.nii", "ends on flair instead of FLAIR"),
        ("sub-1_T1.nii.gz", "ends on none of T1w, T2w, FLAIR, PDw, ct, CT, pet"),
        ("sub-1_T1w.NII.GZ", "no .nii or .nii.gz file"),
        ("sub-1_T1w.mgz", "no .nii or .nii.gz file"),
        ("sub-1_part-imag_T1w.nii.gz", "not used, part-imag is no magnitude image"),
    ],
)
def test_images_that_cannot_be_placed_are_remarked_on(name, why, bids, study_of) -> None:
    root = bids({"sub-1": THREE})
    (root / "sub-1/anat" / name).touch()
    (remark,) = index_study(study_of(root)).remarks
    assert (remark.participant, remark.path) == ("sub-1", f"sub-1/anat/{name}")
    assert why in remark.text


@pytest.mark.parametrize("name", ["sub-1_T1w.json", "sub-1_scans.tsv", "README"])
def test_sidecars_are_not_remarked_on(name: str) -> None:
    assert why_no_scan(name) is None


def test_participants_without_scans_are_remarked_on(bids, study_of) -> None:
    root = bids({"sub-1": THREE, "sub-2": [], "sub-3": THREE})
    for folder in ("sub-4/anat", "sub-3_old/anat"):
        (root / folder).mkdir(parents=True)
    said = {remark.participant: remark.text for remark in index_study(study_of(root)).remarks}
    assert set(said) == {"sub-2", "sub-4", "sub-3_old"}
    assert said["sub-2"] == "in participants.tsv, but without a folder"
    assert said["sub-4"] == "no scan in the folder"
    assert "folder's name" in said["sub-3_old"]
    chosen = study_of(root, dataset={"name": "t", "include": ["sub-1"]})
    assert not index_study(chosen).remarks
