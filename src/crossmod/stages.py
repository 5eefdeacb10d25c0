"""Stages that look at a whole study: summarize its scores, write its report, print its headline."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from crossmod.config import Study
from crossmod.description import describe
from crossmod.evaluation_settings import EvaluationSettings
from crossmod.files import read_table
from crossmod.methods import declaration
from crossmod.paths import QUALITY_PAGE
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
    from crossmod.evaluation.curves import write_curves
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
        experiments=paths.summary("experiments"),
        metrics=paths.metrics,
    )
    learned = [run for run in plan.runs.values() if run.declaration.fitting == "gradient"]
    write_curves([(run.model, run.paths.curve) for run in learned], paths.summary("curves"))
    summarize(request)


def _with_endpoint(plan: Plan) -> EvaluationSettings:
    """The evaluation settings, the primary model named."""
    evaluation = plan.study.evaluation
    primary = evaluation.primary.model_copy(update={"model": plan.primary_model})
    return evaluation.model_copy(update={"primary": primary})


def report_study(study: Study) -> None:
    """Write the report of a study."""
    from crossmod.report.page import write_report

    plan = make_plan(study)
    request, costs = report_request(plan), model_costs(plan)
    runs = tuple(replace(run, cost=costs.get((run.task, run.model))) for run in request.runs)
    write_report(replace(request, runs=runs, description=describe(plan)))


def report_request(plan: Plan) -> ReportRequest:
    """Everything the report of a study shows."""
    study, paths = plan.study, plan.paths
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
        benchmarks=benchmark_files(plan),
        command=_command(study),
        examples=study.report.subjects,
        quality=paths.quality / QUALITY_PAGE,
    )


def model_costs(plan: Plan) -> dict[tuple[str, str], dict[str, int]]:
    """Task and model to its parameters and operations; empty in an environment without torch."""
    if find_spec("torch") is None:
        return {}
    from crossmod.training.cost import cost

    found = {}
    for run in plan.runs.values():
        key = (run.task.id, run.model)
        if key not in found:
            sources = len(run.task.sources)
            found[key] = cost(plan.study.settings_of(run.model), sources, plan.study.slices.size)
    return found


def headline_text(study: Study) -> str:
    """Headline table and the report's path, for the terminal."""
    from crossmod.report.headline import headline
    from crossmod.report.inputs import StudyFiles
    from crossmod.report.request import Endpoint, models_of

    request = report_request(make_plan(study))
    files = StudyFiles(request)
    endpoint = Endpoint.of(request.settings, request.primary_model)
    models = models_of(request.runs)
    text = headline(files.summary, files.comparisons, models, files.tasks, endpoint)
    return f"{text}\n\nreport: {request.output}"


def benchmark_files(plan: Plan) -> dict[str, tuple[Path, ...]]:
    """Stage to the files in which Snakemake noted times and memory of the planned jobs."""
    paths, study = plan.paths, plan.study
    shared, own = LOGS / paths.dataset, LOGS / study.study
    preprocess = shared / f"preprocess-{study.preprocess.hash}"
    slices = shared / paths.slices_root.name
    batches = [f"{run_id}/{b}" for run_id, run in plan.runs.items() for b in run.batches]
    files = {
        "phantom": [shared / "phantom" / f"{s.participant}.tsv" for s in plan.sessions.values()],
        "ingest": [shared / "ingest" / f"{key}.tsv" for key in plan.ingested_sessions],
        "preprocess": [preprocess / f"{key}.tsv" for key in plan.used_sessions],
        "quality": [own / "quality.tsv"],
        "slices": [slices / f"{key}.tsv" for key in plan.used_sessions],
        "train": [own / "train" / f"{run_id}.tsv" for run_id in plan.runs],
        "synthesize": [own / "synthesize" / f"{batch}.tsv" for batch in batches],
        "evaluate": [own / "evaluate" / f"{batch}.tsv" for batch in batches],
        "summarize": [own / "summarize.tsv"],
    }
    found = {stage: tuple(p for p in names if p.is_file()) for stage, names in files.items()}
    return {stage: names for stage, names in found.items() if names}


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
    learns = run.declaration.fitting == "gradient"
    own = LOGS / plan.study.study / "synthesize"
    return replace(
        files,
        curve=run.paths.curve,
        batch_size=plan.study.training_of(run.model).batch_size if learns else None,
        synthesis=tuple(own / f"{run.paths.id}/{batch}.tsv" for batch in run.batches),
        benchmark=LOGS / plan.study.study / "train" / f"{run.paths.id}.tsv",
        batches=tuple(run.paths.synthetic_batch(batch) for batch in run.batches),
        scored=tuple(run.paths.scored_batch(batch) for batch in run.batches),
    )


def _command(study: Study) -> str:
    """What makes the study again."""
    own = Path("config/studies") / f"{study.study}.yaml"
    parts = ["snakemake --cores all"]
    if own.is_file():
        parts.append(f"--configfile {own}")
    if study.data_dir is not None:
        parts.append("--config data_dir=FOLDER")
    return " ".join(parts)
