"""Experiments on the page: what they show of our rows and say of the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossmod.evaluation_settings import ExperimentSettings
from crossmod.report.experiments import ExperimentView, experiment_views
from crossmod.report.inputs import StudyFiles
from crossmod.report.page import write_report
from crossmod.report.request import ReportRequest
from crossmod.report.tables import metric_of
from crossmod.report.verdicts import sentences, verdict
from tests.unit.report_study import Shape, make_study

NAN = float("nan")
SHAPE = Shape(experiments=True, volume=(24, 28, 16))


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> ReportRequest:
    return make_study(tmp_path_factory.mktemp("experiments"), SHAPE)


@pytest.fixture(scope="module")
def view(request_: ReportRequest) -> ExperimentView:
    return experiment_views(StudyFiles(request_))[0]


def test_rows_are_those_of_the_table(view: ExperimentView, request_: ReportRequest) -> None:
    table = StudyFiles(request_).experiments
    psnr = table[(table["protocol"] == "brain-v1") & (table["metric"] == "psnr")]
    assert [row.cells[0].mean for row in view.rows] == [f"{m:.2f}" for m in psnr["mean"]]
    assert view.subjects == psnr["subjects"].iloc[0] > 0
    assert [row.control for row in view.rows] == [True, False, False]
    assert all(float(row.above) > 3 for row in view.rows)  # the brain mean is far below


def test_published_numbers_are_printed_as_they_were(view: ExperimentView) -> None:
    assert [metric.id for metric in view.published] == ["psnr", "ssim"]
    assert [cell.mean for cell in view.rows[0].published] == ["26", "0.9"]
    assert [cell.mean for cell in view.rows[2].published] == ["", ""]


def test_says_what_the_test_cannot_tell(view: ExperimentView) -> None:
    about = [sentence for sentence in view.sentences if sentence.startswith("pix2pix against")]
    assert len(about) == 1
    assert "PSNR published +1.00 dB" in about[0]
    # Seven subjects and four comparisons: the interval leaves 0 out, Holm does not.
    assert "the other direction, but not distinguishable" in about[0]


def test_marks_trainings_that_saw_far_fewer_slices(view: ExperimentView) -> None:
    # 30 epochs of 40 steps of 4 slices; a null model is not trained.
    assert [row.undertrained for row in view.rows] == [True, True, False]
    assert "4,800 slices seen, 2,016,000 in the publication" in view.sentences[-1]


def test_images_of_one_subject_by_every_row(view: ExperimentView) -> None:
    assert view.strip is not None
    assert [made.model for made in view.strip.made] == [row.name for row in view.rows]
    assert all(made.error is not None and made.score for made in view.strip.made)
    assert [name for name, _ in view.strip.acquired] == [
        *("T1w, source", "T2w, source"),
        "FLAIR, acquired",
    ]


@pytest.mark.parametrize(
    ("published", "difference", "words"),
    [
        (1.0, (0.5, 0.2, 0.8, 0.01), ": reproduced in direction."),
        (1.0, (-0.5, -0.8, -0.2, 0.01), ": not reproduced"),
        (1.0, (0.1, -0.3, 0.5, 0.6), "the same direction, but not distinguishable"),
        (-1.0, (0.1, -0.3, 0.5, 0.6), "the other direction, but not distinguishable"),
        # An interval alone decides nothing: Holm's p does, as for the stars of the table.
        (1.0, (-0.5, -0.8, -0.2, 0.2), "no difference (p = 0.200 after Holm)"),
        # Without a test the interval speaks, and nothing claims that one was made.
        (1.0, (0.5, 0.2, 0.8, NAN), ": the same direction and the interval leaves 0 out (no test"),
        (-1.0, (0.5, -0.2, 0.8, NAN), "direction and the interval includes 0 (no test below 6 sub"),
        (1.0, (0.5, NAN, NAN, NAN), ": the same direction (no test below 6 subjects)"),
        (0.0, (0.5, 0.2, 0.8, NAN), ": no published direction and the interval leaves 0 out"),
        (0.0, (0.5, 0.2, 0.8, 0.01), ": a difference where none is published"),
    ],
)
def test_verdicts(published: float, difference: tuple[float, ...], words: str) -> None:
    keys = ("difference", "difference_low", "difference_high", "wilcoxon_p_holm")
    line: dict[str, Any] = dict(zip(keys, difference, strict=True))
    assert words in f"{verdict(metric_of('psnr'), published, line)}."


def line_of(subjects: int, above: float = NAN) -> dict[str, Any]:
    return {
        "subjects": subjects,
        "difference": -0.02,
        "difference_low": -0.03,
        "difference_high": -0.01,
        "wilcoxon_p": 0.01,
        "wilcoxon_p_holm": 0.04,
        "above_baseline": above,
    }


def test_every_published_metric_has_its_verdict() -> None:
    published = [
        {"ssim": (0.8, 0.1), "nrmse": (0.3, 0.1)},
        {"ssim": (0.9, 0.1), "nrmse": (0.2, 0.1)},
    ]
    rows = [{"model": m, "task": "t", "published": p} for m, p in zip("ab", published, strict=True)]
    two = ExperimentSettings.model_validate({"title": "T", "rows": rows, "control": "a"})
    lines = {("b", "seed-v1", metric): line_of(15) for metric in ("ssim", "nrmse")}
    (said,) = sentences(two, lines, {})
    assert said.startswith("b against a: SSIM published +0.100, here \u22120.020")
    assert "not reproduced: the direction is opposite; NRMSE published \u22120.100" in said
    assert said.endswith("reproduced in direction.")


@pytest.mark.parametrize(("subjects", "comparisons", "told"), [(8, 27, 1), (8, 6, 0), (15, 45, 0)])
def test_says_where_no_test_could_show_a_difference(
    subjects: int, comparisons: int, told: int
) -> None:
    rows = [{"model": "a", "task": "t"}, {"model": "b", "task": "t"}]
    two = ExperimentSettings.model_validate({"title": "T", "rows": rows, "control": "a"})
    lines = {("b", "brain-v1", f"{i}"): line_of(subjects) for i in range(comparisons)}
    said = sentences(two, lines, {})
    assert len(said) == told
    for sentence in said:
        assert "with 8 subjects and 27 comparisons the least p after Holm is 0.21" in sentence


@pytest.mark.parametrize(
    ("margin", "words"), [(0.2, "b is equal to a within ±0.2 dB"), (0.025, "b is not shown to be")]
)
def test_tells_which_rows_are_equal_within_a_margin(margin: float, words: str) -> None:
    rows = [{"model": "a", "task": "t"}, {"model": "b", "task": "t"}]
    content = {"title": "T", "rows": rows, "control": "a", "margin": margin}
    two = ExperimentSettings.model_validate(content)
    (said,) = sentences(two, {("b", "brain-v1", "psnr"): line_of(15)}, {})
    assert said.startswith(words)
    assert said.endswith("\u22120.02 dB (95 % CI \u22120.03 to \u22120.01).")


def test_tells_the_height_above_the_baseline(view: ExperimentView) -> None:
    (said,) = [sentence for sentence in view.sentences if sentence.startswith("Above brain-mean")]
    heights = sorted(float(row.above) for row in view.rows)
    assert f": {heights[0]:+.2f} to {heights[-1]:+.2f} dB" in said
    assert f"{view.rows[0].name} {float(view.rows[0].above):+.2f} dB" in said
    assert said.endswith("The published rows span 1.00 dB.")


def test_page_shows_and_escapes_them(request_: ReportRequest) -> None:
    write_report(request_)
    page = request_.output.read_text(encoding="utf-8")
    assert page.count('id="experiments"') == 1
    assert 'href="#experiments"' in page
    assert "<script>alert" not in page
    assert "U-Net &lt;script&gt;" in page


def test_a_study_without_experiments_has_no_such_section(tmp_path: Path) -> None:
    request = make_study(tmp_path, Shape(volume=(24, 28, 16), figures=False))
    write_report(request)
    assert 'id="experiments"' not in request.output.read_text(encoding="utf-8")
