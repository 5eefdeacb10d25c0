"""Numbers as text: rounding, signs, best rows, p values, the choice of subjects, the headline."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from crossmod.report.headline import headline, summary_sentences
from crossmod.report.inputs import Task, role_of
from crossmod.report.pictures import choose
from crossmod.report.request import Endpoint, Model, RunFiles, models_of
from crossmod.report.tables import (
    Selection,
    comparison_rows,
    metric_of,
    note_on_tests,
    ordered_metrics,
    p_value,
    score_table,
    variant_name,
)
from crossmod.text import listed

MODELS = (Model("unet", "unet", False), Model("linear", "linear-regression", True))
TASK = Task("T1w-to-T2w", ("T1w",), "T2w")
ENDPOINT = Endpoint("unet")


def line(model: str, metric: str, mean: float, **changes: Any) -> dict[str, Any]:
    cell = {"task": TASK.id, "model": model, "variant": "", "role": "test", "region": "brain"}
    cell |= {"protocol": "brain-v1", "metric": metric, "subjects": 8, "mean": mean, "sd": 0.5}
    return {**cell, "ci_low": mean - 0.3, "ci_high": mean + 0.3, "seed_sd": math.nan, **changes}


def compared(**changes: Any) -> dict[str, Any]:
    row = {"task": TASK.id, "model": "unet", "control": "linear", "region": "brain"}
    row |= {"protocol": "brain-v1", "metric": "psnr", "subjects": 8, "difference": 2.0}
    row |= {"ci_low": 1.5, "ci_high": 2.5, "t_p": 0.0001, "wilcoxon_p": 0.008, "t_p_holm": 0.0004}
    return {**row, "wilcoxon_p_holm": 0.02, "effect_size": 2.1, "primary": True, **changes}


def sentences(rows: list[dict[str, Any]], comparison: dict[str, Any]) -> str:
    tables = (pd.DataFrame(rows), pd.DataFrame([comparison]))
    return " ".join(summary_sentences(*tables, MODELS, TASK, ENDPOINT))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("psnr", 24.336, "24.34"), ("ssim", 0.8666, "0.867"), ("mae", 0.04261, "0.0426"),
     ("psnr", -1.5, "\u22121.50"), ("psnr", math.nan, "n/a"), ("ms-ssim-3", 0.5, "0.500")],
)  # fmt: skip
def test_values(name: str, value: float, text: str) -> None:
    assert metric_of(name).value(value) == text


def test_metrics_have_an_order_and_a_direction() -> None:
    names = ["ms-ssim-5", "mae", "psnr", "nrmse", "ssim", "new"]
    assert [m.id for m in ordered_metrics(names)] == [
        *("psnr", "ssim", "nrmse", "mae", "ms-ssim-5", "new")
    ]
    assert [metric_of(n).arrow for n in ("psnr", "mae")] == ["↑", "↓"]
    assert metric_of("ms-ssim-1").name == "MS-SSIM (1 scale)"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0009, "< 0.001"), (0.001, "0.001"), (1.0, "1.000"), (math.nan, "n/a")]
)
def test_p_values(p: float, text: str) -> None:
    assert p_value(p) == text


def test_best_is_marked_in_each_column_whatever_the_kind() -> None:
    rows = [line("unet", "psnr", 24.001), line("linear", "psnr", 24.004)]
    rows += [line("unet", "mae", 0.05), line("linear", "mae", 0.04)]
    rows += [line("unet", "mae", 0.01, variant="blur-1")]
    table = score_table(pd.DataFrame(rows), MODELS, Selection(TASK.id))
    assert table is not None
    assert [g.name.split()[0] for g in table.groups] == ["Trained", "Null", "Sensitivity:"]
    # Equal as printed is a tie, and a changed image never wins.
    marks = [[cell.best for cell in row.cells] for group in table.groups for row in group.rows]
    assert marks == [[True, False], [True, True], [False, False]]


def test_cells_with_fewer_subjects_say_so() -> None:
    rows = [line("unet", "psnr", 24.0), line("unet", "ssim", 0.8, subjects=5)]
    table = score_table(pd.DataFrame(rows), MODELS, Selection(TASK.id))
    assert table is not None
    (row,) = table.groups[0].rows
    assert [cell.subjects for cell in row.cells] == ["", "n = 5"]
    assert table.subjects == 8


def test_no_scores_no_table() -> None:
    table = pd.DataFrame([line("unet", "psnr", 24.0)])
    assert score_table(table, MODELS, Selection(TASK.id, "seed-v1")) is None


def test_variants_in_words() -> None:
    assert variant_name("unet", "shift-1") == "unet, shifted by 1 voxel"
    assert variant_name("unet", "scale-0.9") == "unet, intensities \u00d7 0.9"
    assert variant_name("unet", "odd-2") == "unet, odd-2"


def test_interval_favors_by_the_metrics_direction() -> None:
    rows = [compared(), compared(metric="mae", primary=False)]
    rows += [compared(metric="mae", ci_low=-0.2, ci_high=-0.1, primary=False)]
    rows += [compared(ci_low=-0.1, ci_high=0.4, primary=False)]
    found = comparison_rows(pd.DataFrame(rows), TASK.id)
    assert [row.favors for row in found] == ["unet", "linear", "unet", "neither"]


def test_below_six_subjects_no_test_is_printed() -> None:
    (row,) = comparison_rows(pd.DataFrame([compared(subjects=5)]), TASK.id)
    assert (row.t_p, row.wilcoxon_p) == ("n/a", "n/a")
    assert "with 5 subjects there are fewer than 6" in note_on_tests([row])
    (row,) = comparison_rows(pd.DataFrame([compared(subjects=6)]), TASK.id)
    assert row.t_p == "< 0.001"
    assert note_on_tests([row]) == ""


def test_primary_comparison_comes_first() -> None:
    rows = [compared(metric="ssim", primary=False), compared()]
    assert [r.primary for r in comparison_rows(pd.DataFrame(rows), TASK.id)] == [True, False]


ROWS = [line("unet", "psnr", 24.0), line("linear", "psnr", 22.0)]


@pytest.mark.parametrize(
    ("changes", "saying"),
    [
        ({}, "the difference is significant (p of this one"),
        ({"wilcoxon_p": 0.2}, "is significant by the paired t test alone"),
        ({"wilcoxon_p": 0.2, "t_p": 0.05}, "is not significant"),
        ({"difference": -2.0, "ci_low": -2.5, "ci_high": -1.5}, "is significant, against the"),
        ({"difference": -2.0, "ci_low": -2.5, "ci_high": -1.5}, "unet is 2.00 dB worse"),
        ({"subjects": 5}, "No test is printed below 6 subjects."),
        ({"t_p": math.nan, "wilcoxon_p": math.nan}, "No test is printed"),
        ({}, "unet is 2.00 dB better (mean difference +2.00 dB, 95 % CI +1.50 to +2.50, 8 sub"),
        ({}, "T2w was synthesized from T1w for 8 test subjects kept out of training, by 1 trained"),
        (
            {"primary": False},
            "The primary endpoint named beforehand (PSNR, brain, brain-v1) has no",
        ),
    ],
)
def test_summary_in_words(changes: dict[str, Any], saying: str) -> None:
    assert saying in sentences(ROWS, compared(**changes))


def test_lower_is_better_for_errors() -> None:
    rows = [line("unet", "mae", 0.04), line("linear", "mae", 0.05)]
    changes = {"metric": "mae", "difference": -0.01, "ci_low": -0.012, "ci_high": -0.008}
    tables = (pd.DataFrame(rows), pd.DataFrame([compared(**changes)]))
    text = " ".join(summary_sentences(*tables, MODELS, TASK, Endpoint("unet", "mae")))
    assert "unet is 0.0100 better" in text
    assert "unet has the best mean MAE (0.0400)" in text


def test_a_null_that_wins_is_named() -> None:
    rows = [line("unet", "psnr", 20.0), line("linear", "psnr", 22.0)]
    changes = {"difference": -2.0, "ci_low": -2.5, "ci_high": -1.5}
    assert "linear has the best mean PSNR (22.00 dB)" in sentences(rows, compared(**changes))


def test_headline_for_the_terminal() -> None:
    rows = [*ROWS, line("unet", "ssim", 0.9), line("linear", "ssim", 0.95)]
    rows += [line("unet", "psnr", 22.5, variant="shift-1")]
    tables = (pd.DataFrame(rows), pd.DataFrame([compared()]))
    lines = headline(*tables, MODELS, (TASK,), ENDPOINT).splitlines()
    assert lines[0] == "T2w from T1w: 8 test subjects, brain, brain-v1"
    assert lines[1].split() == ["model", "PSNR", "dB", "SSIM"]
    assert lines[3].split() == ["unet", "24.00", "±", "0.50*", "0.900", "±", "0.500"]
    assert lines[5].split() == ["linear", "22.00", "±", "0.50", "0.950", "±", "0.500*"]
    assert lines[6] == "sensitivity"
    assert lines[7].split("  ")[1:3] == ["unet, shifted by 1 voxel", "22.50 ± 0.50"]
    # Numbers end in one column, the mark of the best after them.
    assert len({row.index("±") for row in (lines[3], lines[5], lines[7])}) == 1
    assert lines[8] == "* best of the column, whatever the tests say"
    assert lines[9].startswith("Primary endpoint, named before the results were seen")


def test_headline_without_scores() -> None:
    tables = (pd.DataFrame([line("unet", "psnr", 24.0, task="other")]), pd.DataFrame([compared()]))
    assert headline(*tables, MODELS, (TASK,), ENDPOINT) == "T2w from T1w: nothing was scored"


def test_choice_of_subjects() -> None:
    values = pd.Series({"a": 5.0, "b": 1.0, "c": 3.0, "d": 4.0, "e": 2.0, "x": 9.0, "y": math.nan})
    chosen = choose(values, {"x", "y"}, up=True, number=4)
    assert [(c.participant, c.why) for c in chosen] == [
        ("a", "best test subject"),
        ("c", "median test subject"),
        ("b", "worst test subject"),
        ("x", "external subject"),
    ]
    assert [c.participant for c in choose(values, {"x"}, up=False, number=4)] == list("bcax")
    assert [c.participant for c in choose(values, set(), up=True, number=1)] == ["d"]
    assert choose(values, {"x"}, up=True, number=0) == []


def test_choice_from_few() -> None:
    values = pd.Series({"a": 5.0, "b": 1.0})
    assert [c.participant for c in choose(values, set(), up=True, number=4)] == ["a", "b"]
    assert choose(values[:1], set(), up=True, number=4)[0].why == "only test subject"
    assert choose(values[:0], set(), up=True, number=4) == []


def test_models_keep_their_order_with_nulls_last() -> None:
    names = [("mean", True), ("unet", False), ("mean", True), ("gan", False)]
    runs = tuple(RunFiles("t", ("T1w",), "T2w", n, n, null, 0, 0) for n, null in names)
    assert [model.name for model in models_of(runs)] == ["unet", "gan", "mean"]


def test_endpoint_of_settings() -> None:
    given = {"evaluation": {"primary": {"model": None, "metric": "ssim", "control": "linear"}}}
    assert Endpoint.of(given, "unet") == Endpoint("unet", "ssim", control="linear")
    assert Endpoint.of({}, "unet") == Endpoint("unet")


def test_small_words() -> None:
    assert [listed(n) for n in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]
    assert role_of({}) == "unused"
    assert role_of({0: "train"}) == "train"
    assert role_of({0: "train", 1: "test"}) == "test in fold 1"
    assert role_of({0: "external", 1: "external"}) == "external"
