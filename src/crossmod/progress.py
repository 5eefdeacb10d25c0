"""How far a study is and how long the rest will take: counts, seconds, one line of text.

It knows stages and seconds, not who runs the jobs; `snakemake_logger_plugin_crossmod` feeds it.
What is shown has no part in what a job does: no rule depends on this module.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossmod.files import write_json

# Seconds a job takes on one core where no earlier job of the kind has left a measurement here.
USUAL_SECONDS = {
    "phantom": 6.0,
    "ingest": 6.0,
    "preprocess": 25.0,
    "quality": 5.0,
    "slices": 2.5,
    "train": 20.0,
    "synthesize": 8.0,
    "evaluate": 10.0,
    "summarize": 6.0,
    "report": 20.0,
}
# Written by `crossmod estimate` when a study starts, read by whoever shows its progress.
EXPECTATION_FILE = Path(".snakemake/crossmod-expectation.json")
# Weight of the expectation against jobs measured in this run, in seconds of work.
TRUST_SECONDS = 10.0
# Share of the time it has taken that a job is thought to need when it is overdue.
OVERDUE = 0.1


@dataclass(frozen=True)
class Expectation:
    """Seconds that jobs are expected to take.

    Attributes
    ----------
    stages : dict of str to float
        Mean seconds of a job by stage.
    runs : dict of str to float
        Seconds of training by run id; trainings differ more than other jobs.
    """

    stages: Mapping[str, float] = field(default_factory=dict)
    runs: Mapping[str, float] = field(default_factory=dict)

    def seconds(self, stage: str, run: str | None = None) -> float:
        """Expected seconds of one job."""
        if stage == "train" and run is not None and run in self.runs:
            return self.runs[run]
        return self.stages.get(stage, USUAL_SECONDS[stage])


def write_expectation(path: Path, expectation: Expectation) -> None:
    """Write an expectation for `read_expectation`."""
    write_json(path, {"stages": dict(expectation.stages), "runs": dict(expectation.runs)})


def read_expectation(path: Path = EXPECTATION_FILE) -> Expectation:
    """What was written, or the usual seconds: progress must not fail where it is not known."""
    try:
        content = json.loads(path.read_text())
        return Expectation(dict(content["stages"]), dict(content["runs"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Expectation()


def stage_of(rule: str) -> str | None:
    """Stage that a rule belongs to; None for rules that only gather files (`all`, `trained`)."""
    stage = rule.split("_")[0]
    return stage if stage in USUAL_SECONDS else None


@dataclass
class Job:
    """A job at work."""

    stage: str
    expected: float
    started: float
    run: str | None = None
    threads: int = 1


@dataclass
class StudyProgress:
    """Jobs of one study: planned, running, done.

    Times are seconds on any one clock that only goes forward.

    Attributes
    ----------
    planned : Counter of str
        Jobs to run by stage.
    slots : dict of str to int
        Jobs of a stage that fit side by side, where that is less than the cores allow.
    """

    cores: int = 1
    expectation: Expectation = field(default_factory=Expectation)
    planned: Counter[str] = field(default_factory=Counter)
    slots: dict[str, int] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    running: dict[Any, Job] = field(default_factory=dict)
    began: float = 0.0
    _begun: set[str] = field(default_factory=set)
    _measured: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _hoped: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def plan(self, rules: Mapping[str, int], now: float) -> None:
        """Take the number of jobs by rule, and the time at which they begin."""
        self.began = now
        counts: Counter[str] = Counter()
        for rule, count in rules.items():
            stage = stage_of(rule)
            if stage:
                counts[stage] += count
        # In the order of the data.
        self.planned = Counter({stage: counts[stage] for stage in USUAL_SECONDS if counts[stage]})

    def start(self, key: Any, rule: str, now: float, *, run: str | None, threads: int = 1) -> None:
        """Note that a job begins."""
        stage = stage_of(rule)
        if stage:
            expected = self.expectation.seconds(stage, run)
            self.running[key] = Job(stage, expected, now, run, threads)
            if run and stage == "train":
                self._begun.add(run)

    def finish(self, key: Any, now: float) -> str | None:
        """Note that a job is done; its stage if that was the last job of it."""
        job = self.running.pop(key, None)
        if job is None:
            return None
        self.done[job.stage] += 1
        self._measured[job.stage] += now - job.started
        self._hoped[job.stage] += job.expected
        return job.stage if self.done[job.stage] == self.planned[job.stage] else None

    def fail(self, key: Any) -> None:
        """Note that a job failed."""
        job = self.running.pop(key, None)
        if job is not None:
            self.failed[job.stage] += 1

    @property
    def total(self) -> int:
        """Jobs of the whole run."""
        return sum(self.planned.values())

    @property
    def finished(self) -> int:
        """Jobs that are done."""
        return sum(self.done.values())

    def seconds_left(self, now: float) -> float:
        """Seconds until the last job ends, as far as can be told.

        Notes
        -----
        The largest of three bounds: all work shared by all cores; the longest chain, one job of
        every stage after the other; and each stage with no more side by side than fit.
        """
        work, chain, stages = 0.0, 0.0, [0.0]
        for stage in self.planned:
            lasting = self._running_seconds(stage, now)
            waiting = self._waiting_seconds(stage)
            jobs = [seconds for seconds, _ in lasting] + waiting
            threads = max([t for _, t in lasting], default=1)
            total = sum(seconds * t for seconds, t in lasting) + sum(waiting) * threads
            work += total
            chain += max(jobs, default=0.0)
            stages.append(sum(jobs) / self.slots.get(stage, self.cores))
        return max(work / self.cores, chain, *stages)

    def text(self, now: float, ended: str | None = None) -> str:
        """Jobs done of all, time left, stages at work: one line.

        Parameters
        ----------
        now : float
            Time, to count from.
        ended : str, optional
            A stage to name although none of its jobs is at work: it has just ended.
        """
        if self.finished == self.total:
            return f"all {self.total} jobs done in {duration(now - self.began)}"
        at_work = {ended, *(job.stage for job in self.running.values())}
        stages = [f"{s} {self.done[s]}/{self.planned[s]}" for s in self.planned if s in at_work]
        parts = [f"{self.finished} of {self.total} jobs"]
        if self.failed.total():
            parts.append(f"{self.failed.total()} failed")
        parts.append(f"about {duration(self.seconds_left(now))} left")
        return ", ".join(parts) + (f" | {', '.join(stages)}" if stages else "")

    def _speed(self, stage: str) -> float:
        """Seconds measured by seconds expected: of the stage, and of all stages before it."""
        everywhere = _ratio(sum(self._measured.values()), sum(self._hoped.values()), 1.0)
        return _ratio(self._measured[stage], self._hoped[stage], everywhere)

    def _running_seconds(self, stage: str, now: float) -> list[tuple[float, int]]:
        """Seconds left and threads of the jobs of a stage that are at work."""
        found = []
        for job in self.running.values():
            if job.stage == stage:
                elapsed = now - job.started
                left = job.expected * self._speed(stage) - elapsed
                found.append((max(left, OVERDUE * elapsed), job.threads))
        return found

    def _waiting_seconds(self, stage: str) -> list[float]:
        """Seconds of the jobs of a stage that have not begun."""
        at_work = sum(job.stage == stage for job in self.running.values())
        count = self.planned[stage] - self.done[stage] - self.failed[stage] - at_work
        seconds = [self.expectation.seconds(stage)] * max(count, 0)
        if stage == "train":
            # The longest of those that may still come: a run that is done already never begins.
            rest = [s for run, s in self.expectation.runs.items() if run not in self._begun]
            known = sorted(rest, reverse=True)[: len(seconds)]
            seconds[: len(known)] = known
        return [s * self._speed(stage) for s in seconds]


def _ratio(measured: float, hoped: float, default: float) -> float:
    """`measured / hoped`, drawn to `default` while little is measured."""
    return (TRUST_SECONDS * default + measured) / (TRUST_SECONDS + hoped)


def duration(seconds: float) -> str:
    """`40 s`, `4 min`, `2 h 10 min`, `3 d 4 h`: as exact as such an estimate is."""
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
