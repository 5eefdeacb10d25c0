"""Experiments: rows on the same subjects, compared with one of them, beside published numbers."""

import numpy as np
import pandas as pd
import pytest

from crossmod.checking import check
from crossmod.evaluation.experiments import COLUMNS, experiment_table
from crossmod.evaluation.statistics import compare, holm
from crossmod.evaluation_settings import EvaluationSettings, ExperimentSettings

ONE, TWO = "T1w-to-FLAIR", "T1w+T2w-to-FLAIR"
PEOPLE = [f"sub-{i:02d}" for i in range(9)]
EXPERIMENT = {
    "title": "Sources",
    "control": "both",
    "baseline": "mean",
    "rows": [
        {"model": "gan", "task": ONE, "label": "T1w", "published": {"psnr": [23.7, 2.16]}},
        {"model": "gan", "task": TWO, "label": "both", "published": {"psnr": [24.8, 1.85]}},
        {"model": "unet", "task": TWO},
    ],
}


def values_of(protocols=(("brain-v1", "brain"), ("seed-v1", "slice"))):
    """PSNR and SSIM of two tasks; the last subject lacks the U-Net, the first is external."""
    rng = np.random.default_rng(4)
    rows = []
    for number, person in enumerate(PEOPLE):
        for task in (ONE, TWO):
            for model in ("gan", "unet", "mean"):
                if person == PEOPLE[-1] and model == "unet":
                    continue
                level = {"gan": 24, "unet": 23, "mean": 15}[model] + (task == TWO)
                for protocol, region in protocols:
                    for metric, scale in (("psnr", 1), ("ssim", 1 / 40)):
                        rows.append(
                            {
                                "task": task,
                                "model": model,
                                "variant": "",
                                "region": region,
                                "protocol": protocol,
                                "metric": metric,
                                "participant": person,
                                "role": "external" if number == 0 else "test",
                                "value": scale * (level + number / 3 + rng.normal(0, 0.4)),
                            }
                        )
    return pd.DataFrame(rows)


def table_of(**changes):
    experiment = check(ExperimentSettings, {**EXPERIMENT, **changes}, "experiment")
    settings = EvaluationSettings(bootstrap=200, experiments=(experiment,))
    return experiment_table(values_of(), settings)


def line(table, **keys):
    for name, value in keys.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def own(row, protocol="brain-v1", metric="psnr"):
    """Values of a row over the seven test subjects that all rows have."""
    task, model = {"T1w": (ONE, "gan"), "both": (TWO, "gan"), "unet": (TWO, "unet")}[row]
    v = values_of()
    v = v[(v.task == task) & (v.model == model) & (v.protocol == protocol) & (v.metric == metric)]
    return v.set_index("participant")["value"][PEOPLE[1:-1]].to_numpy()


def test_means_are_over_the_subjects_that_all_rows_have():
    table = table_of()
    assert tuple(table.columns) == COLUMNS
    assert set(table["subjects"].dropna()) == {7, 0}
    for row in ("T1w", "both", "unet"):
        found = line(table, row=row, protocol="brain-v1", metric="psnr")
        assert found["mean"] == pytest.approx(own(row).mean())
        assert found["sd"] == pytest.approx(own(row).std(ddof=1))
        assert found["ci_low"] < found["mean"] < found["ci_high"]
        assert 7 < found["above_baseline"] < 11


def test_subjects_can_be_left_out():
    left = table_of(without=PEOPLE[1:3])
    assert set(left["subjects"].dropna()) == {5, 0}
    found = line(left, row="T1w", protocol="brain-v1", metric="psnr")
    assert found["mean"] == pytest.approx(own("T1w")[2:].mean())


def test_rows_are_compared_with_the_control_across_tasks():
    table = table_of()
    for row in ("T1w", "unet"):
        found = line(table, row=row, protocol="seed-v1", metric="psnr")
        expected = compare(own(row, "seed-v1"), own("both", "seed-v1"), 200, 0)
        assert found["difference"] == pytest.approx(expected.difference)
        assert found["wilcoxon_p"] == pytest.approx(expected.wilcoxon_p)
    assert np.isnan(line(table, row="both", protocol="seed-v1", metric="psnr")["difference"])


def test_holms_family_is_the_experiment_under_one_protocol():
    table = table_of()
    for protocol in ("brain-v1", "seed-v1"):
        part = table[(table["protocol"] == protocol) & table["difference"].notna()]
        assert len(part) == 4
        assert part["t_p_holm"].tolist() == pytest.approx(holm(part["t_p"].tolist()))


def test_published_numbers_stand_beside_the_protocol_they_follow():
    table = table_of()
    given = table.dropna(subset=["published_mean"])
    assert set(zip(given["protocol"], given["metric"], strict=True)) == {("seed-v1", "psnr")}
    assert line(given, row="T1w")["published_mean"] == 23.7
    assert line(given, row="both")["published_sd"] == 1.85
    assert "unet" not in set(given["row"])


def test_without_experiments_the_table_is_empty():
    table = experiment_table(values_of(), EvaluationSettings())
    assert table.empty
    assert tuple(table.columns) == COLUMNS


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"control": "three"}, "no row is named 'three'"),
        ({"rows": EXPERIMENT["rows"][:1]}, "at least 2"),
        ({"rows": [{"model": "gan", "task": ONE}, {"model": "gan", "task": TWO}]}, "a row twice"),
    ],
)
def test_unclear_experiments_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        table_of(**changes)
