"""Write the report: one HTML file with everything inside, that opens offline."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossmod.checking import check
from crossmod.config import PreprocessSettings
from crossmod.evaluation.summary import COMPARED
from crossmod.evaluation_settings import PROTOCOLS
from crossmod.files import write_text
from crossmod.intensity import scored_ends_in_words
from crossmod.report import records
from crossmod.report.costs import cost_rows
from crossmod.report.experiments import experiment_views
from crossmod.report.explanations import null_sentences, sensitivity_sentences
from crossmod.report.figures import (
    MOST_LINES,
    box_plot,
    color_bar,
    curve_plot,
    endpoint_values,
)
from crossmod.report.headline import key_numbers, summary_sentences
from crossmod.report.inputs import StudyFiles, Task
from crossmod.report.paired import paired_plot, pairs_of
from crossmod.report.picture import Picture, file_picture
from crossmod.report.pictures import ERROR_COLORS, Gallery, gallery
from crossmod.report.request import ReportRequest
from crossmod.report.tables import (
    REGION_NAMES,
    ScoreTable,
    Selection,
    comparison_rows,
    metric_of,
    note_on_tests,
    score_table,
)
from crossmod.report.volumes import MOST_VOXELS
from crossmod.text import listed

if TYPE_CHECKING:
    import pandas as pd

MOST_THUMBNAILS = 60
THUMBNAIL_WIDTH = 520
# Snakemake shows pages inside its own; Chromium refuses those of more than 2 MB there.
OVERVIEW = "overview.html"
FOLD_ABOVE = 12
"""Longer lists are folded."""
ANCHORS = 17
"""Colors of the error maps that the script is given; it blends between them."""
REGION_METRICS = ("psnr", "ssim", "mae")


def write_report(request: ReportRequest) -> None:
    """Write a self-contained page about a study, and a light one without movable images.

    Parameters
    ----------
    request : ReportRequest
        What to show and where it lies.

    Raises
    ------
    InputError
        If a table or an image that the study must have is missing or unreadable.

    Notes
    -----
    Apart from the run times the same files give the same bytes.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    study = StudyFiles(request)
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (
        Markup((folder / name).read_text(encoding="utf-8")) for name in ("page.css", "viewer.js")
    )
    # The page runs this script and no other: not one that a name or a reason might smuggle in.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    files = {"style": style, "script": script, "script_hash": f"sha256-{digest}"}
    content = {**files, **page_content(study), "movable": True}
    page = environment.get_template("page.html")
    write_text(request.output, page.render(content))
    light = {**content, "movable": False, "thumbnails": []}
    write_text(request.output.with_name(OVERVIEW), page.render(light))


def page_content(study: StudyFiles) -> dict[str, Any]:
    """Everything the template shows."""
    request = study.request
    return {
        "title": request.title or request.name,
        "name": request.name,
        "command": request.command,
        "endpoint": study.endpoint,
        "endpoint_metric": metric_of(study.endpoint.metric),
        "endpoint_region": REGION_NAMES.get(study.endpoint.region, study.endpoint.region),
        "experiments": experiment_views(study),
        "tasks": [_task_content(study, task) for task in study.tasks],
        "seeds": sorted({run.seed for run in request.runs if not run.null}),
        "folds": sorted({run.fold for run in request.runs}),
        "availability": records.availability(study),
        "excluded": records.excluded(study),
        "failures": study.failures,
        "unserved": records.unserved(study),
        "remarks": records.remarks(study),
        "unscored": [{"what": row["session"], **row} for row in study.unscored],
        "notes": records.notes(study),
        "flags": records.flags(study),
        "quality": _quality_link(request),
        "thumbnails": _thumbnails(study),
        "thumbnail_limit": MOST_THUMBNAILS,
        "fold_above": FOLD_ABOVE,
        "most_lines": MOST_LINES,
        "most_voxels": MOST_VOXELS,
        "error_colors": _anchors(),
        "ends": _ends(request.settings),
        "description": request.description,
        "run_times": records.run_times(request),
        "versions": records.versions(),
        "hashes": records.hashes(study),
        "settings": records.settings_text(request.settings),
    }


def _quality_link(request: ReportRequest) -> str:
    """Address of the pages of quality control; empty without."""
    if request.quality is None:
        return ""
    return Path(os.path.relpath(request.quality, request.output.parent)).as_posix()


def _ends(settings: Mapping[str, Any]) -> str:
    """What of a scan is 0 and 1 in scores and pictures."""
    preprocess = check(PreprocessSettings, settings.get("preprocess") or {}, "preprocess")
    return scored_ends_in_words(preprocess.intensity, preprocess.percentiles)


def _task_content(study: StudyFiles, task: Task) -> dict[str, Any]:
    """Tables, charts and slices of one direction of synthesis."""
    comparisons = comparison_rows(study.comparisons, task.id)
    shown = gallery(study, task)
    external = [name for name, roles in study.roles.items() if "external" in roles.values()]
    endpoint = study.endpoint
    values = endpoint_values(study.subjects, task.id, endpoint)
    metric, region = metric_of(endpoint.metric), endpoint.region
    title = f"{metric.name} in the {REGION_NAMES.get(region, region)}, {endpoint.protocol}"
    arguments = (study.summary, study.comparisons, study.models, task, endpoint)
    is_headline = (endpoint.metric, endpoint.region, endpoint.protocol)
    first = [c for c in comparisons if (c.metric.id, c.region, c.protocol) == is_headline]
    inside = values[~values.index.isin(external)]
    return {
        "id": task.id,
        "title": f"{task.target} from {listed(task.sources)}",
        "target": task.target,
        "key_numbers": key_numbers(study.summary, study.comparisons, task, endpoint),
        "sentences": summary_sentences(*arguments),
        **_score_tables(study, task),
        "published": _published_tables(study, task),
        **_meanings(study, task),
        **_subject_rows(study, values, external),
        "comparisons": [c for c in comparisons if c.primary or c in first],
        "more_comparisons": [c for c in comparisons if not c.primary and c not in first],
        "test_note": note_on_tests(comparisons),
        "paired": paired_plot(pairs_of(inside, study.comparisons, task.id, endpoint), endpoint),
        "boxes": box_plot(values, study.models, external, endpoint, title),
        "has_external": bool(set(external) & set(values.index)),
        "curves": curve_plot(study.request.runs, study.models, task),
        "costs": cost_rows(study.request, task, study.models),
        "gallery": shown,
        "not_shown": _not_shown(values, shown),
        "color_bar": color_bar(shown.limit, ERROR_COLORS) if shown else None,
    }


def _meanings(study: StudyFiles, task: Task) -> dict[str, Any]:
    """What the rows of the score tables mean."""
    settings = study.request.settings
    return {
        "nulls": null_sentences(study.models, settings, task),
        "changes": sensitivity_sentences(study.summary, task.id, study.endpoint),
    }


def _subject_rows(
    study: StudyFiles, values: pd.DataFrame, external: Sequence[str]
) -> dict[str, Any]:
    """The endpoint's metric of every subject and model, as text."""
    names = [model.name for model in study.models if model.name in values]
    metric = metric_of(study.endpoint.metric)
    rows = [
        {
            "name": person,
            "external": person in external,
            "values": [metric.value(values.loc[person, name]) for name in names],
        }
        for person in sorted(values.index)
    ]
    return {"value_models": names, "people": rows}


def _not_shown(values: pd.DataFrame, shown: Gallery | None) -> list[str]:
    """Scored participants whose images are not in the page."""
    people = {panel.session.partition("_")[0] for panel in shown.panels} if shown else set()
    return sorted(set(values.index) - people)


def _anchors() -> str:
    """Colors of the error maps from -limit to limit, as the script reads them."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    scale = colormaps[ERROR_COLORS]
    return " ".join(to_hex(scale(place / (ANCHORS - 1))) for place in range(ANCHORS))


def _score_tables(study: StudyFiles, task: Task) -> dict[str, ScoreTable | None]:
    present = study.summary.loc[study.summary["task"] == task.id, "region"].unique()
    tissue = tuple(region for region in ("lesion", "healthy") if region in present)
    selections = {
        "scores": Selection(task.id),
        "external": Selection(task.id, role="external"),
        "tissue": Selection(task.id, regions=tissue, metrics=REGION_METRICS),
        "deploy": Selection(task.id, "brain-v1-deploy"),
        "seed": Selection(task.id, "seed-v1", ("slice",)),
    }
    return {
        name: score_table(study.summary, study.models, chosen)
        for name, chosen in selections.items()
    }


def _published_tables(study: StudyFiles, task: Task) -> list[ScoreTable]:
    """Scores under the protocols that stand for other papers' ways."""
    regions = ("brain", "healthy", "lesion", "slice")
    found = []
    for protocol in (name for name in PROTOCOLS if name not in COMPARED):
        selection = Selection(task.id, protocol, regions)
        table = score_table(study.summary, study.models, selection)
        if table is not None:
            found.append(table)
    return found


def _thumbnails(study: StudyFiles) -> list[tuple[str, Picture]]:
    """Small quality-control pictures by session, failed sessions first."""
    ordered = sorted(study.preprocessed.items(), key=lambda item: (item[1][0].ok, item[0]))
    with_figure = [(k, s, f) for k, (s, f) in ordered if "figure" in s.outputs]
    found = []
    for key, status, file in with_figure[:MOST_THUMBNAILS]:
        path = status.path("figure", file)
        picture = file_picture(path, f"Preprocessing of {key}", THUMBNAIL_WIDTH)
        if picture is not None:
            found.append((key, picture))
    return found
