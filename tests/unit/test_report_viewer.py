"""The movable images: what is stored for them, and what a reader sees and does with them."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from crossmod.io import Image, read_image
from crossmod.report.inputs import StudyFiles
from crossmod.report.page import write_report
from crossmod.report.pictures import Panel, gallery
from crossmod.report.request import ReportRequest
from crossmod.report.volumes import BIT_STEP, COVERED, LESION, MOST_VOXELS, Frame
from tests.unit.browser import BROWSER, WHY_SKIPPED, Browser
from tests.unit.report_study import AFFINE, Shape, make_study

SUBJECT = "document.querySelector('.subject')"
END, HOME, RIGHT, SPACE = ("End", 35), ("Home", 36), ("ArrowRight", 39), (" ", 32)


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> ReportRequest:
    request = make_study(
        tmp_path_factory.mktemp("study"), Shape(subjects=6, tested=4, faults=False)
    )
    write_report(request)
    return request


@pytest.fixture(scope="module")
def panel(request_: ReportRequest) -> Panel:
    study = StudyFiles(request_)
    found = gallery(study, study.tasks[0])
    assert found is not None
    return found.panels[0]


def unpacked(uri: str, panel: Panel) -> np.ndarray:
    """Volume (X, Y, Z) from its picture, as the script unpacks it."""
    content = base64.b64decode(uri.partition(",")[2])
    tiles = np.asarray(Pillow.open(io.BytesIO(content)).convert("L")).astype(int)
    x, y, z = panel.viewer.shape
    columns = panel.viewer.columns
    places = [(z // columns * y, z % columns * x) for z in range(z)]
    return np.stack([tiles[r : r + y, c : c + x].T for r, c in places], axis=2)


def test_volumes_survive_their_packing(panel: Panel, request_: ReportRequest) -> None:
    study = StudyFiles(request_)
    status, file = study.preprocessed[panel.session]
    truth = read_image(status.path("FLAIR", file))
    frame = Frame(read_image(status.path("brain", file)))
    expected = np.clip((frame.cut(truth.data) - 10) / 800, 0, 1) * 255
    shown = next(v for v in panel.viewer.volumes if v.label == "FLAIR")
    assert shown.kind == "acquired"
    error = np.abs(unpacked(shown.uri, panel) - expected)
    assert error.mean() < 4
    mirrored = np.abs(unpacked(shown.uri, panel)[::-1] - expected)
    assert mirrored.mean() > 2 * error.mean()


def test_pictures_are_on_the_scale_of_scores(tmp_path: Path) -> None:
    """As networks saw them, all gray values of a z-score would lie close together."""
    request = make_study(tmp_path, Shape(subjects=6, tested=4, faults=False))
    plain = gallery(StudyFiles(request), StudyFiles(request).tasks[0])
    for path in request.preprocessed:
        content = json.loads(path.read_text())
        for scale in content["details"].get("normalizers", {}).values():
            scale |= {"scored": dict(scale), "low": -790.0, "high": 1610.0}
        path.write_text(json.dumps(content))
    study = StudyFiles(request)
    found = gallery(study, study.tasks[0])
    assert plain is not None
    assert found is not None
    same, other = plain.panels[0].viewer.volumes, found.panels[0].viewer.volumes
    acquired = [v.kind != "synthetic" for v in same]
    assert [a.uri == b.uri for a, b in zip(same, other, strict=True)] == acquired
    model = next(v for v in other if v.kind == "synthetic")
    before = next(v for v in same if v.label == model.label)
    # 0 to 1 of 2400 units are -790 to 1610, of which 10 to 810 are shown: thrice the slope.
    image, shown = unpacked(before.uri, plain.panels[0]), unpacked(model.uri, found.panels[0])
    expected = np.clip(3 * image / 255 - 1, 0, 1) * 255
    brain = image > 0
    assert np.abs(shown - expected)[brain].mean() < 12


def test_mask_bits_are_exact(panel: Panel, request_: ReportRequest) -> None:
    status, file = StudyFiles(request_).preprocessed[panel.session]
    frame = Frame(read_image(status.path("brain", file)))
    bits = unpacked(panel.viewer.mask, panel) // BIT_STEP
    for name, bit in (("brain", COVERED), ("lesion", LESION)):
        np.testing.assert_array_equal(
            bits & bit > 0, frame.cut(read_image(status.path(name, file)).data) > 0
        )
    assert panel.viewer.has_lesion


def test_places_are_those_of_the_volume(panel: Panel, request_: ReportRequest) -> None:
    status, file = StudyFiles(request_).preprocessed[panel.session]
    brain = read_image(status.path("brain", file))
    frame = Frame(brain)
    index = np.array([20, 25, 14])
    voxel = np.array(frame.voxel(index))
    world = (brain.affine @ [*index, 1])[:3]
    np.testing.assert_allclose(frame.origin_mm + voxel * frame.spacing_mm, world, atol=1e-4)


def test_fine_grids_are_averaged() -> None:
    data = np.zeros((40, 300, 20), np.uint8)
    data[10:30, 20:280, 5:15] = 1
    frame = Frame(Image(data, np.diag([1.0, 0.7, 5.0, 1.0])))
    assert max(frame.size) <= MOST_VOXELS
    assert frame.steps.tolist() == [2, 3, 1]
    np.testing.assert_allclose(frame.spacing_mm, [2, 2.1, 5])
    cut = frame.cut(np.broadcast_to(np.arange(300.0)[None, :, None], data.shape))
    np.testing.assert_allclose(np.diff(cut[0, :-1, 0]), 3)


def test_shows_as_many_subjects_as_wanted(request_: ReportRequest) -> None:
    text = request_.output.read_text(encoding="utf-8")
    assert text.count('class="subject"') == 4
    assert text.count("data-volume=") == 4 * (3 + 6)
    assert "Scored, but not shown here: 1 subject" in text


needs_browser = pytest.mark.skipif(BROWSER is None, reason=WHY_SKIPPED)


@pytest.fixture(scope="module")
def opened(request_: ReportRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(request_.output, 1200, 900)
        browser.evaluate(f"{SUBJECT}.scrollIntoView()")
        browser.wait(f"{SUBJECT}.classList.contains('live')")
        yield browser


def drawn(browser: Browser) -> list[str]:
    """A mark of what each canvas of the first subject shows."""
    code = f"[...{SUBJECT}.querySelectorAll('canvas')].map(c => c.toDataURL())"
    found: list[str] = browser.evaluate(code)
    return found


def pixels(browser: Browser, figure: int) -> np.ndarray:
    """RGB of one canvas of the first subject."""
    uri = drawn(browser)[figure]
    content = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Pillow.open(io.BytesIO(content)).convert("RGB")).astype(int)


def focus(browser: Browser, control: str, value: str = "") -> None:
    which = f'[data-control="{control}"]' + (f'[value="{value}"]' if value else "")
    browser.evaluate(f"{SUBJECT}.querySelector('{which}').focus()")


def said(browser: Browser, output: str) -> str:
    found: str = browser.evaluate(
        f"{SUBJECT}.querySelector('[data-output=\"{output}\"]').textContent"
    )
    return found


@needs_browser
def test_script_takes_the_place_of_the_still_pictures(opened: Browser) -> None:
    assert (
        opened.evaluate(f"getComputedStyle({SUBJECT}.querySelector('.scroll.still')).display")
        == "none"
    )
    assert opened.evaluate(f"{SUBJECT}.querySelector('.viewer').offsetHeight") > 400
    assert len(set(drawn(opened))) == 9
    assert opened.complaints == []


@needs_browser
def test_one_key_moves_all_images_of_a_subject(opened: Browser) -> None:
    focus(opened, "z")
    before, place = drawn(opened), said(opened, "z")
    opened.press(*RIGHT)
    after = drawn(opened)
    assert all(a != b for a, b in zip(before, after, strict=True))
    millimeters = [int(t.replace("\u2212", "-").split()[2]) for t in (place, said(opened, "z"))]
    assert millimeters[1] - millimeters[0] == AFFINE[2, 2]
    opened.press("ArrowLeft", 37)
    assert drawn(opened) == before


@needs_browser
def test_planes_lie_as_they_should(opened: Browser) -> None:
    """The lesion, bright on FLAIR, is right, frontal and high."""
    focus(opened, "cross")
    opened.press(*SPACE)
    focus(opened, "lesion")
    opened.press(*SPACE)
    for plane in ("axial", "coronal", "sagittal"):
        opened.evaluate(f"{SUBJECT}.querySelector('[value=\"{plane}\"]').click()")
        picture = pixels(opened, 2)
        rows, columns = np.nonzero((picture[..., 0] > 225) & (picture[..., 2] > 225))
        assert len(rows) > 30, plane
        assert columns.mean() > picture.shape[1] / 2, plane
        assert rows.mean() < picture.shape[0] / 2, plane
    opened.evaluate(f"{SUBJECT}.querySelector('[value=\"all\"]').click()")
    focus(opened, "cross")
    opened.press(*SPACE)
    focus(opened, "lesion")
    opened.press(*SPACE)


@needs_browser
def test_a_click_moves_the_other_planes_there(opened: Browser) -> None:
    before = [said(opened, name) for name in "xyz"]
    box = json.loads(opened.evaluate(
        f"JSON.stringify({SUBJECT}.querySelector('canvas').getBoundingClientRect())"
    ))  # fmt: skip
    opened.click(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.5)
    after = [said(opened, name) for name in "xyz"]
    # The first pane is axial: height stays, the place within the slice moves.
    assert after[2] == before[2]
    assert after[0] != before[0]


@needs_browser
def test_toggles_change_what_is_drawn(opened: Browser) -> None:
    yellow = np.array([0xF0, 0xE4, 0x42])
    focus(opened, "lesion")
    with_outline = (np.abs(pixels(opened, 2) - yellow).max(axis=2) < 40).sum()
    opened.press(*SPACE)
    without = (np.abs(pixels(opened, 2) - yellow).max(axis=2) < 40).sum()
    assert with_outline > 50 > without
    opened.press(*SPACE)
    both = pixels(opened, 4).shape[0]
    opened.evaluate(f"{SUBJECT}.querySelector('[value=\"errors\"]').click()")
    alone = pixels(opened, 4)
    assert alone.shape[0] < 0.6 * both
    assert (alone == 255).all(axis=2).mean() > 0.3
    opened.evaluate(f"{SUBJECT}.querySelector('[value=\"both\"]').click()")


@needs_browser
def test_the_outline_is_that_of_the_lesion(opened: Browser) -> None:
    """It is right and frontal, so that the left and the back of an axial slice have none."""
    opened.evaluate(f"{SUBJECT}.querySelector('[value=\"axial\"]').click()")
    picture = pixels(opened, 0)
    rows, columns = np.nonzero(np.abs(picture - [0xF0, 0xE4, 0x42]).max(axis=2) < 40)
    assert len(rows) > 20
    assert columns.min() > picture.shape[1] / 2
    assert rows.max() < 0.6 * picture.shape[0]
    opened.evaluate(f"{SUBJECT}.querySelector('[value=\"all\"]').click()")


@needs_browser
def test_errors_are_signed_and_ranked(opened: Browser) -> None:
    """Every image is too bright by 0.03: red outweighs blue; a null errs more than a network."""
    opened.evaluate(f"{SUBJECT}.querySelector('[value=\"errors\"]').click()")
    network, null = pixels(opened, 3), pixels(opened, 5)
    assert network[..., 0].mean() > network[..., 2].mean() + 1
    paleness = [picture.min(axis=2).mean() for picture in (network, null)]
    assert paleness[0] > paleness[1] + 10
    opened.evaluate(f"{SUBJECT}.querySelector('[value=\"both\"]').click()")


@needs_browser
def test_zoom_magnifies(opened: Browser) -> None:
    focus(opened, "zoom")
    black = (pixels(opened, 0).max(axis=2) == 0).mean()
    opened.press(*END)
    assert said(opened, "zoom") == "6 \u00d7"
    assert (pixels(opened, 0).max(axis=2) == 0).mean() < black
    opened.press(*HOME)
    assert said(opened, "zoom") == "1 \u00d7"


@needs_browser
@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_runs_out_of_the_window(
    opened: Browser, request_: ReportRequest, width: int
) -> None:
    opened.open(request_.output, width, 900)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    sizes = opened.evaluate("[...document.querySelectorAll('main img')].map(i => i.naturalWidth)")
    assert len(sizes) > 30
    assert min(sizes) > 0


@needs_browser
def test_keyboard_reaches_everything(opened: Browser, request_: ReportRequest) -> None:
    opened.open(request_.output, 1200, 900)
    opened.press("Tab", 9)
    assert opened.evaluate("document.activeElement.className") == "skip"
    assert opened.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    nameless = opened.evaluate(
        "[...document.querySelectorAll('img, canvas, input, [role=region]')].filter(e => !("
        "e.alt || e.getAttribute('aria-label') || (e.labels && e.labels.length))).length"
    )
    assert nameless == 0


@needs_browser
def test_links_lead_where_they_say(opened: Browser, request_: ReportRequest) -> None:
    """Images that are unpacked on the way change the height of the page."""
    opened.open(request_.output, 1200, 900)
    opened.evaluate("document.querySelector('nav a[href=\"#data\"]').click()")
    time.sleep(1)
    assert 0 <= opened.evaluate("document.querySelector('#data').getBoundingClientRect().top") < 200


@needs_browser
def test_prints_the_still_pictures(opened: Browser, request_: ReportRequest) -> None:
    opened.open(request_.output, 1200, 900)
    opened.evaluate(f"{SUBJECT}.scrollIntoView()")
    opened.wait(f"{SUBJECT}.classList.contains('live')")
    opened.call("Emulation.setEmulatedMedia", media="print")
    shown = f"getComputedStyle({SUBJECT}.querySelector('%s')).display"
    assert opened.evaluate(shown % ".viewer") == "none"
    assert opened.evaluate(shown % ".scroll.still") == "block"
    opened.call("Emulation.setEmulatedMedia", media="")
    assert opened.print().startswith(b"%PDF-")


@needs_browser
def test_without_script_the_still_pictures_stay(request_: ReportRequest, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        browser.call("Emulation.setScriptExecutionDisabled", value=True)
        browser.open(request_.output, 1200, 5200)
        picture = np.asarray(Pillow.open(io.BytesIO(browser.picture())).convert("RGB")).astype(int)
    # The charts and slices are there: black slices, and the colors of the boxes.
    assert (picture.max(axis=2) == 0).sum() > 20_000
    assert (np.abs(picture - [0x00, 0x72, 0xB2]).max(axis=2) < 3).sum() > 500
