"""The page: self-contained, escaped, the same twice, and saying what the tables say."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from crossmod.errors import InputError
from crossmod.report.inputs import StudyFiles
from crossmod.report.page import _ends, write_report
from crossmod.report.pictures import Gallery, gallery
from crossmod.report.request import ReportRequest
from crossmod.report.tables import metric_of
from tests.unit.report_study import NULLS, Shape, make_study

SMALL = (24, 28, 16)


class Page(HTMLParser):
    """Tags, addresses and visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.rows: list[tuple[str, list[str]]] = []
        self.bold: list[str] = []
        self._body, self._open = "", [""]
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.tags.append(tag)
        self.addresses += [str(given[name]) for name in ("src", "href", "data") if name in given]
        if tag == "tbody":
            self._body = str(given.get("class"))
        if tag == "tr":
            self.rows.append((self._body, []))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and self.rows and self._open[-1] in ("td", "th", "strong"):
            self.rows[-1][1].append(data.strip())
            self.bold += [data] if self._open[-1] == "strong" else []


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> ReportRequest:
    request = make_study(tmp_path_factory.mktemp("study"), Shape(volume=SMALL))
    write_report(request)
    return request


@pytest.fixture(scope="module")
def text(request_: ReportRequest) -> str:
    return request_.output.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_needs_nothing_from_outside(text: str, page: Page) -> None:
    images = [a for a in page.addresses if a.startswith("data:image/")]
    assert len(images) > 4 * 3
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    assert "http://" not in text
    assert "https://" not in text
    assert not {"link", "iframe", "object", "form"} & set(page.tags)
    assert "url(" not in text
    assert len(text) < 6e6


def test_its_policy_allows_its_own_script_alone(text: str, page: Page) -> None:
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[0]
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert page.tags.count("script") == 1


def test_every_link_has_its_target(text: str, page: Page) -> None:
    targets = [a[1:] for a in page.addresses if a.startswith("#")]
    assert len(targets) >= 5
    assert set(targets) <= set(re.findall(r'id="([^"]+)"', text))


def test_escapes_what_came_from_outside(text: str) -> None:
    assert text.count("<script") == 1
    assert text.count("&lt;script&gt;alert(") >= 3
    assert "T2w &lt;demo&gt;" in text


def test_names_no_place_on_this_machine(text: str, request_: ReportRequest) -> None:
    root = request_.output.parents[3]
    assert str(root) not in text
    assert ".../raw" in text


def test_same_files_give_the_same_bytes(text: str, request_: ReportRequest) -> None:
    again = replace(request_, output=request_.output.with_name("again.html"))
    write_report(again)
    assert again.output.read_text(encoding="utf-8") == text


def test_run_times_alone_depend_on_the_run(text: str, request_: ReportRequest) -> None:
    times = request_.benchmarks["train"][0]
    slower = times.with_name("slower.tsv")
    slower.write_text(times.read_text().replace("131.2", "999.0"))
    benchmarks = {**request_.benchmarks, "train": (slower,)}
    again = replace(request_, output=request_.output.with_name("slow.html"), benchmarks=benchmarks)
    write_report(again)
    other = again.output.read_text(encoding="utf-8").splitlines()
    differing = [(a, b) for a, b in zip(text.splitlines(), other, strict=True) if a != b]
    assert len(differing) == 1
    assert '<th scope="row">train</th>' in differing[0][0]
    assert "999.0 s" in differing[0][1]


def test_run_times_survive_what_snakemake_could_not_measure(page: Page) -> None:
    rows = {cells[0]: cells for _, cells in page.rows if cells}
    assert rows["preprocess"][1:] == ["3", "34.5 s", "11.5 s", "11.5 s", "902 MB"]


def test_headline_is_the_summary(page: Page, request_: ReportRequest) -> None:
    summary = StudyFiles(request_).summary
    chosen = summary[(summary["protocol"] == "brain-v1") & (summary["region"] == "brain")]
    chosen = chosen[(chosen["role"] == "test") & (chosen["variant"] == "")]
    psnr = chosen[chosen["metric"] == "psnr"].set_index("model")["mean"]
    assert len(psnr) == 6
    # The first table wins: rows are laid over each other from the end.
    first = {cells[0]: (body, cells) for body, cells in reversed(page.rows) if len(cells) > 6}
    for model, mean in psnr.items():
        body, cells = first[model]
        assert metric_of("psnr").value(mean) in " ".join(cells).split()
        assert body == ("nulls" if model in NULLS else "trained")
    assert metric_of("psnr").value(psnr.max()) == page.bold[0]
    assert any(body == "changed" and "shifted" in cells[0] for body, cells in page.rows if cells)


def test_every_score_table_names_its_protocol(text: str, page: Page) -> None:
    captions = re.findall(r"<caption>(.*?)</caption>", text, flags=re.DOTALL)
    assert len(captions) == 6
    assert all("rotocol <code>" in caption for caption in captions)


def test_says_what_was_left_out_and_why(page: Page) -> None:
    rows = {tuple(cells) for _, cells in page.rows}
    assert ("sub-04 T2w", "empty file") in rows
    assert ("T2w of sub-14", "no task makes T2w") in rows
    assert ("sub-98", "no scan in the folder") in rows
    assert ("sub-02", "no acquired FLAIR") in rows
    failed = [cells for _, cells in page.rows if cells[:1] == ["sub-03"]]
    assert [cells[1] for cells in failed] == ["preprocess"]


def test_chart_marks_every_state(text: str) -> None:
    titles = re.findall(r"<g><title>(.*?)</title>", text)
    assert len(titles) == 14 * 3
    assert "04 T2w: excluded (empty file)" in titles
    assert "02 FLAIR: missing, synthesized (no file)" in titles
    assert sum("failed on the way" in title for title in titles) == 3
    assert sum(title.endswith(": present") for title in titles) == 14 * 3 - 5


def _pixels(uri: str) -> np.ndarray:
    from PIL import Image

    content = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def shown(request_: ReportRequest) -> Gallery:
    study = StudyFiles(request_)
    found = gallery(study, study.tasks[0])
    assert found is not None
    return found


def test_shows_best_median_worst_and_external(shown: Gallery) -> None:
    why = [panel.why for panel in shown.panels]
    assert why == [f"{w} test subject" for w in ("best", "median", "worst")] + ["external subject"]
    assert len({panel.session for panel in shown.panels}) == 4
    assert all(len(panel.made) == 6 for panel in shown.panels)


def test_slices_are_upright_with_left_on_the_left(shown: Gallery) -> None:
    name, picture = shown.panels[0].acquired[-1]
    assert name == "FLAIR, acquired"
    # The lesion, brightest on FLAIR, is right and frontal.
    rows, columns = np.nonzero(_pixels(picture.uri)[..., 0] > 225)
    height, width = _pixels(picture.uri).shape[:2]
    assert rows.mean() < height / 2
    assert columns.mean() > width / 2
    assert picture.width == 150


def test_error_maps_are_signed_and_share_a_scale(shown: Gallery) -> None:
    # Every synthetic image is 0.03 too bright on average: more red than blue.
    best = next(m for m in shown.panels[0].made if m.model == "unet")
    assert best.error is not None
    pixels = _pixels(best.error.uri)
    assert pixels[..., 0].sum() > pixels[..., 2].sum()
    assert (pixels[0, 0] == 255).all()
    assert 0.1 <= shown.limit <= 1


def test_shown_score_is_that_of_the_image(shown: Gallery, request_: ReportRequest) -> None:
    scores = StudyFiles(request_).scores
    panel = shown.panels[0]
    mine = scores[(scores["session"] == panel.session) & (scores["model"] == "unet")]
    mine = mine[(mine["metric"] == "psnr") & (mine["region"] == "brain") & (mine["variant"] == "")]
    value = mine.loc[mine["protocol"] == "brain-v1", "value"].item()
    assert next(m.score for m in panel.made if m.model == "unet") == f"{value:.2f} dB"


def test_a_missing_table_is_one_clear_line(request_: ReportRequest, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.tsv: does not exist; run the stage"):
        write_report(replace(request_, tables=tmp_path))


PLAIN = {"faults": False, "figures": False, "volume": SMALL}
TWO_TASKS = ((("T1w", "T2w"), "FLAIR"), (("T1w",), "T2w"))
STUDIES = {
    "no lesions, few subjects": (
        Shape(subjects=6, tested=4, lesions=False, external=False, **PLAIN),
        ["No scored session has a lesion mask", "No test is printed", "No session failed"],
    ),
    "null models only": (
        Shape(subjects=8, tested=6, gradient=(), external=False, **PLAIN),
        ["No model of this task is trained by epochs", "There are no quality-control pictures"],
    ),
    "one test subject": (
        Shape(subjects=3, tested=1, external=False, nulls=("brain-mean",), **PLAIN),
        ["for 1 test subject kept", "No test is printed: with 1 subject", "only test subject"],
    ),
    "tasks, folds and seeds": (
        Shape(subjects=7, gradient=("unet",), nulls=("linear",), tasks=TWO_TASKS, seeds=(0, 1),
              folds=2, **PLAIN),
        ["cross-validation with 2 folds", "2 seeds (0, 1)", "f1 test in fold 1", "seeds ± ",
         'id="task-2"'],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STUDIES)
def test_other_studies(name: str, tmp_path: Path) -> None:
    shape, sayings = STUDIES[name]
    request = make_study(tmp_path, shape)
    write_report(request)
    text = request.output.read_text(encoding="utf-8")
    for saying in sayings:
        assert saying in text
    assert ">nan<" not in text
    assert "None" not in re.sub(r"base64,[^\"]*", "", text)


def test_nothing_scored_is_said(tmp_path: Path) -> None:
    shape = Shape(subjects=3, tested=1, external=False, nulls=("linear",), **PLAIN)
    request = make_study(tmp_path, shape)
    for table in request.tables.glob("*.tsv"):
        table.write_text(table.read_text().splitlines()[0] + "\n")
    write_report(request)
    text = request.output.read_text(encoding="utf-8")
    assert "Nothing was scored for this task" in text
    assert "There is nothing to compare." in text


def test_tells_what_is_black_and_white(text: str) -> None:
    assert "percentiles 0.5 and 99.5 inside the brain are shown as black and white" in text
    assert _ends({"preprocess": {"intensity": "maximum"}}) == "zero and maximum"
