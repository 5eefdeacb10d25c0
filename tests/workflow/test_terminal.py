"""What a person sees while a study runs: in a file, on a terminal, after a fault or Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import signal
import sys
from pathlib import Path

from tests.workflow.conftest import Project

STAMP = r"\[\d\d:\d\d:\d\d\] "


def said(text: str) -> list[str]:
    """The lines, without times of day."""
    return [re.sub(f"^{STAMP}", "", line) for line in text.splitlines()]


def test_a_file_gets_stages_jobs_and_time_left(project: Project) -> None:
    done = project.snakemake("--cores", "2", "--forcerun", "summarize")
    assert done.returncode == 0, done.stderr
    lines = said(done.stderr)
    assert "2 jobs to run on 2 cores: 1 summarize, 1 report" in lines
    assert any(re.fullmatch(r"1 of 2 jobs, about .* left \| summarize 1/1", line) for line in lines)
    assert any(re.fullmatch(r"all 2 jobs done in .*", line) for line in lines)
    assert not re.search(r"jobid|Select jobs|Execute \d|steps", done.stderr)
    assert re.search(r"Finished jobid: \d+ \(Rule: report\)", log_file(project))
    expectation = (project.root / ".snakemake/crossmod-expectation.json").read_text()
    assert '"summarize"' in expectation
    assert "unet" in expectation


def test_a_failed_job_shows_the_end_of_its_log(project: Project) -> None:
    page = project.root / "src/crossmod/report/page.py"
    page.write_text(page.read_text() + "\nraise RuntimeError('broken on purpose')\n")
    done = project.snakemake("--cores", "2")
    assert done.returncode != 0
    lines = said(done.stderr)
    assert lines.count("  RuntimeError: broken on purpose") == 1
    assert lines[-3:] == [
        "0 of 1 jobs are done",
        "failed: report (log: logs/small/report.log)",
        "the same command goes on from there",
    ]
    assert "CalledProcessError" not in done.stderr


def test_quiet_runs_and_dry_runs_are_snakemakes_own(project: Project) -> None:
    done = project.snakemake("--cores", "2", "--forcerun", "report", "--quiet", "all", "-n")
    assert re.search(r"^report +1$", done.stdout, flags=re.MULTILINE)
    done = project.snakemake("--cores", "2", "--forcerun", "report", "--quiet", "all")
    assert done.returncode == 0
    assert said(done.stderr) == [
        "Using workflow specific profile profiles/default for setting default command line "
        "arguments."
    ]


def test_ctrl_c_on_a_terminal_is_no_list_of_faults(project: Project) -> None:
    text = on_terminal(project, "--forcerun", "preprocess")
    assert re.search(r"\r\x1b\[K0 of \d+ jobs, about [^\r]* left \| preprocess 0/11", text)
    after = said(text.rpartition("\r\x1b[K")[2].replace("\r", ""))
    assert any(re.fullmatch(r"interrupted: \d+ of \d+ jobs are done", line) for line in after)
    assert after[-1] == "the same command goes on from there"
    assert "failed:" not in text
    assert "Error" not in text


def on_terminal(project: Project, *arguments: str) -> str:
    """Output of a run on a terminal, where Ctrl-C is typed once a session is at work."""
    snakemake = Path(sys.executable).with_name("snakemake")
    command = [str(snakemake), "--cores", "2", "--configfile", "config/studies/small.yaml"]
    pid, terminal = pty.fork()
    if pid == 0:
        # As a terminal's shell does: what was started in the background ignores Ctrl-C.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.chdir(project.root)
        os.environ.update(PATH=f"{snakemake.parent}{os.pathsep}{os.environ['PATH']}", TERM="xterm")
        os.execv(snakemake, [*command, *arguments])
    text, typed = b"", False
    while True:
        try:
            found = os.read(terminal, 4096)
        except OSError:  # how a terminal tells its end on Linux
            break
        if not found:
            break
        text += found
        # Drawn a second time after a second, when a job is really at work.
        if not typed and text.count(b"| preprocess 0/") > 1:
            os.write(terminal, b"\x03")
            typed = True
    os.waitpid(pid, 0)
    os.close(terminal)
    return text.decode()


def log_file(project: Project) -> str:
    """Snakemake's own log of the last run."""
    return max((project.root / ".snakemake/log").iterdir()).read_text()
