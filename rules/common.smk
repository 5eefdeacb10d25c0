# The plan of the study and the helper functions of all rules.
import json
import os
import shutil
import sys
import time
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod, ExecMode

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from crossmod.errors import CrossmodError
from crossmod.locks import announce_workflow, claim_workflow
from crossmod.paths import QUALITY_PAGE, RunPaths
from crossmod.planning import load_plan
from crossmod.progress import EXPECTATION_FILE
from crossmod.sources import stage_sources

if (
    DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    and not shutil.which("conda")
):
    raise WorkflowError(
        "--use-conda needs conda on the PATH; without it leave the option away"
    )

STARTED = time.time()
try:
    PLAN = load_plan(config)
    if workflow.exec_mode == ExecMode.DEFAULT and not workflow.dryrun:
        claim_workflow()
    announce_workflow()
except CrossmodError as error:
    raise WorkflowError(f"crossmod: {error}")

STUDY = PLAN.study
STUDY_JSON = STUDY.model_dump_json()
RUN = RunPaths(PLAN.paths.root, "{run}")
SETTINGS = {
    "phantom": STUDY.dataset.phantom
    and json.dumps(STUDY.dataset.phantom.of_one_subject()),
    "preprocess": STUDY.preprocess.model_dump_json(),
    "slices": STUDY.slices.model_dump_json(),
}

# Jobs see the package as it lies here, with or without conda. Snakemake sets OMP_NUM_THREADS to the
# threads of the rule; ITK always gets one, because its sums depend on how many it has.
shell.prefix(
    "unset PYTHONDONTWRITEBYTECODE; "  # else every job compiles its imports again: 3 to 10 s
    f"export PYTHONPATH={quote(str(Path(workflow.basedir) / 'src'))} "
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1 ANTS_RANDOM_SEED=1 MPLBACKEND=agg; "
)


wildcard_constraints:
    session=r"sub-[A-Za-z0-9+-]+(_ses-[A-Za-z0-9+-]+)?",
    participant=r"sub-[A-Za-z0-9+-]+",
    run=r"[^/]+/[^/]+/fold-\d+_seed-\d+",
    batch=r"\d+",


def code(stage, method=None):
    """Source files whose content decides the results of a stage, relative: the folder may move."""
    return [os.path.relpath(path) for path in stage_sources(stage, method)]


def source_files(wildcards):
    """Files of any layout that a session is converted from."""
    return PLAN.sessions[wildcards.session].request.files


def sources_json(wildcards):
    """The same as JSON, with the place of each in its file."""
    return PLAN.sessions[wildcards.session].request.to_json()


def raw_files(wildcards):
    """Acquired scans and annotations of a session, or what tells of them where converted."""
    if not PLAN.index.in_place:
        return [PLAN.paths.ingested(wildcards.session).status]
    session = PLAN.sessions[wildcards.session]
    scans = [
        session.path(m) for m in session.available if m in STUDY.preprocess.modalities
    ]
    return scans + [source.path for _, source in session.annotations]


def raw_options(wildcards):
    """The same as options of `crossmod preprocess`."""
    if not PLAN.index.in_place:
        return f"--ingested {quote(str(raw_files(wildcards)[0]))}"
    session = PLAN.sessions[wildcards.session]
    wanted = [m for m in session.available if m in STUDY.preprocess.modalities]
    options = [f"--scan {quote(f'{m}={session.path(m)}')}" for m in wanted]
    flags = {"brain": "--brain-mask", "lesion": "--lesion"}
    options += [
        f"{flags[kind]} {quote(str(source.path))}"
        for kind, source in session.annotations
    ]
    return " ".join(options)


def earlier_sessions(wildcards):
    """Statuses of the participant's earlier sessions, where they decide the common space."""
    if STUDY.preprocess.space != "subject":
        return []
    return [
        PLAN.paths.preprocessed(key).status
        for key in PLAN.earlier_sessions(wildcards.session)
    ]


def earlier_option(wildcards):
    """The same as an option of `crossmod preprocess`."""
    files = earlier_sessions(wildcards)
    return f"--earlier {' '.join(quote(str(file)) for file in files)}" if files else ""


def report_is_new():
    """Whether this run wrote the report."""
    return PLAN.paths.report.is_file() and PLAN.paths.report.stat().st_mtime >= STARTED


def run_of(wildcards):
    """The run that the wildcards name."""
    return PLAN.runs[wildcards.run]


def code_of_run(wildcards):
    """Source files that decide a trained model: of the loop and of its method alone."""
    return code("train", STUDY.models[run_of(wildcards).model].method)


def training_stores(wildcards):
    """Slice stores a run is trained on: of its own sessions, no others."""
    return [PLAN.paths.slices(key) for key in run_of(wildcards).train]


def validation_stores(wildcards):
    """Slice stores a run is validated on."""
    return [PLAN.paths.slices(key) for key in run_of(wildcards).validation]


def task_json(wildcards):
    """Sources and target of a run."""
    return json.dumps(run_of(wildcards).task.to_dict())


def model_json(wildcards):
    """Method and settings of a run."""
    return json.dumps(STUDY.settings_of(run_of(wildcards).model), sort_keys=True)


def seed_of(wildcards):
    """Seed of a run."""
    return run_of(wildcards).seed


def label_of(wildcards):
    """Short name of a run for its progress lines."""
    run = run_of(wildcards)
    return f"{run.model} fold {run.fold} seed {run.seed}"


def batch_keys(wildcards):
    """Sessions of one batch of a run."""
    return run_of(wildcards).batches[wildcards.batch]


def batch_preprocessed(wildcards):
    """Preprocessed status files of one batch."""
    return [PLAN.paths.preprocessed(key).status for key in batch_keys(wildcards)]


def batch_stores(wildcards):
    """Slice stores of one batch."""
    return [PLAN.paths.slices(key) for key in batch_keys(wildcards)]


def run_json(wildcards):
    """Path keys of a run, for its rows in the tables."""
    run = run_of(wildcards)
    keys = {"task": run.task.id, "sources": run.task.sources, "target": run.task.target}
    return json.dumps({**keys, "model": run.model, "fold": run.fold, "seed": run.seed})


def sensitivity_option(wildcards):
    """Whether this run's images are scored shifted, blurred and scaled too."""
    return "--sensitivity" if run_of(wildcards).model == PLAN.sensitivity_model else ""
