"""Stages that look at a whole study: summarize its scores, write its report, print its headline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from crossmod.config import EvaluationSettings, Study
from crossmod.files import read_rows, read_table, write_rows
from crossmod.methods import declaration
from crossmod.paths import StudyPaths
from crossmod.planning import Plan, Run, make_plan
from crossmod.report.request import ReportRequest, RunFiles

LOGS = Path("logs")


def summarize_study(study: Study) -> None:
    """Gather the scores of all runs into the study's tables.

    Raises
    ------
    CrossmodError
        If a table of scores is missing or malformed.
    """
    from crossmod.evaluation.summary import SummaryRequest, summarize

    plan = make_plan(study)
    paths = plan.paths
    models = [(name, declaration(m.method).null) for name, m in study.models.items()]
    request = SummaryRequest(
        score_files=tuple(r.paths.scores(b) for r in plan.runs.values() for b in r.batches),
        settings=_with_endpoint(plan),
        split=read_table(paths.index("split"), participant_id=str, role=str),
        models=tuple(models),
        scores=paths.summary("scores"),
        summary=paths.summary("summary"),
        comparisons=paths.summary("comparisons"),
        metrics=paths.metrics,
    )
    write_curves(list(plan.runs.values()), paths.summary("curves"))
    summarize(request)


def _with_endpoint(plan: Plan) -> EvaluationSettings:
    """The evaluation settings, the primary model named."""
    evaluation = plan.study.evaluation
    primary = evaluation.primary.model_copy(update={"model": plan.primary_model})
    return evaluation.model_copy(update={"primary": primary})


def write_curves(runs: Sequence[Run], output: Path) -> None:
    """Validation PSNR by epoch and model, mean over tasks, folds and seeds: what DVC plots."""
    values: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    learned = [run for run in runs if run.declaration.fitting == "gradient"]
    for run in learned:
        for row in read_rows(run.paths.curve, ("epoch", "split", "name", "value")):
            if (row["split"], row["name"]) == ("validation", "psnr"):
                values[int(row["epoch"])][run.model].append(float(row["value"]))
    models = tuple(dict.fromkeys(run.model for run in learned))
    rows = [
        {"epoch": epoch, **{model: f"{fmean(found):.6g}" for model, found in by_model.items()}}
        for epoch, by_model in sorted(values.items())
    ]
    write_rows(output, ("epoch", *models), rows)


def report_study(study: Study) -> None:
    """Write the report of a study."""
    from crossmod.report.page import write_report

    write_report(report_request(study))


def report_request(study: Study) -> ReportRequest:
    """Everything the report of a study shows."""
    plan = make_plan(study)
    paths = plan.paths
    return ReportRequest(
        name=study.study,
        title=study.title,
        settings=study.model_dump(mode="json"),
        primary_model=plan.primary_model,
        index=paths.index("scans").parent,
        tables=paths.summary("scores").parent,
        runs=tuple(_run_files(plan, run) for run in plan.runs.values()),
        output=paths.report,
        preprocessed=tuple(paths.preprocessed(key).status for key in plan.used_sessions),
        manifests=tuple(paths.slices(key) for key in plan.used_sessions),
        benchmarks=benchmark_files(study),
        command=f"snakemake --cores all --configfile {_study_file(study)}",
    )


def headline_text(study: Study) -> str:
    """Headline table and the report's path, for the terminal."""
    from crossmod.report.headline import headline
    from crossmod.report.inputs import StudyFiles
    from crossmod.report.request import Endpoint, models_of

    request = report_request(study)
    files = StudyFiles(request)
    endpoint = Endpoint.of(request.settings, request.primary_model)
    models = models_of(request.runs)
    text = headline(files.summary, files.comparisons, models, files.tasks, endpoint)
    return f"{text}\n\nreport: {request.output}"


def benchmark_files(study: Study) -> dict[str, tuple[Path, ...]]:
    """Stage to the files in which Snakemake noted times and memory."""
    paths = StudyPaths(study)
    shared, own = LOGS / paths.dataset, LOGS / study.study
    folders = {
        "phantom": shared / "phantom",
        "preprocess": shared / f"preprocess-{study.preprocess.hash}",
        "slices": shared / paths.slices_root.name,
        "train": own / "train",
        "synthesize": own / "synthesize",
        "evaluate": own / "evaluate",
        "summarize": own / "summarize.tsv",
    }
    found = {
        stage: (place,) if place.is_file() else tuple(sorted(place.rglob("*.tsv")))
        for stage, place in folders.items()
    }
    return {stage: files for stage, files in found.items() if files}


def _run_files(plan: Plan, run: Run) -> RunFiles:
    files = RunFiles(
        task=run.task.id,
        sources=run.task.sources,
        target=run.task.target,
        model=run.model,
        method=plan.study.models[run.model].method,
        null=run.declaration.null,
        fold=run.fold,
        seed=run.seed,
    )
    return replace(
        files,
        curve=run.paths.curve,
        batches=tuple(run.paths.synthetic_batch(batch) for batch in run.batches),
        scored=tuple(run.paths.scored_batch(batch) for batch in run.batches),
    )


def _study_file(study: Study) -> str:
    return f"config/studies/{study.study}.yaml"
