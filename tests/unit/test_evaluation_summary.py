"""From scores to the tables of a study."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from crossmod.errors import ConfigError, InputError
from crossmod.evaluation.stage import COLUMNS
from crossmod.evaluation.statistics import compare, holm
from crossmod.evaluation.summary import (
    COMPARISON_COLUMNS,
    SCORE_COLUMNS,
    SUMMARY_COLUMNS,
    SummaryRequest,
    gather,
    subject_values,
    summarize,
    with_roles,
)
from crossmod.evaluation_settings import EvaluationSettings
from crossmod.files import read_rows, read_table, write_rows

MODELS = (("unet", False), ("gan", False), ("mean", True), ("copy", True))
TASK = "T1w-to-FLAIR"
TABLES = ("scores", "summary", "comparisons", "experiments")
LEVEL = {"unet": 26.0, "gan": 25.0, "mean": 15.0, "copy": 19.0}


def row(participant, model, value, **changes):
    content = {
        "participant": participant, "session": participant, "task": TASK, "model": model,
        "variant": "", "fold": 0, "seed": 0, "region": "brain", "protocol": "brain-v1",
        "metric": "psnr", "value": value, "voxels": 1000,
    }  # fmt: skip
    return {**content, **changes}


def study_rows(subjects=8, seeds=(0, 1)):
    """Scores of all models: PSNR and SSIM, seeds for the models that learn."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(subjects):
        name, ease = f"sub-{number:02d}", rng.normal(0, 2)
        for model, null in MODELS:
            for seed in seeds[:1] if null else seeds:
                level = LEVEL[model] + ease + rng.normal(0, 0.3)
                rows.append(row(name, model, level, seed=seed))
                rows.append(row(name, model, level / 40, seed=seed, metric="ssim"))
    return rows


def run(folder, rows, models=MODELS, split=None, files=1, **settings):
    """Summarize rows spread over some files; gives the tables as data frames."""
    paths = tuple(folder / f"scores-{i}.tsv" for i in range(files))
    for i, path in enumerate(paths):
        part = [{**r, "value": None if r["value"] is None else f"{r['value']:.10g}"} for r in rows]
        write_rows(path, COLUMNS, part[i::files])
    names = sorted({r["participant"] for r in rows})
    if split is None:
        split = [(name, 0, "test") for name in names]
    request = SummaryRequest(
        score_files=paths,
        settings=EvaluationSettings(bootstrap=200, **settings),
        split=pd.DataFrame(split, columns=["participant_id", "fold", "role"]),
        models=models,
        **{name: folder / "out" / f"{name}.tsv" for name in TABLES},
        metrics=folder / "out" / "metrics.json",
    )
    summarize(request)
    text = {"variant": str}
    tables = [read_table(getattr(request, n), **text) for n in ("scores", "summary")]
    for table in tables:
        table["variant"] = table["variant"].fillna("")
    return *tables, read_table(request.comparisons), json.loads(request.metrics.read_text())


def line(table, **keys):
    """The one row of a table with these values."""
    for name, value in keys.items():
        table = table[table[name] == value]
    assert len(table) == 1, f"{len(table)} rows with {keys}"
    return table.iloc[0]


def test_tables_are_as_documented(tmp_path):
    scores, summary, comparisons, metrics = run(tmp_path, study_rows())
    assert SCORE_COLUMNS == COLUMNS
    assert tuple(scores.columns) == (*COLUMNS, "role")
    assert set(scores["role"]) <= {"test", "external"}
    assert tuple(summary.columns) == SUMMARY_COLUMNS
    assert tuple(comparisons.columns) == COMPARISON_COLUMNS
    assert list(metrics) == [TASK]
    assert list(metrics[TASK]) == [name for name, _ in MODELS]
    mean = line(summary, model="gan", metric="psnr")["mean"]
    assert metrics[TASK]["gan"] == {
        "psnr": pytest.approx(mean, abs=1e-6),
        "ssim": pytest.approx(mean / 40, abs=1e-6),
    }


def test_scores_survive_the_round_trip(tmp_path):
    rows = study_rows(3)
    scores, *_ = run(tmp_path, rows)
    assert len(scores) == len(rows)
    for given in rows[::7]:
        keys = {k: given[k] for k in ("participant", "model", "seed", "metric")}
        assert line(scores, **keys)["value"] == pytest.approx(given["value"], rel=1e-9)


def test_a_mean_is_over_subjects_not_over_sessions_or_seeds(tmp_path):
    rows = [
        row("sub-01", "unet", 10.0, session="sub-01_ses-1"),
        row("sub-01", "unet", 20.0, session="sub-01_ses-2"),
        row("sub-01", "unet", 31.0, session="sub-01_ses-1", seed=1),
        row("sub-02", "unet", 40.0),
        row("sub-02", "unet", 42.0, seed=1),
    ]
    _, summary, comparisons, _ = run(tmp_path, rows, models=(("unet", False),))
    found = line(summary, model="unet")
    # Subject 1: (15 + 31) / 2 = 23; subject 2: 41. Seeds: (15 + 40) / 2 and (31 + 42) / 2.
    assert found["subjects"] == 2
    assert found["mean"] == pytest.approx(32)
    assert found["sd"] == pytest.approx(np.std([23, 41], ddof=1))
    assert found["seed_sd"] == pytest.approx(np.std([27.5, 36.5], ddof=1))
    assert math.isnan(found["ci_low"])
    assert comparisons.empty


def test_one_seed_has_no_spread_over_seeds(tmp_path):
    _, summary, *_ = run(tmp_path, study_rows(4, seeds=(0,)))
    assert summary["seed_sd"].isna().all()
    assert "\tn/a\n" in (tmp_path / "out" / "summary.tsv").read_text()


def test_folds_are_put_together(tmp_path):
    rows = [row("sub-01", "unet", 10.0), row("sub-02", "unet", 20.0, fold=1)]
    split = [
        ("sub-01", 0, "test"), ("sub-01", 1, "train"),
        ("sub-02", 0, "train"), ("sub-02", 1, "test"),
    ]  # fmt: skip
    _, summary, *_ = run(tmp_path, rows, models=(("unet", False),), split=split)
    assert line(summary, model="unet")["mean"] == pytest.approx(15)


def test_external_subjects_are_apart_and_in_no_test(tmp_path):
    rows = [*study_rows(7), row("sub-99", "unet", 1.0), row("sub-99", "copy", 90.0)]
    names = sorted({r["participant"] for r in rows})
    split = [(name, 0, "external" if name == "sub-99" else "test") for name in names]
    with_external = run(tmp_path, rows, split=split)
    without = run(tmp_path / "b", study_rows(7))
    external = line(with_external[1], model="copy", metric="psnr", role="external")
    assert (external["subjects"], external["mean"]) == (1, 90)
    pd.testing.assert_frame_equal(with_external[2], without[2])
    pd.testing.assert_frame_equal(
        with_external[1][with_external[1]["role"] == "test"].reset_index(drop=True), without[1]
    )
    assert with_external[3] == without[3]


def test_which_pairs_are_compared(tmp_path):
    _, _, comparisons, _ = run(tmp_path, study_rows())
    psnr = comparisons[comparisons["metric"] == "psnr"]
    pairs = set(zip(psnr["model"], psnr["control"], strict=True))
    # The control is the best null; nulls are not compared with each other.
    assert pairs == {("unet", "copy"), ("gan", "copy"), ("unet", "gan"), ("unet", "mean")}
    assert len(comparisons) == 8
    primary = comparisons[comparisons["primary"]]
    assert primary[["model", "control", "metric"]].to_numpy().tolist() == [["unet", "copy", "psnr"]]


def test_numbers_of_a_comparison_and_holms_family(tmp_path):
    scores, _, comparisons, _ = run(tmp_path, study_rows(8))
    means = scores.groupby(["metric", "model", "participant"])["value"].mean()
    found = line(comparisons, model="gan", control="copy", metric="psnr")
    gan, copy = means["psnr", "gan"].to_numpy(), means["psnr", "copy"].to_numpy()
    expected = compare(gan, copy, 200, 0)
    for name in ("difference", "ci_low", "ci_high", "t_p", "wilcoxon_p", "effect_size"):
        assert found[name] == pytest.approx(getattr(expected, name), rel=1e-6)
    assert found["subjects"] == 8
    for kind in ("t_p", "wilcoxon_p"):
        # One family: four pairs x two metrics in the same region and protocol, but the primary one.
        primary = comparisons["primary"].to_numpy()
        family = comparisons[~primary]
        expected = holm(family[kind].to_numpy())
        np.testing.assert_allclose(family[f"{kind}_holm"], expected, rtol=1e-6)
        assert primary.sum() == 1
        assert (comparisons[f"{kind}_holm"] == comparisons[kind])[primary].all()


def test_families_are_by_task_region_and_protocol(tmp_path):
    rows = study_rows(8)
    lesion = [{**r, "region": "lesion"} for r in rows]
    alone = run(tmp_path / "a", rows)[2]
    both = run(tmp_path / "b", [*rows, *lesion])[2]
    part = both[both["region"] == "brain"].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, alone)
    assert both["primary"].sum() == 1


def test_below_six_subjects_no_test_is_printed(tmp_path):
    for count, tested in ((5, False), (6, True)):
        _, summary, comparisons, _ = run(tmp_path / str(count), study_rows(count))
        columns = ["t_p", "wilcoxon_p", "t_p_holm", "wilcoxon_p_holm"]
        assert comparisons[columns].notna().all(axis=None) == tested
        assert comparisons[columns].isna().all(axis=None) == (not tested)
        assert comparisons["difference"].notna().all()
        assert (summary["subjects"] == count).all()


def test_undefined_values_lower_the_number_of_subjects(tmp_path):
    rows = [r for r in study_rows(6) if r["metric"] == "psnr"]
    changed = [
        {**r, "value": None} if (r["participant"], r["model"]) == ("sub-02", "copy") else r
        for r in rows
    ]
    changed += [row(name, "mean", None, metric="nrmse") for name in ("sub-00", "sub-01")]
    _, summary, comparisons, _ = run(tmp_path, changed)
    assert line(summary, model="copy", metric="psnr")["subjects"] == 5
    empty = line(summary, model="mean", metric="nrmse")
    assert empty["subjects"] == 0
    assert math.isnan(empty["mean"])
    assert math.isnan(line(comparisons, model="gan", control="copy")["t_p"])
    assert line(comparisons, model="unet", control="mean")["subjects"] == 6


def test_sensitivity_rows_are_summarized_and_never_compared(tmp_path):
    rows = study_rows(6)
    shifted = [
        {**r, "variant": "shift-1", "value": r["value"] - 3} for r in rows if r["model"] == "unet"
    ]
    with_rows = run(tmp_path / "a", [*rows, *shifted])
    plain = run(tmp_path / "b", rows)
    base = line(with_rows[1], model="unet", metric="psnr", variant="")
    found = line(with_rows[1], model="unet", metric="psnr", variant="shift-1")
    assert found["mean"] == pytest.approx(base["mean"] - 3)
    pd.testing.assert_frame_equal(with_rows[2], plain[2])
    assert with_rows[3] == plain[3]


def test_the_default_control_is_the_hardest_null(tmp_path):
    rows = study_rows(6)
    errors = [
        {**r, "metric": "nrmse", "value": 1 / r["value"]} for r in rows if r["metric"] == "psnr"
    ]
    # Where lower is better, too.
    found = run(tmp_path / "a", [*rows, *errors], primary={"metric": "nrmse"})[2]
    assert found[found["primary"]]["control"].tolist() == ["copy"]
    found = run(tmp_path / "b", rows, primary={"control": "mean", "model": "gan"})[2]
    assert found[found["primary"]][["model", "control"]].to_numpy().tolist() == [["gan", "mean"]]
    learned = [r for r in rows if r["model"] in ("unet", "gan")]
    found = run(tmp_path / "c", learned, models=MODELS[:2])[2]
    assert found[found["primary"]][["model", "control"]].to_numpy().tolist() == [["unet", "gan"]]
    assert len(found) == 2
    nulls = [r for r in rows if r["model"] in ("mean", "copy")]
    found = run(tmp_path / "d", nulls, models=MODELS[2:])[2]
    assert found[found["primary"]][["model", "control"]].to_numpy().tolist() == [["mean", "copy"]]


def test_tasks_do_not_mix(tmp_path):
    rows = study_rows(6)
    other = [{**r, "task": "T2w-to-T1w", "value": r["value"] + 1} for r in rows]
    _, summary, comparisons, metrics = run(tmp_path, [*rows, *other])
    assert set(metrics) == {TASK, "T2w-to-T1w"}
    assert comparisons["primary"].sum() == 2
    first = line(summary, task=TASK, model="unet", metric="psnr")["mean"]
    second = line(summary, task="T2w-to-T1w", model="unet", metric="psnr")["mean"]
    assert second == pytest.approx(first + 1)


def test_the_order_of_files_and_rows_changes_no_byte(tmp_path):
    rows = study_rows(6)
    run(tmp_path / "a", rows)
    run(tmp_path / "b", rows[::-1], files=3)
    for name in ("scores.tsv", "summary.tsv", "comparisons.tsv", "metrics.json"):
        found = [(tmp_path / folder / "out" / name).read_bytes() for folder in "ab"]
        assert found[0] == found[1], name


def test_a_study_in_which_nothing_could_be_scored_has_empty_tables(tmp_path):
    scores, summary, comparisons, metrics = run(tmp_path, [])
    assert scores.empty
    assert summary.empty
    assert comparisons.empty
    assert metrics == {}
    assert tuple(summary.columns) == SUMMARY_COLUMNS
    assert read_rows(tmp_path / "out" / "comparisons.tsv", COMPARISON_COLUMNS) == []


def test_leaks_doubles_and_strangers_are_refused(tmp_path):
    rows = study_rows(6)
    split = [(f"sub-0{i}", 0, "train" if i == 3 else "test") for i in range(6)]
    with pytest.raises(InputError, match="sub-03 is scored in fold 0, where its role is train"):
        run(tmp_path, rows, split=split)
    with pytest.raises(InputError, match="hold a row twice"):
        run(tmp_path, [*rows, rows[0]])
    with pytest.raises(InputError, match="hold the model 'copy', which the study has not"):
        run(tmp_path, rows, models=MODELS[:3])
    with pytest.raises(ConfigError, match=r"metric: there is no 'pnsr'; use psnr or ssim"):
        run(tmp_path, rows, primary={"metric": "pnsr"})
    with pytest.raises(ConfigError, match=r"control: there is no 'best'; use unet or"):
        run(tmp_path, rows, primary={"control": "best"})
    (tmp_path / "other.tsv").write_text("participant\tvalue\nsub-01\t3\n")
    with pytest.raises(InputError, match="lacks the column"):
        gather([tmp_path / "other.tsv"])


def test_names_that_look_like_numbers_stay_names(tmp_path):
    rows = [row("sub-01", "007", 20.0), row("sub-02", "007", 22.0)]
    write_rows(tmp_path / "s.tsv", COLUMNS, rows)
    split = pd.DataFrame({"participant_id": ["sub-01", "sub-02"], "fold": 0, "role": "test"})
    found = subject_values(with_roles(gather([tmp_path / "s.tsv"]), split))
    assert found["model"].tolist() == ["007", "007"]
