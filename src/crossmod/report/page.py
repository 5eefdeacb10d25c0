"""Write the report: one HTML file with everything inside, that opens offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossmod.files import write_text
from crossmod.report import records
from crossmod.report.figures import (
    Picture,
    box_plot,
    color_bar,
    curve_plot,
    file_picture,
    subject_values,
)
from crossmod.report.headline import summary_sentences
from crossmod.report.inputs import StudyFiles, Task, listed
from crossmod.report.pictures import ERROR_COLORS, gallery
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

MOST_THUMBNAILS = 60
THUMBNAIL_WIDTH = 520
REGION_METRICS = ("psnr", "ssim", "mae")


def write_report(request: ReportRequest) -> None:
    """Write one self-contained page about a study.

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
    page = environment.get_template("page.html")
    style = Markup((folder / "page.css").read_text(encoding="utf-8"))
    write_text(request.output, page.render(style=style, **page_content(study)))


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
        "tasks": [_task_content(study, task) for task in study.tasks],
        "seeds": sorted({run.seed for run in request.runs if not run.null}),
        "folds": sorted({run.fold for run in request.runs}),
        "availability": records.availability(study),
        "excluded": records.excluded(study),
        "failures": study.failures,
        "unserved": records.unserved(study),
        "unscored": study.unscored,
        "notes": records.notes(study),
        "thumbnails": _thumbnails(study),
        "thumbnail_limit": MOST_THUMBNAILS,
        "run_times": records.run_times(request),
        "versions": records.versions(),
        "hashes": records.hashes(study),
        "settings": records.settings_text(request.settings),
    }


def _task_content(study: StudyFiles, task: Task) -> dict[str, Any]:
    """Tables, charts and slices of one direction of synthesis."""
    comparisons = comparison_rows(study.comparisons, task.id)
    shown = gallery(study, task)
    external = [name for name, roles in study.roles.items() if "external" in roles.values()]
    endpoint = study.endpoint
    values = subject_values(study.scores, task.id, endpoint)
    metric, region = metric_of(endpoint.metric), endpoint.region
    title = f"{metric.name} in the {REGION_NAMES.get(region, region)}, {endpoint.protocol}"
    arguments = (study.summary, study.comparisons, study.models, task, endpoint)
    is_headline = (endpoint.metric, endpoint.region, endpoint.protocol)
    first = [c for c in comparisons if (c.metric.id, c.region, c.protocol) == is_headline]
    return {
        "id": task.id,
        "title": f"{task.target} from {listed(task.sources)}",
        "target": task.target,
        "sentences": summary_sentences(*arguments),
        **_score_tables(study, task),
        "comparisons": [c for c in comparisons if c.primary or c in first],
        "more_comparisons": [c for c in comparisons if not c.primary and c not in first],
        "test_note": note_on_tests(comparisons),
        "boxes": box_plot(values, study.models, external, endpoint, title),
        "has_external": bool(set(external) & set(values.index)),
        "curves": curve_plot(study.request.runs, study.models, task),
        "gallery": shown,
        "color_bar": color_bar(shown.limit, ERROR_COLORS) if shown else None,
    }


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
