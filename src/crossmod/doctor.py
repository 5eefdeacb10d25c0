"""Whether this machine can run a study: one small check after the other, each with a remedy."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from crossmod import machine
from crossmod.errors import CrossmodError
from crossmod.locks import STATE, workflow_at_work
from crossmod.text import some

if TYPE_CHECKING:
    from crossmod.planning import Plan

Level = Literal["ok", "warning", "error"]
JOB_GB = 4.0  # the largest `mem_mb` of the rules
CONDA = (24, 7, 1)  # Snakemake 9 asks for it
SKEW_S = 2.0  # more would put files into the future
LOCK = Path("requirements.lock")
PROGRESS_PLUGIN = "snakemake_logger_plugin_crossmod"
INSTALL = "run `make .venv/.ready`, then `source .venv/bin/activate`"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    level : {"ok", "warning", "error"}
        An error would stop a study.
    remedy : str
        What to do; empty if there is nothing to do.
    """

    check: str
    level: Level
    text: str
    remedy: str = ""


def examine(study: str, data_dir: str | None = None, folder: Path = Path()) -> list[Finding]:
    """Make all checks for one study in one project folder.

    Parameters
    ----------
    study : str
        Study file, or its content as JSON.
    data_dir : str, optional
        Folder of the raw data, instead of the study's own.
    folder : path
        Where the study would be started.
    """
    findings = [
        check_python(platform.python_version(), metadata("crossmod")["Requires-Python"]),
        check_packages(requires("crossmod") or [], read_lock(folder / LOCK), version_of),
        check_project(folder, find_spec(PROGRESS_PLUGIN) is not None),
        check_cores(machine.cores()),
        check_memory(machine.memory_gb(), machine.cores()),
        check_cards(machine.graphics_cards(), shutil.which("nvidia-smi") is not None),
        check_conda(machine.program_version("conda")),
        check_program("git", machine.program_version("git"), "report and sidecars name no commit"),
        check_program("dvc", machine.program_version("dvc"), "results cannot be versioned"),
        check_writable(folder),
        check_clock(folder),
        check_locks(folder),
    ]
    found, plan = check_study(study, data_dir)
    findings.append(found)
    if plan is not None:
        findings += [check_data(plan), check_disk_of(plan, folder)]
    return findings


def stops(findings: Iterable[Finding]) -> bool:
    """Whether something found would stop a study."""
    return any(finding.level == "error" for finding in findings)


def as_text(findings: Sequence[Finding]) -> str:
    """One line per finding, its remedy below it, and the upshot."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:8} {finding.check:9} {finding.text}")
        if finding.remedy:
            lines.append(f"{'':18} -> {finding.remedy}")
    counts = {level: sum(f.level == level for f in findings) for level in ("error", "warning")}
    upshot = "would stop a study" if counts["error"] else "nothing would stop a study"
    told = ", ".join(f"{n} {level}{'s' * (n > 1)}" for level, n in counts.items() if n)
    return "\n".join([*lines, f"{told or 'no warnings'}: {upshot}"])


def as_json(findings: Sequence[Finding]) -> str:
    """The findings for machines."""
    content = {"ok": not stops(findings), "checks": [asdict(finding) for finding in findings]}
    return json.dumps(content, indent=2)


def check_python(found: str, wanted: str) -> Finding:
    """Whether this Python is one the packages are made for."""
    from packaging.specifiers import SpecifierSet

    if SpecifierSet(wanted).contains(found, prereleases=True):
        return Finding("python", "ok", found)
    return Finding("python", "error", f"{found}, not {wanted}", "install Python 3.11")


def read_lock(path: Path) -> dict[str, str]:
    """Package to version; empty if there is no lock."""
    if not path.is_file():
        return {}
    pins = (line.partition("==") for line in path.read_text().split())
    return {name: pin for name, _, pin in pins}


def version_of(package: str) -> str | None:
    """Installed version of a package, without the label of a build."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return None


def check_packages(
    needed: Sequence[str], lock: Mapping[str, str], installed: Callable[[str], str | None]
) -> Finding:
    """Whether what is needed is installed, and in the versions the project is tested with."""
    from packaging.requirements import Requirement

    faults = []
    for requirement in map(Requirement, needed):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = installed(requirement.name)
        if found is None:
            faults.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(found, prereleases=True):
            faults.append(f"{requirement.name} is {found}, not {requirement.specifier}")
    if faults:
        return Finding("packages", "error", some(faults), INSTALL)
    if not lock:
        text = f"complete, but there is no {LOCK} here to compare versions with"
        return Finding("packages", "warning", text, "start in the project's folder")
    others = [
        f"{name} {installed(name) or 'missing'}, not {pin}"
        for name, pin in lock.items()
        if installed(name) != pin
    ]
    if others:
        text = f"not as in {LOCK}, results may differ: {some(others)}"
        return Finding("packages", "warning", text, INSTALL)
    return Finding("packages", "ok", f"{len(lock)} as in {LOCK}")


def check_project(folder: Path, plugin: bool) -> Finding:
    """Whether a study can be started here."""
    if not (folder / "Snakefile").is_file():
        return Finding("project", "error", "no Snakefile here", "start in the project's folder")
    if not plugin:
        text = f"the package {PROGRESS_PLUGIN}, which shows the progress, is not installed"
        return Finding("project", "error", text, "run `pip install --no-deps -e .`")
    return Finding("project", "ok", str(folder.resolve()))


def check_cores(count: int) -> Finding:
    """Whether there is more than one core."""
    if count > 1:
        return Finding("cores", "ok", str(count))
    remedy = "expect about twice the time that two cores take"
    return Finding("cores", "warning", "only one", remedy)


def check_memory(gb: float, cores: int) -> Finding:
    """Whether as many jobs as there are cores fit into memory."""
    text = f"{gb:.1f} GB"
    if gb < JOB_GB:
        return Finding("memory", "error", f"{text}, a job may need {JOB_GB:g}", "add memory")
    fit = int(gb // JOB_GB)
    if fit < cores:
        text += f", enough for {fit} jobs of {JOB_GB:g} GB side by side, not for {cores}"
        remedy = f"run `snakemake --cores {fit}`, or add `--resources mem_mb={int(gb * 900)}`"
        return Finding("memory", "warning", text, remedy)
    return Finding("memory", "ok", text)


def check_cards(cards: Sequence[tuple[str, float]], driver: bool) -> Finding:
    """Whether torch can use the graphics cards there are."""
    if cards:
        text = ", ".join(f"{name} ({gb:.0f} GB)" for name, gb in cards)
        return Finding("gpu", "ok", f"{text}; use it with `--profile profiles/gpu`")
    if driver:
        text = "there is an NVIDIA driver, but torch cannot use the card"
        remedy = "install a torch built for CUDA, of the version in the lock, and a fitting driver"
        return Finding("gpu", "warning", text, remedy)
    return Finding("gpu", "ok", "none; models are trained on the processor")


def check_conda(found: str | None) -> Finding:
    """Whether `--use-conda` would work."""
    if found is None:
        return Finding("conda", "ok", "not on the PATH; needed for `--use-conda` alone")
    if not found:
        remedy = "run it by hand, or leave `--use-conda` away"
        return Finding("conda", "warning", "`conda --version` tells no version", remedy)
    if tuple(int(part) for part in found.split(".")[:3]) < CONDA:
        wanted = ".".join(map(str, CONDA))
        remedy = "run `conda update -n base conda`, or leave `--use-conda` away"
        return Finding("conda", "warning", f"{found}, older than {wanted}", remedy)
    return Finding("conda", "ok", found)


def check_program(name: str, found: str | None, loss: str) -> Finding:
    """Whether a program that adds something is there."""
    if found is None:
        return Finding(name, "warning", f"not on the PATH: {loss}", f"install {name}")
    return Finding(name, "ok", found or "version unknown")


def check_writable(folder: Path) -> Finding:
    """Whether the folders a study writes to can be written."""
    names = ("data", "derivatives", "results", "logs", STATE.name)
    there = [folder / name for name in names if (folder / name).exists()]
    refused = [str(path) for path in (folder, *there) if not os.access(path, os.W_OK)]
    if refused:
        text = f"no permission to write {some(refused)}"
        return Finding("writing", "error", text, "change owner or permissions of these folders")
    return Finding("writing", "ok", "the project can be written")


def check_clock(folder: Path) -> Finding:
    """Whether files get the time that this machine has; Snakemake compares such times."""
    try:
        skew = machine.clock_skew_s(folder)
    except OSError as error:
        return Finding("clock", "warning", f"not checked: {error.strerror}", "see writing")
    if abs(skew) > SKEW_S:
        text = f"files written here are {skew:+.0f} s off this machine's clock"
        return Finding("clock", "warning", text, "set both clocks by the same server (NTP)")
    return Finding("clock", "ok", "files get the right time")


def check_locks(folder: Path) -> Finding:
    """Whether a run is at work here, or what a dead one left."""
    state = folder / STATE
    owner = workflow_at_work(state)
    if owner is not None:
        text = f"another run (process {owner}) is at work here"
        return Finding("locks", "error", text, "wait for it, or stop it")
    left = [name for name in ("locks", "incomplete") if any((state / name).glob("*"))]
    if left:
        return Finding("locks", "ok", "a run ended early here; the next one goes on after it")
    return Finding("locks", "ok", "none")


def check_study(study: str, data_dir: str | None) -> tuple[Finding, Plan | None]:
    """Whether the study can be planned, and its plan."""
    from crossmod.planning import make_plan
    from crossmod.study_file import study_from

    try:
        plan = make_plan(study_from(study, data_dir))
    except CrossmodError as error:
        where, problem = error.where, " ".join(error.problem.split())
        return Finding("study", "error", f"{where}: {problem}", error.remedy), None
    except OSError as error:
        text = f"{error.filename or study}: {error.strerror}"
        return Finding("study", "error", text, "see writing"), None
    text = f"{plan.study.study}: {len(plan.sessions)} sessions, {len(plan.runs)} runs"
    return Finding("study", "ok", text), plan


def check_data(plan: Plan) -> Finding:
    """Whether the raw scans can be read."""
    if plan.phantom_groups:
        return Finding("data", "ok", "the study makes its own")
    paths = [s.path(m) for s in plan.sessions.values() for m in s.available]
    refused = [str(path) for path in paths if not os.access(path, os.R_OK)]
    if refused:
        text = f"{len(refused)} of {len(paths)} scans cannot be read: {some(refused)}"
        return Finding("data", "error", text, "change their permissions")
    return Finding("data", "ok", f"{len(paths)} scans in {plan.paths.data}")


def check_disk_of(plan: Plan, folder: Path) -> Finding:
    """Whether what the study still has to write fits on the disk."""
    from crossmod.estimate import estimate

    made = [plan.paths.root, plan.paths.derivatives]
    made += [plan.paths.data] if plan.phantom_groups else []
    missing = max(0.0, estimate(plan).disk_bytes - machine.size_bytes(made))
    return check_disk(shutil.disk_usage(folder).free / 1e9, missing / 1e9)


def check_disk(free_gb: float, needed_gb: float) -> Finding:
    """Whether as much is free as is needed; estimates may be half of the truth."""
    text = f"{free_gb:.1f} GB free, about {needed_gb:.1f} GB still to write"
    if free_gb < needed_gb:
        return Finding("disk", "error", text, "free some space, or move the project")
    if free_gb < 2 * needed_gb:
        return Finding("disk", "warning", text, "free some space, or keep an eye on it")
    return Finding("disk", "ok", text)
