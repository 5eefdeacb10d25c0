import pytest

from crossmod.errors import ConfigError
from crossmod.planning import make_plan

THREE = ["T1w", "T2w", "FLAIR"]


def many(count: int) -> dict[str, list[str]]:
    return {f"sub-{i:02d}": THREE for i in range(count)}


def test_runs_are_tasks_times_models_times_folds_times_seeds(bids, study_of) -> None:
    plan = make_plan(study_of(bids(many(12)), split={"mode": "kfold", "folds": 3}, seeds=[0, 1]))
    gradient = [run for run in plan.runs.values() if run.model == "unet"]
    assert len(gradient) == 6
    assert len(plan.runs) == 6 + 3  # nulls have no randomness: one seed
    for run in plan.runs.values():
        tested = {key for keys in run.batches.values() for key in keys}
        assert not tested & {*run.train, *run.validation}


def test_sessions_of_one_subject_stay_together(bids, study_of) -> None:
    sessions = {f"sub-{i}_ses-{j}": THREE for i in range(6) for j in (1, 2)}
    plan = make_plan(study_of(bids(sessions)))
    for run in plan.runs.values():
        groups = [{key.split("_")[0] for key in keys} for keys in (run.train, run.validation)]
        assert not groups[0] & groups[1]
        assert all(f"{p}_ses-{j}" in run.train for p in groups[0] for j in (1, 2))


def test_a_session_without_target_is_filled_but_not_trained_on(bids, study_of) -> None:
    subjects = {**many(10), "sub-90": ["T1w", "T2w"], "sub-91": ["T1w"]}
    plan = make_plan(study_of(bids(subjects)))
    run = next(iter(plan.runs.values()))
    made = {key for keys in run.batches.values() for key in keys}
    assert "sub-90" in made
    assert "sub-90" not in run.train
    assert {"session_key": "sub-91", "modality": "FLAIR", "reason": "lacks the source T2w"} in (
        plan.unserved
    )
    assert all(row["session_key"] != "sub-90" for row in plan.unserved)


def test_a_method_that_needs_no_whole_set_fills_what_others_cannot(bids, study_of) -> None:
    """It is scored on the same subjects as the others."""
    subjects = {**many(10), "sub-90": ["T1w"], "sub-91": ["PDw"], "sub-92": ["T2w", "FLAIR"]}
    models = {"milr": {"method": "milr"}, "unet": {"method": "unet"}}
    plan = make_plan(study_of(bids(subjects), models=models, split={"test": 0.5}))
    made = {
        run.model: {key for keys in run.batches.values() for key in keys}
        for run in plan.runs.values()
    }
    assert made["milr"] - made["unet"] == {"sub-90"}
    lacking = [row["session_key"] for row in plan.unserved if row["modality"] == "FLAIR"]
    assert lacking == ["sub-91"]


def test_what_is_excluded_by_hand_is_not_called_unserved(bids, study_of) -> None:
    root = bids({**many(10), "sub-91": ["T1w"]})
    dataset = {"name": "tiny", "exclude": {"sub-01": "moved"}}
    keys = {row["session_key"] for row in make_plan(study_of(root, dataset=dataset)).unserved}
    assert keys == {"sub-91"}


def test_a_new_subject_changes_no_batch_but_the_last(bids, study_of) -> None:
    root = bids(many(20))
    study = study_of(root, batch=2)
    before = next(iter(make_plan(study).runs.values()))
    bids({**many(20), "sub-95": THREE, "sub-96": THREE, "sub-97": THREE})
    after = next(iter(make_plan(study).runs.values()))
    assert after.train[: len(before.train)] == before.train
    for name in list(before.batches)[:-1]:
        assert after.batches[name] == before.batches[name]


def test_one_data_set_name_stands_for_one_folder(bids, study_of) -> None:
    make_plan(study_of(bids(many(8))))
    with pytest.raises(ConfigError, match="data set 'tiny' already stands for"):
        make_plan(study_of(bids(many(8), folder="other")))


def test_a_task_nobody_can_be_trained_on_is_refused(bids, study_of) -> None:
    root = bids({f"sub-{i}": ["T1w", "T2w"] for i in range(5)})
    with pytest.raises(ConfigError, match="no training subject has all of T1w, T2w, FLAIR"):
        make_plan(study_of(root))


def test_changed_split_settings_are_refused_until_the_table_is_gone(bids, study_of) -> None:
    root = bids(many(10))
    table = make_plan(study_of(root)).paths.index("split")
    changed = study_of(root, split={"test": 0.5})
    with pytest.raises(ConfigError, match="was made with other split settings"):
        make_plan(changed)
    table.unlink()
    assert make_plan(changed).runs


def test_a_null_of_another_tasks_source_is_skipped_and_said(bids, study_of) -> None:
    tasks = [
        {"sources": ["T1w", "T2w"], "target": "FLAIR"},
        {"sources": ["FLAIR", "T1w"], "target": "T2w"},
    ]
    plan = make_plan(study_of(bids(many(10)), tasks=tasks, nulls=True))
    copies = {(r.task.id, r.model) for r in plan.runs.values() if "copy" in r.model}
    assert copies == {
        ("T1w+T2w-to-FLAIR", "null-copy-t1w"),
        ("T1w+T2w-to-FLAIR", "null-copy-t2w"),
        ("FLAIR+T1w-to-T2w", "null-copy-t1w"),
        ("FLAIR+T1w-to-T2w", "null-copy-flair"),
    }
    assert ("FLAIR+T1w-to-T2w", "null-copy-t2w") in plan.skipped


def test_a_model_is_trained_for_its_tasks_and_in_its_folds_only(bids, study_of) -> None:
    tasks = [{"sources": s, "target": "FLAIR"} for s in (["T1w"], ["T1w", "T2w"])]
    models = {
        "all": {"method": "unet"},
        "one": {"method": "unet", "tasks": ["T1w-to-FLAIR"], "folds": [2]},
    }
    split = {"mode": "kfold", "folds": 3}
    root = bids(many(9))
    plan = make_plan(study_of(root, tasks=tasks, models=models, split=split, nulls=False))
    runs = [(r.task.id, r.fold) for r in plan.runs.values() if r.model == "one"]
    assert runs == [("T1w-to-FLAIR", 2)]
    assert sum(r.model == "all" for r in plan.runs.values()) == 6
    assert "other tasks" in plan.skipped["T1w+T2w-to-FLAIR", "one"]


def test_a_split_file_is_used_as_it_is(bids, study_of, tmp_path) -> None:
    rows = ["participant_id\tfold\trole", "sub-00\t0\ttrain", "sub-01\t0\ttest"]
    (tmp_path / "mine.tsv").write_text("\n".join(rows) + "\n")
    root = bids(many(2))
    plan = make_plan(study_of(root, split={"file": "mine.tsv"}))
    run = next(iter(plan.runs.values()))
    assert (run.train, run.batches) == (("sub-00",), {"000": ("sub-01",)})
    bids(many(3))
    with pytest.raises(ConfigError, match="says nothing of sub-02"):
        make_plan(study_of(root, split={"file": "mine.tsv"}))


def test_sessions_wait_for_earlier_ones_of_the_same_subject_alone(bids, study_of) -> None:
    sessions = {f"sub-{i:02d}_ses-{j}": THREE for i in range(6) for j in (1, 2, 3)}
    sessions["sub-03_ses-2"] = []
    plan = make_plan(study_of(bids(sessions)))
    assert plan.earlier_sessions("sub-02_ses-3") == ("sub-02_ses-1", "sub-02_ses-2")
    assert plan.earlier_sessions("sub-02_ses-1") == ()
    assert plan.earlier_sessions("sub-03_ses-3") == ("sub-03_ses-1",)
