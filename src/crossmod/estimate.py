"""What a study will cost, before it is started: jobs, parameters, FLOPs, memory, hours."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from crossmod import machine
from crossmod.files import read_json, read_rows
from crossmod.methods import settings_class
from crossmod.planning import Plan, Run
from crossmod.progress import USUAL_SECONDS, Expectation, StudyProgress
from crossmod.stages import LOGS, benchmark_files
from crossmod.text import text_table
from crossmod.training.curve import clock

START_SECONDS = 12.0  # a training's imports
BRAIN_HEIGHT_MM = 130.0  # adult brain, where no slices exist to count
BRAIN_ML, HEAD_ML = 1400.0, 4000.0
# Compressed, as measured on the default study: a preprocessed scan with its share of masks, a
# synthetic image on both its grids, a scan of the phantom with its share of the truth.
BYTES_PER_VOXEL = {"preprocessed": 5.0, "synthetic": 7.5, "phantom": 4.5}
BACKWARD = 3.0  # forward and backward cost three forwards
# Norms, activations, losses and optimizers besides: measured .35 (MILR) to .6 (FD-GAN) on a CPU.
SHARE_OF_CONVOLUTION = 0.45
BYTES_PER_PARAMETER = 16  # weights, gradient, two moments of Adam, float32
MODEL_HEADER = (
    *("model", "parameters / million", "training / TFLOP", "memory / GB"),
    "core time per run h:mm:ss",
)


@dataclass(frozen=True)
class Cost:
    """Cost of one run."""

    parameters: int
    training_flops: float
    memory_gb: float
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """Cost of a study if nothing of it is done yet.

    Attributes
    ----------
    costs : dict of str to Cost
        By run id.
    jobs : dict of str to (int, float)
        Number of jobs and core seconds of every stage but training.
    disk_bytes : float
        Size of all files the study makes.
    """

    plan: Plan
    costs: dict[str, Cost]
    jobs: dict[str, tuple[int, float]]
    disk_bytes: float

    @property
    def expectation(self) -> Expectation:
        """The same by job, for progress lines."""
        runs = {run_id: cost.seconds for run_id, cost in self.costs.items()}
        stages = {stage: seconds / count for stage, (count, seconds) in self.jobs.items()}
        return Expectation(stages, runs)

    def seconds_on(self, cores: int) -> float:
        """Seconds from start to end on so many cores."""
        progress = StudyProgress(cores, self.expectation)
        counts = {stage: count for stage, (count, _) in self.jobs.items()}
        progress.plan({**counts, "train": len(self.costs)}, now=0)
        return progress.seconds_left(0)


def estimate(plan: Plan) -> Estimate:
    """Estimate a study: from measurements of its earlier jobs where there are any."""
    speed = _flops_per_second()
    slices = _slices_per_session(plan)
    costs = {run_id: run_cost(plan, run, speed, slices) for run_id, run in plan.runs.items()}
    return Estimate(plan, costs, job_seconds(plan), disk_bytes(plan, costs))


def estimate_text(found: Estimate) -> str:
    """Table of jobs and models with the expected time, for people."""
    plan, costs, jobs = found.plan, found.costs, found.jobs
    rows = [[stage, count, clock(seconds)] for stage, (count, seconds) in jobs.items()]
    rows.append(["train", len(costs), clock(sum(cost.seconds for cost in costs.values()))])
    models = {run.model: costs[run_id] for run_id, run in plan.runs.items()}
    model_rows = [
        [
            name,
            f"{cost.parameters / 1e6:.2f}",
            f"{cost.training_flops / 1e12:.1f}",
            f"{cost.memory_gb:.1f}",
            clock(cost.seconds),
        ]
        for name, cost in models.items()
    ]
    core_seconds = sum(s for _, s in jobs.values()) + sum(c.seconds for c in costs.values())
    here = machine.cores()
    participants = {session.participant for session in plan.sessions.values()}
    tasks = ", ".join(task.id for task in plan.study.tasks)
    first = "ingest, " if plan.ingested_sessions else ""
    return "\n".join(
        [
            f"study {plan.study.study}: {len(participants)} subjects, {len(plan.sessions)} "
            f"sessions; {tasks}; {len(plan.study.models)} models, {len(costs)} runs",
            f"stages: {first}preprocess, slices, train, synthesize, evaluate, report",
            text_table(["stage", "jobs", "core time h:mm:ss"], rows),
            text_table(MODEL_HEADER, model_rows),
            f"expected, if nothing is done yet: core time {clock(core_seconds)} "
            f"({clock(found.seconds_on(here))} on the {here} cores here), "
            f"disk {found.disk_bytes / 1e9:.1f} GB; report: {plan.paths.report}",
        ]
    )


def run_cost(plan: Plan, run: Run, flops_per_second: float, slices_per_session: float) -> Cost:
    """Cost of training one run.

    Methods that are fitted at once read every slice once; their time is their start, and what their
    settings say of the fit.
    """
    study = plan.study
    measured = _mean_seconds([LOGS / study.study / "train" / f"{run.paths.id}.tsv"])
    if run.declaration.fitting == "classical":
        entry = study.models[run.model]
        fit = getattr(settings_class(entry.method)(**entry.own), "fit_seconds", 0.0)
        return Cost(0, 0.0, 1.0, measured or START_SECONDS / 2 + fit)
    from crossmod.training.cost import cost

    training = study.training_of(run.model)
    found = cost(study.settings_of(run.model), len(run.task.sources), study.slices.size)
    slices = slices_per_session * len(run.train)
    if training.steps_per_epoch:
        slices = training.steps_per_epoch * training.batch_size
    flops = found["flops_per_training_slice"] * slices * training.epochs
    pixels = study.slices.size**2 * training.batch_size
    memory = found["parameters"] * BYTES_PER_PARAMETER + pixels * 4 * 64 * 6
    seconds = measured or START_SECONDS + flops / flops_per_second
    return Cost(found["parameters"], flops, 0.8 + memory / 1e9, seconds)


def job_seconds(plan: Plan) -> dict[str, tuple[int, float]]:
    """Number of jobs and core seconds of every stage but training."""
    sessions = len(plan.used_sessions)
    batches = sum(len(run.batches) for run in plan.runs.values())
    counts = {
        "phantom": len(plan.sessions) if plan.phantom_groups else 0,
        "ingest": len(plan.ingested_sessions),
        "preprocess": sessions,
        "slices": sessions,
        "synthesize": batches,
        "evaluate": batches,
        "summarize": 1,
        "report": 1,
        "quality": 1,
    }
    measured = benchmark_files(plan)
    return {
        stage: (count, count * (_mean_seconds(measured.get(stage, ())) or USUAL_SECONDS[stage]))
        for stage, count in counts.items()
        if count
    }


def disk_bytes(plan: Plan, costs: Mapping[str, Cost]) -> float:
    """Size of all files a study makes."""
    study = plan.study
    spacing = study.preprocess.spacing_mm or 1.0
    brain_voxels = BRAIN_ML * 1000 / spacing**3
    scans = sum(len(session.available) for session in plan.sessions.values())
    store = _slices_per_session(plan) * study.slices.size**2 * 4  # float32, not compressed
    images = sum(len(keys) for run in plan.runs.values() for keys in run.batches.values())
    # A checkpoint and the state to resume from.
    models = sum(cost.parameters * BYTES_PER_PARAMETER for cost in costs.values())
    phantom = study.dataset.phantom if study.dataset.layout == "phantom" else None
    raw_voxels = HEAD_ML * 1000 / phantom.resolution_mm**3 if phantom else 0.0
    raw = raw_voxels * BYTES_PER_VOXEL["phantom"]
    preprocessed = brain_voxels * BYTES_PER_VOXEL["preprocessed"]
    synthetic = images * brain_voxels * BYTES_PER_VOXEL["synthetic"]
    return scans * (raw + preprocessed + store) + synthetic + models


def _mean_seconds(files: Iterable[Path]) -> float | None:
    """Mean of the seconds that Snakemake's benchmark files tell."""
    seconds = [
        float(row["s"]) for path in files if path.is_file() for row in read_rows(path, ("s",))
    ]
    return sum(seconds) / len(seconds) if seconds else None


def _slices_per_session(plan: Plan) -> float:
    """Mean number of slices: counted where stores exist, else from the height of a brain."""
    shapes = []
    for key in plan.used_sessions:
        path = plan.paths.slices(key)
        if path.is_file() and read_json(path).get("verdict") == "ok":
            shapes.append(read_json(path)["shape"][1])
    if shapes:
        return sum(shapes) / len(shapes)
    return BRAIN_HEIGHT_MM / (plan.study.preprocess.spacing_mm or 1.0)


def _flops_per_second() -> float:
    """Speed of this machine on networks, judged by half a second of a convolution like theirs."""
    import torch

    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    layer = torch.nn.Conv2d(32, 32, 4, stride=2, padding=1).to(device)
    image = torch.zeros(8, 32, 64, 64, device=device)
    flops = 2 * 8 * 32 * 32 * 16 * 32 * 32 * BACKWARD
    rounds, start = 0, time.perf_counter()
    while time.perf_counter() - start < 0.5:
        layer(image).sum().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        rounds += 1
    elapsed = time.perf_counter() - start
    torch.set_num_threads(threads)
    return SHARE_OF_CONVOLUTION * flops * rounds / elapsed
