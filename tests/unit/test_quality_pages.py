"""Pages of quality control: flags, links, one script of their own, the same twice."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from crossmod.files import write_json, write_rows
from crossmod.paths import PreprocessedPaths
from crossmod.preprocess.appearance import Appearance, _copies, _note
from crossmod.report.quality.measures import OF_SCAN, OF_SESSION, ON_GROUP_PAGE
from crossmod.report.quality.pages import QualityRequest, _moved, write_quality
from crossmod.report.quality.sessions import flags_of, read_session
from crossmod.status import Status, describe_outputs, read_status, write_status
from tests.unit.browser import BROWSER, WHY_SKIPPED, Browser
from tests.unit.report_study import HOSTILE

GOOD = {"brain_volume_ml": 1400.0, "template_overlap": 0.95}
SCANS = {
    "T1w": {"snr": 30.0, "cnr": 2.5, "residual_bias_percent": 2.0, "gray_levels": 900.0},
    "FLAIR": {"snr": 20.0, "edge_overlap": 0.93, "nmi_before": 1.05, "nmi_after": 1.15},
}


def write_session(root: Path, number: int, **changes: float) -> Path:
    """A preprocessed session; changes are named `FLAIR_snr`, or `brain_volume_ml`."""
    paths = PreprocessedPaths(root, f"sub-{number:02d}")
    session = {name: changes.get(name, value) for name, value in GOOD.items()}
    wobble = 1 + 0.01 * np.sin(number)
    scans = {
        m: {name: changes.get(f"{m}_{name}", wobble * value) for name, value in values.items()}
        for m, values in SCANS.items()
    }
    chart = {"low": 0.0, "high": 900.0, "counts": list(range(64))}
    histograms = {m: {"head": chart, "brain": {**chart, "high": 1.0}} for m in scans}
    write_json(paths.quality, {"session": session, "scans": scans, "histograms": histograms})
    made = {"quality": paths.quality, "figure": paths.figure}
    made |= {f"picture-{m}": paths.picture(m) for m in scans}  # type: ignore[arg-type]
    for name, path in list(made.items())[1:]:
        path.parent.mkdir(exist_ok=True)
        size = (60, 30) if name == "figure" else (120, 40)
        Pillow.new("RGB", size, (number, 90, 90)).save(path)
    raw = {"name": HOSTILE, "shape": [64, 64, 40], "affine": np.diag([2, 2, 3, 1]).tolist()}
    details = {
        "space": "T1w",
        "reference": "T1w",
        "normalizers": {m: {"low": 10.0, "high": 800.0} for m in scans},
        "affines": {m: np.eye(4).tolist() for m in scans},
        "raw": dict.fromkeys(scans, raw),
        "notes": [f"T2w left out: {root}/raw/x.nii.gz {HOSTILE}"] if number == 2 else [],
    }
    outputs = describe_outputs(paths.status, made)
    write_status(paths.status, Status("preprocess", paths.key, "ok", "", outputs, details))
    return paths.status


def write_failed(root: Path, number: int) -> Path:
    paths = PreprocessedPaths(root, f"sub-{number:02d}")
    reason = f"{root}/raw/{paths.key}_T1w.nii.gz: is empty {HOSTILE}"
    write_status(paths.status, Status("preprocess", paths.key, "failed", reason))
    return paths.status


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> QualityRequest:
    """Twelve sessions: one whose FLAIR is off, one with a scan left out, a noisy one, a failure."""
    root = tmp_path_factory.mktemp("quality")
    files = [write_session(root, number) for number in (1, 2, *range(5, 13))]
    files += [write_session(root, 3, FLAIR_edge_overlap=0.41), write_session(root, 4, FLAIR_snr=12)]
    files.append(write_failed(root, 13))
    sessions = root / "sessions.tsv"
    columns = ("session_key", "status", "reason")
    rows = [{"session_key": "sub-14", "status": "excluded", "reason": f"moved {HOSTILE}"}]
    write_rows(sessions, columns, [{"session_key": "sub-01", "status": "present"}, *rows])
    request = QualityRequest(tuple(files), root / "quality", f"Study {HOSTILE}", sessions, root)
    write_quality(request)
    return request


def page(request: QualityRequest, name: str = "index") -> str:
    return (request.output / f"{name}.html").read_text(encoding="utf-8")


def test_flags_are_limits_outliers_and_what_was_left_out(request_: QualityRequest) -> None:
    flags = flags_of([read_session(path) for path in request_.preprocessed])
    flagged = {key: found for key, found in flags.items() if found}
    assert sorted(flagged) == ["sub-02", "sub-03", "sub-04", "sub-13"]
    (off,), (noisy,) = flagged["sub-03"], flagged["sub-04"]
    assert (off.modality, off.measure) == ("FLAIR", "edge_overlap")
    assert (
        off.reason
        == "Edge overlap 0.41, below 0.75: the registration or the brain mask may have failed"
    )
    assert (noisy.modality, noisy.measure) == ("FLAIR", "snr")
    assert noisy.reason.startswith("SNR 12.0 is an outlier among 12 (median ")
    assert flagged["sub-02"][0].reason.startswith("T2w left out: ")
    assert "is empty" in flagged["sub-13"][0].reason


def test_few_sessions_have_no_outliers_and_better_is_none(tmp_path: Path) -> None:
    files = [write_session(tmp_path, number) for number in range(5, 13)]
    files.append(write_session(tmp_path, 4, FLAIR_snr=12))
    assert not any(flags_of([read_session(path) for path in files]).values())
    files += [write_session(tmp_path, 3, T1w_snr=90), write_session(tmp_path, 14)]
    flagged = flags_of([read_session(path) for path in files])
    assert [key for key, found in flagged.items() if found] == ["sub-04"]


def test_doubts_about_what_scans_show_are_flags(tmp_path: Path) -> None:
    kinds = {
        "FLAIR": Appearance("looks like another", ("T2w",)),
        "CT": Appearance("looks like another"),
    }
    notes = [_note(name, appearance) for name, appearance in kinds.items()]
    notes += _copies({"T1w": np.arange(9.0), "T2w": np.arange(9.0)})
    path = write_session(tmp_path, 1)
    status = read_status(path)
    status.details["notes"] = [*notes, "FLAIR covers 99.9 % of the brain"]
    write_status(path, status)
    assert [flag.reason for flag in flags_of([read_session(path)])["sub-01"]] == notes
    assert len(notes) == 3


@pytest.mark.parametrize(
    "change, said",
    [
        ({"brain_volume_ml": 700}, "Brain volume 700 ml, below 900"),
        ({"brain_volume_ml": 2100}, "Brain volume 2100 ml, above 2000"),
        ({"template_overlap": 0.8}, "Template overlap 0.800, below 0.88"),
        ({"T1w_residual_bias_percent": 14}, "Residual bias 14.0 %, above 10"),
        ({"T1w_gray_levels": 64}, "Gray levels 64, below 65"),
        ({"T1w_snr": 4}, "SNR 4.0, below 5"),
    ],
)
def test_limits_hold_for_a_single_session(tmp_path: Path, change: dict, said: str) -> None:
    session = read_session(write_session(tmp_path, 1, **change))
    (flag,) = flags_of([session])["sub-01"]
    assert flag.reason.startswith(said)


def test_table_has_flagged_sessions_first_and_every_session_a_page(
    request_: QualityRequest,
) -> None:
    text = page(request_)
    keys = re.findall(r'<tr data-key="(sub-\d+)"', text)
    assert keys == ["sub-02", "sub-03", "sub-04", "sub-01", *(f"sub-{n:02d}" for n in range(5, 13))]
    links = set(re.findall(r'href="(sub-[^"]+)"', text))
    assert links == {path.name for path in request_.output.glob("sub-*.html")}
    assert len(links) == 12
    columns = re.findall(r'<th scope="col"[^>]*aria-sort="(\w+)"', text)
    assert columns[1] == "descending"
    assert len(columns) == 2 + len(GOOD) + 3 + 3  # measures of each scan that ON_GROUP_PAGE has
    cells = [re.findall(r"<td", row) for row in re.findall(r"<tr data-key.+", text)]
    assert {len(row) for row in cells} == {len(columns) - 1}


def test_failed_and_excluded_sessions_are_told_with_their_reasons(
    request_: QualityRequest,
) -> None:
    text = page(request_)
    assert '<th scope="row">sub-13</th><td class="reason">raw/sub-13_T1w.nii.gz: is empty' in text
    assert '<th scope="row">sub-14</th><td class="reason">moved &lt;' in text
    assert not (request_.output / "sub-13.html").exists()


def test_page_of_a_session_tells_and_leads_on(request_: QualityRequest) -> None:
    text = page(request_, "sub-03")
    assert re.findall(r'href="([^"]+)"', text) == ["index.html", "sub-02.html", "sub-04.html"]
    assert "⚑ <b>FLAIR</b> Edge overlap 0.41" in text
    assert text.count("data:image/webp;base64,") == 2
    assert text.count("<svg") == 4
    assert "64 x 64 x 40 voxels of 2 x 2 x 3 mm" in text
    assert "10 became 0, 800 became 1" in text


def test_turn_and_shift_are_those_of_the_transform() -> None:
    turned = np.eye(4)
    turned[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]  # 53.13 degrees about the third axis
    turned[:3, 3] = [1, 2, 2]
    raw = {"T1w": {"shape": [3, 3, 3], "affine": np.eye(4)}}
    raw["T1w"]["affine"][:3, 3] = -1  # its middle is the world's origin
    details = {"reference": "T1w", "raw": raw, "affines": {"T1w": np.eye(4), "FLAIR": turned}}
    assert _moved(details, "FLAIR") == {"angle": "53.13", "shift": "3.00"}
    both = {"T1w": turned, "FLAIR": turned}
    assert _moved({**details, "affines": both}, "FLAIR") == {"angle": "0.00", "shift": "0.00"}


@pytest.mark.parametrize("name", ["index", "sub-02"])
def test_pages_need_nothing_from_outside_and_escape_names(
    request_: QualityRequest, name: str
) -> None:
    text = page(request_, name)
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("<script") == (name == "index")
    assert "&lt;script&gt;alert(" in text
    assert str(request_.output.parent) not in text
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[0]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (f"script-src 'sha256-{digest}'" in policy) == (name == "index")


def test_same_files_give_the_same_pages_and_old_ones_go(request_: QualityRequest) -> None:
    again = replace(request_, output=request_.output.with_name("again"))
    write_quality(again)
    for path in request_.output.iterdir():
        assert path.read_bytes() == (again.output / path.name).read_bytes()
    write_quality(replace(again, preprocessed=request_.preprocessed[:2]))
    assert {p.name for p in again.output.iterdir()} == {"index.html", "sub-01.html", "sub-02.html"}


def test_measures_are_named_once_and_explained() -> None:
    for measures in (OF_SESSION, OF_SCAN):
        assert len({m.id for m in measures}) == len(measures)
    for measure in (*OF_SESSION, *OF_SCAN):
        assert measure.meaning.endswith(".")
        assert bool(measure.limits) == bool(measure.fault)
    assert set(ON_GROUP_PAGE) < {m.id for m in OF_SCAN}


@pytest.fixture(scope="module")
def opened(request_: QualityRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip(WHY_SKIPPED)
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(request_.output / "index.html", 1200, 900)
        yield browser


def shown(browser: Browser) -> list[str]:
    keys = "[...document.querySelectorAll('#table tbody tr')].map((row) => row.dataset.key)"
    found: list[str] = browser.evaluate(keys)
    return found


def test_a_press_on_a_heading_sorts(opened: Browser) -> None:
    heading = "document.querySelectorAll('#table thead tr:last-child th')"
    opened.evaluate(f"{heading}[0].querySelector('button').click()")
    assert shown(opened) == [f"sub-{n:02d}" for n in range(1, 13)]
    place = opened.evaluate(
        f"[...{heading}].findIndex((th) => th.textContent.startsWith('Edge overlap'))"
    )
    opened.evaluate(f"{heading}[{place}].querySelector('button').click()")
    assert shown(opened)[0] == "sub-03"
    assert opened.evaluate(f"{heading}[{place}].getAttribute('aria-sort')") == "ascending"
    opened.evaluate(f"{heading}[{place}].querySelector('button').click()")
    assert shown(opened)[-1] == "sub-03"
    assert opened.evaluate(f"[...{heading}].filter((h) => h.ariaSort !== 'none').length") == 1
    assert opened.complaints == []


def test_ticked_sessions_become_lines_of_an_exclusion_list(opened: Browser) -> None:
    for key in ("sub-05", "sub-03"):
        opened.evaluate(f"document.querySelector('[data-key={key}] input').click()")
    lines = opened.evaluate("document.getElementById('lines').value").split("\n")
    assert lines[0] == "session\treason"
    assert lines[1].startswith("sub-03\tEdge overlap 0.41, below 0.75: the registration or ")
    assert lines[2:] == ["sub-05\tREASON", ""]
    assert opened.evaluate("document.getElementById('exclusion').hidden") is False


def test_nothing_runs_out_of_a_narrow_window(opened: Browser, request_: QualityRequest) -> None:
    for name in ("index", "sub-03"):
        opened.open(request_.output / f"{name}.html", 400, 900)
        assert opened.evaluate("document.documentElement.scrollWidth") <= 400
