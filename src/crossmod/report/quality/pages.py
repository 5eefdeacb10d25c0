"""Write the pages of quality control: HTML files with everything inside, linked to one another."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crossmod import __version__
from crossmod.files import read_rows, write_text
from crossmod.paths import QUALITY_PAGE, session_page
from crossmod.report.picture import Picture, file_picture, whole_picture
from crossmod.report.quality.measures import OF_SCAN, OF_SESSION, ON_GROUP_PAGE, Measure
from crossmod.report.quality.sessions import (
    Flag,
    Place,
    Preprocessed,
    flags_of,
    medians,
    read_session,
)
from crossmod.settings import MODALITIES
from crossmod.text import without_folders

THUMBNAIL_WIDTH = 340
BARS = 64
CHART = (360, 110)
"""Width and height of a histogram."""


@dataclass(frozen=True)
class QualityRequest:
    """What the pages show.

    Attributes
    ----------
    preprocessed : tuple of path
        Status files of preprocessing.
    output : path
        Folder to write.
    title : str
        Of the study.
    sessions : path or None
        Table sessions.tsv of the index; tells which sessions were excluded.
    data_dir : path or None
        Folder of the raw data, which is not told.
    """

    preprocessed: tuple[Path, ...]
    output: Path
    title: str = ""
    sessions: Path | None = None
    data_dir: Path | None = None

    def tidy(self, text: str) -> str:
        """A text without the place of the data folder on this machine."""
        return without_folders(text, self.data_dir)


@dataclass(frozen=True)
class Cell:
    """One value of a table."""

    text: str
    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One session of the table."""

    key: str
    page: str
    flags: tuple[Flag, ...]
    cells: tuple[Cell, ...]
    thumbnail: Picture | None


@dataclass(frozen=True)
class Group:
    """Sessions with their flags and the distribution of each measure."""

    sessions: tuple[Preprocessed, ...]
    flags: Mapping[str, tuple[Flag, ...]]
    medians: Mapping[Place, tuple[float, float, int]] = field(default_factory=dict)

    @property
    def columns(self) -> list[tuple[str, Measure]]:
        """Measures of the table: those that any session has, others where they flag one."""
        flagged = {(f.modality, f.measure) for flags in self.flags.values() for f in flags}
        found = [("", measure) for measure in OF_SESSION]
        found += [(m, measure) for m in MODALITIES for measure in OF_SCAN]
        return [
            (modality, measure)
            for modality, measure in found
            if (modality, measure.id) in flagged
            or (
                (modality, measure.id) in self.medians
                and (not modality or measure.id in ON_GROUP_PAGE)
            )
        ]


def write_quality(request: QualityRequest) -> None:
    """Write a page of all sessions and one of each; pages of other sessions are removed.

    Raises
    ------
    InputError
        If a status, or a file that it lists, is missing or malformed.

    Notes
    -----
    The same files give the same bytes.
    """
    sessions = tuple(
        sorted((read_session(path) for path in request.preprocessed), key=lambda s: s.key)
    )
    group = Group(sessions, flags_of(sessions), medians(sessions))
    environment = _environment()
    used = [session for session in sessions if session.status.ok]
    content = {"title": request.title, "version": __version__, "tidy": request.tidy}
    wanted = {session_page(session.key) for session in used}
    for page in request.output.glob("sub-*.html"):
        if page.name not in wanted:
            page.unlink()
    for place, session in enumerate(used):
        around = {
            "before": used[place - 1] if place else None,
            "after": used[place + 1] if place + 1 < len(used) else None,
        }
        own = {**content, **_session_content(session, group), **around, "page_of": session_page}
        page_text = environment.get_template("session.html").render({**own, "home": QUALITY_PAGE})
        write_text(request.output / session_page(session.key), page_text)
    text = environment.get_template("group.html").render(
        {**content, **_group_content(request, group), **_script()}
    )
    write_text(request.output / QUALITY_PAGE, text)


def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folders = (Path(__file__).parent, Path(__file__).parents[1])
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    styles = (folders[1] / "page.css", folders[0] / "quality.css")
    environment.globals["style"] = Markup("".join(p.read_text(encoding="utf-8") for p in styles))
    return environment


def _script() -> dict[str, Any]:
    """The group page's own script; its policy names the hash, so that no other runs."""
    from markupsafe import Markup

    script = Markup((Path(__file__).parent / "quality.js").read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"script": script, "script_hash": f"sha256-{digest}"}


def _group_content(request: QualityRequest, group: Group) -> dict[str, Any]:
    columns = group.columns
    rows = [_row(session, group) for session in group.sessions if session.status.ok]
    rows.sort(key=lambda row: (-len(row.flags), row.key))
    spans: list[tuple[str, int]] = []
    for modality, _ in columns:
        same = spans and spans[-1][0] == modality
        spans = [*spans[:-1], (modality, spans[-1][1] + 1)] if same else [*spans, (modality, 1)]
    excluded = read_rows(request.sessions) if request.sessions else []
    return {
        "columns": columns,
        "spans": spans,
        "rows": rows,
        "failed": [s for s in group.sessions if not s.status.ok],
        "excluded": [row for row in excluded if row.get("status") == "excluded"],
        "middle": [m.text(group.medians[p, m.id][0]) for p, m in columns],
        "measures": (*OF_SESSION, *OF_SCAN),
    }


def _row(session: Preprocessed, group: Group) -> Row:
    flags = group.flags[session.key]
    thumbnail = None
    if "figure" in session.status.outputs:
        file = session.status.path("figure", session.file)
        thumbnail = file_picture(file, f"Sections of {session.key}", THUMBNAIL_WIDTH)
    cells = tuple(_cell(session, modality, m, flags) for modality, m in group.columns)
    return Row(session.key, session_page(session.key), flags, cells, thumbnail)


def _cell(session: Preprocessed, modality: str, measure: Measure, flags: Sequence[Flag]) -> Cell:
    value = session.values.get((modality, measure.id))
    found = [f.reason for f in flags if (f.modality, f.measure) == (modality, measure.id)]
    return Cell(measure.text(value), value, "; ".join(found))


def _session_content(session: Preprocessed, group: Group) -> dict[str, Any]:
    """What the page of one session shows."""
    flags = group.flags[session.key]
    of_session = [(m, _cell(session, "", m, flags)) for m in OF_SESSION]
    scans = [_scan_content(session, group, modality) for modality in session.modalities]
    return {
        "session": session,
        "flags": flags,
        "of_session": [
            (measure, cell, _middle(group, "", measure)) for measure, cell in of_session
        ],
        "scans": scans,
    }


def _middle(group: Group, modality: str, measure: Measure) -> str:
    """Median of the group; empty for a group of one."""
    middle, _, number = group.medians.get((modality, measure.id), (0.0, 0.0, 0))
    return measure.text(middle) if number > 1 else ""


def _scan_content(session: Preprocessed, group: Group, modality: str) -> dict[str, Any]:
    details, flags = session.status.details, group.flags[session.key]
    rows = [(m, _cell(session, modality, m, flags)) for m in OF_SCAN]
    picture = None
    if f"picture-{modality}" in session.status.outputs:
        path = session.status.path(f"picture-{modality}", session.file)
        picture = whole_picture(path, f"Sections of {modality} of {session.key}")
    charts = session.histograms[modality]
    return {
        "modality": modality,
        "is_reference": modality == details["reference"],
        "picture": picture,
        "measures": [
            (m, cell, _middle(group, modality, m)) for m, cell in rows if cell.value is not None
        ],
        "charts": [
            ("Before: raw scan, head", _bars(charts["head"])),
            ("After: normalized, brain", _bars(charts["brain"])),
        ],
        "raw": details["raw"][modality],
        "spacing": _spacing(details["raw"][modality]["affine"]),
        "scale": details["normalizers"][modality],
        "moved": None if modality == details["reference"] else _moved(details, modality),
        "matrix": [[f"{v:.5f}" for v in row] for row in details["affines"][modality]],
    }


def _bars(chart: Mapping[str, Any]) -> dict[str, Any]:
    """A histogram as the path of an SVG; roots of the counts, so that rare values show."""
    counts = np.sqrt(np.asarray(chart["counts"], dtype=np.float64))
    width, height = CHART
    step = width / len(counts)
    tops = height * (1 - counts / max(counts.max(), 1))
    path = f"M0 {height}" + "".join(f"V{top:.1f}h{step:.3f}" for top in tops) + f"V{height}Z"
    low, high = f"{chart['low']:.4g}", f"{chart['high']:.4g}"
    return {"path": path, "low": low, "high": high, "width": width, "height": height}


def _spacing(affine: Sequence[Sequence[float]]) -> str:
    lengths = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    return " x ".join(f"{mm:.3g}" for mm in lengths)


def _moved(details: Mapping[str, Any], modality: str) -> dict[str, str]:
    """Turn, and shift at the middle of the reference, of a scan against the reference."""
    own, reference = (
        np.asarray(details["affines"][m], dtype=np.float64)
        for m in (modality, details["reference"])
    )
    matrix = own @ np.linalg.inv(reference)
    raw = details["raw"][details["reference"]]
    middle = np.append((np.asarray(raw["shape"][:3]) - 1) / 2, 1)
    center = np.asarray(raw["affine"]) @ middle
    left, _, right = np.linalg.svd(matrix[:3, :3])
    angle = np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1)))
    shift = np.linalg.norm((matrix @ center - center)[:3])
    return {"angle": f"{angle:.2f}", "shift": f"{shift:.2f}"}
