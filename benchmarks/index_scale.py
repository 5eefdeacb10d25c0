"""How long large data sets take to index and plan: python benchmarks/index_scale.py [options].

Makes folders of subjects with four modalities each; the files hold one byte, as indexing judges by
names and sizes. Times `crossmod index` and `snakemake -n` of a study of them, each as a command of
its own: at first, and with one more subject; then the same with the conversions marked as done.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from crossmod.planning import load_plan

ROOT = Path(__file__).resolve().parents[1]
NAMES = {
    "brats": ("BraTS20_Training_{0:05d}/BraTS20_Training_{0:05d}_{1}.nii.gz", "t1 t1ce t2 flair"),
    "bids": ("sub-{0:05d}/anat/sub-{0:05d}_{1}.nii.gz", "T1w ce-gd_T1w T2w FLAIR"),
}
"""Layout to its pattern of names and what it calls T1w, T1ce, T2w and FLAIR."""

STUDY = {
    "study": "scale",
    "data_dir": "raw",
    "dataset": {"name": "scale"},
    "tasks": [{"sources": ["T1w", "T2w"], "target": "FLAIR"}],
    "models": {"unet": {"method": "unet"}},
}


def add_subject(raw: Path, layout: str, number: int) -> None:
    """Write the four scans of a subject, one byte each."""
    pattern, suffixes = NAMES[layout]
    for suffix in suffixes.split():
        path = raw / pattern.format(number, suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0")


def prepare(folder: Path, layout: str, subjects: int) -> None:
    """A folder to run the workflow in: raw files, study, links to what the rules name."""
    for number in range(subjects):
        add_subject(folder / "raw", layout, number)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    for name in ("envs", "profiles"):
        (folder / name).symlink_to(ROOT / name)


def timed(folder: Path, *command: str) -> tuple[dict[str, float], str]:
    """Wall and CPU seconds of a Python module as a command, and what it printed."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": time.perf_counter() - start, "cpu_s": cpu}, done.stdout


def snakemake(folder: Path, *options: str) -> tuple[dict[str, float], str]:
    """The workflow of the study in `folder`."""
    files = ("--snakefile", str(ROOT / "Snakefile"), "--configfile", "study.yaml")
    return timed(folder, "snakemake", "--cores", "1", *files, *options)


def measure(folder: Path, state: str) -> dict[str, object]:
    """Times of the index and of the plan, and the number of jobs planned."""
    index, _ = timed(folder, "crossmod", "index", "study.yaml")
    plan, text = snakemake(folder, "--dry-run", "--quiet", "rules")
    (jobs,) = re.findall(r"^total +(\d+)", text, re.MULTILINE)[:1]
    row = {"state": state, "jobs": int(jobs), "index": index, "plan": plan}
    times = "  ".join(f"{t['wall_s']:8.1f} {t['cpu_s']:8.1f}" for t in (index, plan))
    print(f"{state:28} {jobs:>8} {times}", flush=True)
    return row


def mark_converted(folder: Path) -> None:
    """Let Snakemake take the conversions of all sessions for done."""
    os.chdir(folder)
    plan = load_plan(path="study.yaml")
    for key in plan.ingested_sessions:
        status = plan.paths.ingested(key).status
        status.parent.mkdir(parents=True, exist_ok=True)
        status.write_text("{}")
    (plan.paths.ingested_root / "participants.tsv").touch()
    snakemake(folder, "--touch", "data")


def series(folder: Path, layout: str, subjects: int) -> list[dict[str, object]]:
    """Measurements of one size."""
    prepare(folder, layout, subjects)
    rows = [measure(folder, "new")]
    add_subject(folder / "raw", layout, subjects)
    rows.append(measure(folder, "one more subject"))
    if layout != "bids":
        mark_converted(folder)
        rows.append(measure(folder, "converted"))
        add_subject(folder / "raw", layout, subjects + 1)
        rows.append(measure(folder, "converted, one more subject"))
    return rows


def main() -> None:
    """Measure each size, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--subjects", nargs="+", type=int, default=[1000], help="sizes")
    parser.add_argument("--layout", choices=tuple(NAMES), default="brats")
    parser.add_argument("--save", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    save = arguments.save and arguments.save.resolve()
    results = []
    for subjects in arguments.subjects:
        print(f"\n{subjects} subjects, {arguments.layout}")
        print(f"{'state':28} {'jobs':>8} {'index / s: wall, CPU':>17}  plan / s: wall, CPU")
        with tempfile.TemporaryDirectory() as folder:
            rows = series(Path(folder), arguments.layout, subjects)
        results.append({"subjects": subjects, "layout": arguments.layout, "rows": rows})
    if save:
        save.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
