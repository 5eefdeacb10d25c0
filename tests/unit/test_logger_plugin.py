"""The lines a person sees while Snakemake runs, from the records that Snakemake logs."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from snakemake_logger_plugin_crossmod import LogHandler
from snakemake_logger_plugin_crossmod.lines import StatusLine, tail


class TestContract(TestLogHandlerBase):
    """What the interface itself asks of every plugin."""

    __test__ = True

    def get_log_handler_cls(self) -> type[LogHandler]:
        return LogHandler

    def get_log_handler_settings(self) -> LogHandlerSettingsBase:
        return LogHandlerSettingsBase()

    def test_snakemake_finds_it(self) -> None:
        assert LoggerPluginRegistry().is_installed("crossmod")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Study(TestContract):
    """Feeds a handler as Snakemake does."""

    __test__ = False

    def __init__(self, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, **changes: Any):
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        settings = MockOutputSettings()
        settings.quiet, settings.printshellcmds, settings.nocolor = {Quietness.RULES}, False, True
        for name, value in changes.items():
            setattr(settings, name, value)
        self.stream, self.handler = stream, LogHandler(settings, None)

    def log(self, event: LogEvent | None, msg: str = "", level: int = 20, **facts: Any) -> None:
        record = self._create_event_record(event or LogEvent.ERROR, msg, level, **facts)
        if event is None:
            del record.event
        self.handler.emit(record)

    def plan(self, **stats: int) -> None:
        self.log(LogEvent.RESOURCES_INFO, "Provided cores: 2", cores=2)
        self.log(LogEvent.RUN_INFO, "Job stats:", stats={**stats, "total": sum(stats.values())})

    def begin(self, job: int, rule: str, **wildcards: str) -> None:
        facts = {"rule_name": rule, "jobid": job, "wildcards": wildcards, "threads": 1}
        self.log(LogEvent.JOB_INFO, f"rule {rule}", resources={"mem_mb": 100}, **facts)

    def end(self, job: int) -> None:
        self.log(LogEvent.JOB_FINISHED, f"Finished jobid: {job}", job_id=job)
        self.log(LogEvent.PROGRESS, "None", done=1, total=3)

    def fail(self, job: int, rule: str, log: str) -> None:
        self.log(None, "RuleException:\nCalledProcessError in file x", 40)
        facts = {"rule_name": rule, "jobid": job, "log": [log], "shellcmd": "false"}
        self.log(LogEvent.JOB_ERROR, f"Error in rule {rule}", 40, **facts)

    def close(self) -> str:
        self.handler.close()
        return re.sub(r"\[\d\d:\d\d:\d\d\] ", "", self.stream.getvalue())


def test_a_file_gets_plain_lines_without_snakemakes_own(monkeypatch) -> None:
    study = Study(io.StringIO(), monkeypatch)
    study.plan(preprocess=1, slices=1, all=1)
    study.log(None, "Select jobs to execute...")
    study.begin(1, "preprocess", session="sub-1")
    study.end(1)
    study.log(None, "something else")
    study.begin(2, "slices", session="sub-1")
    study.end(2)
    study.begin(0, "all")
    study.end(0)
    lines = study.close().splitlines()
    assert lines[0] == "2 jobs to run on 2 cores: 1 preprocess, 1 slices"
    assert re.fullmatch(r"0 of 2 jobs, about \d+ s left \| preprocess 0/1", lines[1])
    assert re.fullmatch(r"1 of 2 jobs, about \d+ s left \| preprocess 1/1", lines[2])
    assert lines[3:] == ["something else", "all 2 jobs done in 5 s"]


def test_a_terminal_gets_one_line_written_over_but_not_beside_a_training(monkeypatch) -> None:
    study = Study(Terminal(), monkeypatch)
    study.plan(preprocess=2, train=1)
    study.begin(1, "preprocess", session="sub-1")
    study.end(1)
    over = study.stream.getvalue().split("\n")[1]
    assert over.count("\r\033[K") == 2
    study.log(None, "a warning", 30)
    assert study.stream.getvalue().endswith("\r\033[Ka warning\n")
    study.begin(2, "preprocess", session="sub-2")
    study.begin(3, "train", run="a")
    assert study.stream.getvalue().endswith("\n")
    shown = study.stream.getvalue()
    study.begin(4, "preprocess", session="sub-3")
    assert "\r" not in study.stream.getvalue().removeprefix(shown)
    study.end(3)
    assert study.stream.getvalue().splitlines()[-1].endswith("train 1/1")


def test_the_line_is_written_over_again_once_the_last_training_has_ended(monkeypatch) -> None:
    """Before any other job begins: the line would stay as it is until then."""
    study = Study(Terminal(), monkeypatch)
    study.plan(train=1, synthesize=1)
    study.begin(1, "train", run="a")
    study.begin(2, "synthesize", run="b", batch="000")
    study.end(1)
    shown = study.stream.getvalue()
    study.handler._show(1e9)
    assert study.stream.getvalue().removeprefix(shown).startswith("\r\033[K1 of 2 jobs")


def test_a_failed_job_shows_the_end_of_its_log_and_is_named_again_at_the_end(
    monkeypatch, tmp_path
) -> None:
    log = tmp_path / "job.log"
    log.write_text("".join(f"line {i}\n" for i in range(100)))
    study = Study(io.StringIO(), monkeypatch)
    study.plan(evaluate=2)
    study.begin(1, "evaluate", run="a/b", batch="000")
    study.fail(1, "evaluate", str(log))
    text = study.close()
    assert "CalledProcessError" not in text
    assert "failed: evaluate a/b 000\n" in text
    assert "  line 80\n" in text
    assert "  line 79\n" not in text
    last = text.splitlines()[-3:]
    assert last[:2] == ["0 of 2 jobs are done", f"failed: evaluate a/b 000 (log: {log})"]


def test_jobs_that_ctrl_c_ended_are_no_failures(monkeypatch, tmp_path) -> None:
    study = Study(io.StringIO(), monkeypatch)
    study.plan(evaluate=2)
    study.begin(1, "evaluate", run="a", batch="000")
    study.log(None, "Terminating processes on user request, this might take some time.")
    study.fail(1, "evaluate", str(tmp_path / "none.log"))
    text = study.close()
    assert "failed" not in text
    assert text.endswith("interrupted: 0 of 2 jobs are done\nthe same command goes on from there\n")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"quiet": {Quietness.ALL}}, ""),
        ({"quiet": {Quietness.PROGRESS, Quietness.RULES}}, "failed: evaluate\nend of x.log:\n"),
    ],
)
def test_quiet_is_quiet(changes, expected, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    study = Study(io.StringIO(), monkeypatch, **changes)
    study.plan(evaluate=1)
    study.begin(1, "evaluate", run="a", batch="000")
    facts = {"rule_name": "evaluate", "jobid": 1, "log": ["x.log"]}
    study.log(LogEvent.JOB_ERROR, "Error", 40, **facts)
    text = study.close()
    assert text.startswith(expected)
    assert bool(text) == bool(expected)


def test_a_dry_run_is_snakemakes_own(monkeypatch, capsys) -> None:
    study = Study(io.StringIO(), monkeypatch, dryrun=True)
    study.log(LogEvent.RUN_INFO, "Job stats:\njob count", stats={"train": 1, "total": 1})
    assert study.close() == "Job stats:\njob count\n"


def test_cores_that_one_job_takes_whole_leave_one_slot(monkeypatch) -> None:
    study = Study(io.StringIO(), monkeypatch)
    study.plan(train=3)
    study.log(LogEvent.RESOURCES_INFO, "", provided_resources={"gpu": 1})
    facts = {"rule_name": "train", "jobid": 1, "wildcards": {"run": "a"}, "threads": 1}
    study.log(LogEvent.JOB_INFO, "", resources={"gpu": 1, "mem_mb": 10}, **facts)
    assert study.handler._progress.slots == {"train": 1}


def test_lines_on_a_file_are_some_seconds_apart(monkeypatch) -> None:
    stream = io.StringIO()
    line = StatusLine(stream, over=lambda: False)
    for now in (0.0, 1.0, 4.9, 5.0, 6.0):
        line.show(str(now), now)
    line.show("end", 6.1, at_once=True)
    assert [text[11:] for text in stream.getvalue().splitlines()] == ["0.0", "5.0", "end"]


def test_the_end_of_a_log_that_is_not_there_is_told(tmp_path) -> None:
    assert tail(tmp_path / "none.log", 3) == ["(No such file or directory)"]
    (tmp_path / "empty.log").touch()
    assert tail(tmp_path / "empty.log", 3) == ["(empty)"]
