"""A study of 200 subjects: the page stays light, quick to write and legible."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from crossmod.evaluation.summary import SummaryRequest, summarize
from crossmod.evaluation_settings import EvaluationSettings
from crossmod.files import read_rows, write_rows, write_table
from crossmod.report.inputs import read_scores
from crossmod.report.page import write_report
from crossmod.report.request import ReportRequest
from tests.unit.report_study import NULLS, Shape, make_study

SUBJECTS = 200
TABLES = ("scores", "summary", "comparisons", "experiments")
MODELS = ("unet", "pix2pix", "brain-mean", "copy-t1w", "copy-t2w", "linear")


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> ReportRequest:
    """A study of a few heads whose tables speak of 200; the others lack images."""
    root = tmp_path_factory.mktemp("large")
    request = make_study(root, Shape(subjects=8, tested=6, volume=(24, 28, 16), external=False))
    people = [f"sub-x{number:03d}" for number in range(SUBJECTS - 8)]
    scores = read_scores(request.tables / "scores.tsv")
    pattern = scores[scores["participant"] == "sub-05"]
    more = []
    for number, person in enumerate(people):
        value = pattern["value"] * (1 + 0.05 * ((number * 37 % 101) / 50 - 1))
        more.append(pattern.assign(participant=person, session=person, value=value))
    write_table(root / "all.tsv", pd.concat([scores, *more]))
    _grow(
        request.index / "split.tsv",
        [{"participant_id": p, "fold": 0, "role": "test"} for p in people],
    )
    _grow_index(request, people)
    summarize(
        SummaryRequest(
            (root / "all.tsv",),
            EvaluationSettings(bootstrap=200),
            pd.read_csv(request.index / "split.tsv", sep="\t"),
            tuple((model, model in NULLS) for model in MODELS),
            *(request.tables / f"{name}.tsv" for name in TABLES),
            request.tables / "metrics.json",
        )
    )
    return request


def _grow(path: Path, more: list[dict[str, object]]) -> None:
    rows = read_rows(path)
    write_rows(path, tuple(rows[0]), [*rows, *more])


def _grow_index(request: ReportRequest, people: list[str]) -> None:
    scans, sessions = [], []
    for number, person in enumerate(people):
        row = {"participant_id": person, "session_key": person, "status": "present", "reason": ""}
        sessions.append({**row, "group": ""})
        for place, modality in enumerate(("T1w", "T2w", "FLAIR")):
            bad = place and number % 5 == place
            state = {"status": "excluded", "reason": f"{person} was cut short"} if bad else {}
            scans.append({**row, **state, "modality": modality, "path": "x.nii.gz"})
    _grow(request.index / "scans.tsv", scans)
    _grow(request.index / "sessions.tsv", sessions)


@pytest.fixture(scope="module")
def text(request_: ReportRequest) -> str:
    start = time.process_time()
    write_report(request_)
    # Measured: 5 s on a slow core, of which most is the charts' drawing.
    assert time.process_time() - start < 60
    return request_.output.read_text(encoding="utf-8")


def test_page_stays_light(text: str, request_: ReportRequest) -> None:
    assert len(text) < 4e6
    light = request_.output.with_name("overview.html").read_text(encoding="utf-8")
    # Chromium shows no page of more than 2 MB, in base64, inside Snakemake's report.
    assert len(light) * 4 / 3 < 2e6
    assert "<script" not in light
    assert "data-volume" not in light


def test_long_lists_are_folded(text: str) -> None:
    assert text.count("was cut short</td>") == 77
    assert "<summary>Show all 78</summary>" in text
    assert re.search(r"<summary>Every subject \(19\d\)</summary>", text)
    named = re.search(r"Scored, but not shown here: (\d+) subjects", text)
    assert named is not None
    assert int(named[1]) > 190
    unfolded = re.sub(r"<details.*?</details>", "", text, flags=re.DOTALL)
    assert unfolded.count("<tr") < 80


def test_sessions_are_told_by_pattern(text: str) -> None:
    assert "<p>200 sessions" in text
    assert text.count('<svg class="bar"') >= 3
    assert 'aria-label="Sessions by modality"' not in text


def test_more_subjects_are_shown_when_asked(request_: ReportRequest, tmp_path: Path) -> None:
    wide = replace(request_, output=tmp_path / "index.html", examples=1)
    write_report(wide)
    assert (tmp_path / "index.html").read_text(encoding="utf-8").count('class="subject"') <= 1
