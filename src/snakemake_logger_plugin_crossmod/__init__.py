"""What a person sees while Snakemake runs a study: stages, jobs done of all, time left.

A logger plugin of Snakemake 9, found by the name of this package and chosen by `logger:` in
profiles/default. It replaces Snakemake's own lines on jobs; everything else Snakemake says it hands
on unchanged, and Snakemake's log file stays complete. In a dry run, and with `--verbose` or
`--quiet progress`, it says nothing of its own.
"""

from __future__ import annotations

import sys
import threading
import time
from logging import ERROR, LogRecord
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_crossmod.lines import StatusLine, clock, tail

if TYPE_CHECKING:
    from crossmod.progress import StudyProgress

__all__ = ["LogHandler"]

# What Snakemake says after Ctrl-C, and for a job that failed before it tells which job it was.
INTERRUPTED = "Terminating processes on user request"
JOB_FAULT = "RuleException:\nCalledProcessError"
# Said anew for every job, or of no use to somebody who looks on; kept in Snakemake's log file.
JOB_EVENTS = {
    LogEvent.JOB_INFO,
    LogEvent.JOB_STARTED,
    LogEvent.JOB_FINISHED,
    LogEvent.PROGRESS,
    LogEvent.RESOURCES_INFO,
    LogEvent.RUN_INFO,
    LogEvent.SHELLCMD,
}
CHATTER = ("Select jobs to execute", "Assuming unrestricted shared", "Using shell:")
# Seconds between changes of a line that is written over.
REDRAW_EVERY = 1.0
# A line is written after this time even if no job has ended.
SILENT_AT_MOST = 60.0
# Rules whose jobs write to the terminal themselves: meanwhile no line is written over.
TALKING = ("train",)
TAIL_LINES = 20


class LogHandler(LogHandlerBase):
    """Shows the progress of a study in place of Snakemake's lines on its jobs."""

    def __post_init__(self) -> None:
        # Snakemake imports every plugin before it needs one: heavier imports wait until then.
        from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
        from snakemake.settings.enums import Quietness

        settings = self.common_settings
        quiet = set(settings.quiet or ())
        self._stream = sys.stdout if settings.stdout else sys.stderr
        self._snakemake = ColorizingTextHandler(
            nocolor=settings.nocolor,
            stream=self._stream,
            formatter=DefaultFormatter(quiet, settings.show_failed_logs),
            filter=DefaultFilter(
                quiet,
                settings.debug_dag,
                settings.verbose,
                settings.dryrun,
                settings.printshellcmds,
            ),
        )
        own = not (settings.dryrun or settings.verbose)
        self._silent = Quietness.ALL in quiet
        self._own = own and not self._silent and Quietness.PROGRESS not in quiet
        self._terminal = self._stream.isatty() and self._snakemake.can_color_tty()
        self._line = StatusLine(self._stream, over=self._writes_over)
        self._rules: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._failed: list[str] = []
        self._interrupted = False
        self._drawing = threading.RLock()
        self._ended = threading.Event()
        self._progress: StudyProgress | None = None
        self._provided: dict[str, Any] = {}

    @property
    def writes_to_stream(self) -> bool:
        """It does, so that Snakemake does not, too."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake's own log file stays."""
        return False

    @property
    def has_filter(self) -> bool:
        """What is left out is decided here."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Records are put in words here."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """Counts of jobs are enough."""
        return False

    def emit(self, record: LogRecord) -> None:
        """Show one record, or learn from it."""
        try:
            with self._drawing:
                self._take(record)
        except BrokenPipeError:
            raise
        except Exception:
            # As logging does everywhere: what is shown must never end what is done.
            self.handleError(record)

    def close(self) -> None:
        """End the line that is written over, and say what failed."""
        self._ended.set()
        with self._drawing:
            self._line.end()
            progress, self._progress = self._progress, None
            if progress is not None and progress.finished < progress.total:
                how = "interrupted: " if self._interrupted else ""
                self._say(f"{how}{progress.finished} of {progress.total} jobs are done")
                for name in self._failed:
                    self._say(f"failed: {name}")
                self._say("the same command goes on from there")
        super().close()

    def _take(self, record: LogRecord) -> None:
        event, text = getattr(record, "event", None), record.getMessage()
        if self._own:
            self._interrupted |= text.startswith(INTERRUPTED)
            self._learn(event, record.__dict__)
            if event in JOB_EVENTS or text.startswith((*CHATTER, JOB_FAULT)):
                return
            if self._interrupted and record.levelno >= ERROR:
                return  # jobs that were ended, which is what was asked for
        if event == LogEvent.JOB_ERROR and not self._silent:
            self._job_failed(record.__dict__)
        elif self._snakemake.filter(record):
            self._line.clear()
            self._snakemake.emit(record)

    def _learn(self, event: LogEvent | None, facts: dict[str, Any]) -> None:
        now = time.monotonic()
        if event == LogEvent.RESOURCES_INFO:
            self._resources(facts)
        elif event == LogEvent.RUN_INFO:
            self._planned(facts["stats"])
        elif event == LogEvent.JOB_INFO:
            self._begun(facts, now)
        elif event == LogEvent.JOB_FINISHED and self._rules.pop(facts["job_id"], ""):
            self._show(now, ended=self._study().finish(facts["job_id"], now))

    def _resources(self, facts: dict[str, Any]) -> None:
        """Learn how many jobs fit side by side, which Snakemake tells before what they are."""
        progress = self._study()
        progress.cores = min(facts.get("cores") or facts.get("nodes") or progress.cores, 1000)
        self._provided = dict(facts.get("provided_resources") or self._provided)

    def _planned(self, stats: dict[str, int]) -> None:
        progress = self._study()
        progress.plan(stats, time.monotonic())
        counts = ", ".join(f"{count} {stage}" for stage, count in progress.planned.items())
        if counts:
            self._say(f"{progress.total} jobs to run on {progress.cores} cores: {counts}")
            threading.Thread(target=self._keep_fresh, daemon=True, name="progress").start()

    def _study(self) -> StudyProgress:
        from crossmod.progress import StudyProgress

        if self._progress is None:
            self._progress = StudyProgress()
        return self._progress

    def _begun(self, facts: dict[str, Any], now: float) -> None:
        from crossmod.progress import read_expectation, stage_of

        progress, rule, job = self._study(), facts["rule_name"], facts["jobid"]
        if not progress.expectation.stages:
            progress.expectation = read_expectation()
        wildcards = dict(facts["wildcards"] or {})
        run, threads = wildcards.get("run"), facts["threads"]
        stage = stage_of(rule)
        if stage:
            needs = {**dict(facts["resources"] or {}), "_cores": threads}
            limits = {**self._provided, "_cores": progress.cores}
            fits = [
                int(limits[name] // need)
                for name, need in needs.items()
                if isinstance(need, int) and need > 0 and isinstance(limits.get(name), int)
            ]
            progress.slots[stage] = max(1, min(fits, default=1))
            progress.start(job, rule, now, run=run, threads=threads)
            self._rules[job] = rule
        self._names[job] = " ".join([rule, *wildcards.values()])
        self._show(now)

    def _job_failed(self, facts: dict[str, Any]) -> None:
        """Say which job failed, with the end of its log."""
        job, rule = facts["jobid"], facts["rule_name"]
        self._rules.pop(job, None)
        name = self._names.get(job, rule)
        if self._progress is not None:
            self._progress.fail(job)
        self._failed.append(f"{name} (log: {', '.join(facts['log']) or 'none'})")
        self._say(f"failed: {name}")
        for log in facts["log"] if self.common_settings.show_failed_logs else ():
            self._say(f"end of {log}:")
            for line in tail(Path(log), TAIL_LINES):
                self._say(f"  {line}", stamp=False)

    def _show(self, now: float, ended: str | None = None) -> None:
        if self._progress is not None and self._progress.total:
            self._line.show(self._progress.text(now, ended), now, at_once=ended is not None)

    def _writes_over(self) -> bool:
        """Whether nobody else writes to the terminal now."""
        return self._terminal and not any(rule in TALKING for rule in self._rules.values())

    def _say(self, text: str, *, stamp: bool = True) -> None:
        self._line.clear()
        self._stream.write(f"{clock() if stamp else ''}{text}\n")
        self._stream.flush()

    def _keep_fresh(self) -> None:
        while not self._ended.wait(REDRAW_EVERY):
            with self._drawing:
                now = time.monotonic()
                if self._rules and (self._line.over or now - self._line.shown > SILENT_AT_MOST):
                    self._show(now)
