"""Parts of the page on their own: explanations, paired differences, costs, hostile names."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crossmod.files import read_rows, write_rows
from crossmod.report.costs import cost_rows, duration
from crossmod.report.explanations import null_sentences, sensitivity_sentences
from crossmod.report.headline import key_numbers
from crossmod.report.inputs import StudyFiles, Task
from crossmod.report.page import write_report
from crossmod.report.paired import paired_plot, pairs_of
from crossmod.report.request import Endpoint, Model, ReportRequest, RunFiles
from tests.unit.report_study import Shape, make_study

TASK = Task("T1w+T2w-to-FLAIR", ("T1w", "T2w"), "FLAIR")
ENDPOINT = Endpoint("unet")
HOSTILE = "sub-<img src=x onerror=alert(1)>\"'&"


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> ReportRequest:
    return make_study(tmp_path_factory.mktemp("study"), Shape(volume=(24, 28, 16), figures=False))


def summary_line(variant: str, mean: float, metric: str = "psnr") -> dict[str, Any]:
    cell = {"task": TASK.id, "model": "unet", "variant": variant, "role": "test"}
    return {**cell, "region": "brain", "protocol": "brain-v1", "metric": metric, "mean": mean}


@pytest.mark.parametrize(
    "metric, changed, said",
    [("psnr", 18.5, "costs 1.50 dB"), ("psnr", 20.25, "gains 0.25 dB"), ("mae", 20.1, "costs 0.1")],
)
def test_a_sensitivity_row_says_what_it_costs(metric: str, changed: float, said: str) -> None:
    table = pd.DataFrame([summary_line("", 20.0, metric), summary_line("shift-1", changed, metric)])
    rows = sensitivity_sentences(table, TASK.id, replace(ENDPOINT, metric=metric))
    assert [name for name, _ in rows] == ["unet, shifted by 1 voxel"]
    assert said in rows[0][1]
    assert "registration" in rows[0][1]


def test_every_null_is_explained_in_one_sentence() -> None:
    methods = ("brain-mean", "copy-source", "linear-regression", "another")
    models = [Model(f"null-{m}", m, True) for m in methods] + [Model("unet", "unet", False)]
    settings = {"models": {"null-copy-source": {"method": "copy-source", "source": "T2w"}}}
    rows = dict(null_sentences(models, settings, TASK))
    assert len(rows) == 4
    assert "own T2w" in rows["null-copy-source"]
    assert len(set(rows.values())) == 4
    settings["models"]["null-copy-source"]["resolution"] = "native"
    assert "full resolution" in dict(null_sentences(models, settings, TASK))["null-copy-source"]


def test_pairs_are_differences_of_the_scores(request_: ReportRequest) -> None:
    study = StudyFiles(request_)
    values = pd.DataFrame({"unet": [3.0, 5.0, math.nan], "linear": [1.0, 4.5, 2.0]})
    pairs = pairs_of(values, study.comparisons, TASK.id, study.endpoint)
    assert pairs[0].primary
    found = next(pair for pair in pairs if pair.name == "unet \u2212 linear")
    assert found.differences == [2.0, 0.5]
    picture = paired_plot(pairs, study.endpoint)
    assert picture is not None
    assert "unet \u2212 linear: mean +" in picture.alt
    assert paired_plot([], study.endpoint) is None


def test_key_numbers_are_those_of_the_primary_line(request_: ReportRequest) -> None:
    study = StudyFiles(request_)
    line = study.comparisons[study.comparisons["primary"]].iloc[0]
    numbers = key_numbers(study.summary, study.comparisons, TASK, study.endpoint)
    main = next(number for number in numbers if number.main)
    assert main.value == f"{line['difference']:+.2f}"
    assert numbers[-1].value == str(line["subjects"])
    assert key_numbers(study.summary, study.comparisons.iloc[:0], TASK, study.endpoint) == []


def test_costs_are_counted_and_measured(tmp_path: Path, request_: ReportRequest) -> None:
    files = []
    for number, (seconds, memory) in enumerate((("10", "500"), ("30", "700.4"))):
        files.append(tmp_path / f"{number}.tsv")
        write_rows(files[-1], ("s", "max_rss"), [{"s": seconds, "max_rss": memory}])
    counted = {"parameters": 1_040_000, "flops_per_slice": 10**8, "flops_per_training_slice": 0}
    runs = tuple(
        RunFiles(TASK.id, TASK.sources, TASK.target, "unet", "unet", False, 0, seed,
                 benchmark=file, cost=counted)
        for seed, file in enumerate(files)
    )  # fmt: skip
    row = cost_rows(replace(request_, runs=runs), TASK, [Model("unet", "unet", False)])[0]
    assert (row.runs, row.time, row.memory) == (2, "20.0 s", "700 MB")
    assert (row.parameters, row.flops_per_slice) == ("1.04 M", "0.10 GFLOP")
    assert row.flops_per_training_slice == "\u2013"
    assert [duration(s) for s in (3, 600, 36000)] == ["3.0 s", "10.0 min", "10.0 h"]


def test_hostile_names_stay_text(request_: ReportRequest, tmp_path: Path) -> None:
    index = tmp_path / "index"
    shutil.copytree(request_.index, index)
    for name in ("scans", "unserved"):
        rows = read_rows(index / f"{name}.tsv")
        more = {**rows[0], "session_key": HOSTILE, "reason": HOSTILE, "status": "excluded"}
        more |= {"participant_id": HOSTILE} if "participant_id" in rows[0] else {}
        write_rows(index / f"{name}.tsv", tuple(rows[0]), [*rows, more])
    hostile = replace(request_, index=index, title=HOSTILE, output=tmp_path / "index.html")
    write_report(hostile)
    for page in ("index", "overview"):
        text = (tmp_path / f"{page}.html").read_text(encoding="utf-8")
        assert "<img src=x" not in text
        assert "&lt;img src=x onerror=alert(1)&gt;&#34;&#39;&amp;" in text
