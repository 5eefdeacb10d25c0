"""The built distributions: complete, and of use in an empty folder far from any checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import crossmod

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
STUDY = """
study: tiny
dataset: {name: tiny, layout: phantom, phantom: {subjects: 8, resolution_mm: 4.0, missing: 0}}
preprocess: {spacing_mm: 4.0, bias_field: none, registration: none}
slices: {size: 64}
tasks: [{sources: [T1w, T2w], target: FLAIR}]
models: {linear: {method: linear-regression}}
nulls: false
"""
OTHERS = ("--others", "--exclude-standard")


def run(command: list[str | Path], cwd: Path) -> str:
    """Output of a command that must end well."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "CROSSMOD"))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def checkout(*more: str) -> set[str]:
    """Files of the checkout that git knows, and with `*OTHERS` those that it would take up."""
    listing = ["git", "ls-files", "--cached", *more]
    done = subprocess.run(listing, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode != 0:
        pytest.skip("no git checkout: what belongs into the distributions is not known")
    return {name for name in done.stdout.splitlines() if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source distribution, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    offline = ["--offline", "--no-build-isolation", "--python", sys.executable]
    run([BIN / "uv", "build", "--quiet", *offline, "--out-dir", folder, ROOT], cwd=folder)
    return folder


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, whose third-party packages are those of this one."""

    root: Path

    def python(self, code: str, cwd: Path) -> str:
        return run([self.root / "bin/python", "-c", code], cwd)

    def crossmod(self, *arguments: str, cwd: Path) -> str:
        return run([self.root / "bin/crossmod", *arguments], cwd)


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    root = tmp_path_factory.mktemp("installed")
    run([BIN / "uv", "venv", "--quiet", "--offline", "--python", sys.executable, root], built)
    wheel = next(built.glob("*.whl"))
    install = [BIN / "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--python"]
    run([*install, root / "bin/python", wheel], built)
    # A folder named in a .pth file is searched, but its own .pth files are not obeyed: the
    # checkout, which is installed here in editable form, stays out of sight.
    site = next((root / "lib").glob("python*/site-packages"))
    (site / "lock.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(root)


@pytest.fixture(scope="module")
def work(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the stages have been typed by hand, from phantom to checkpoint."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "study.yaml").write_text(STUDY)
    study = "import crossmod, json; s = crossmod.load_study('study.yaml'); "
    study += "print(s.dataset.phantom.model_dump_json()); print(s.preprocess.model_dump_json())"
    phantom, preprocess = installed.python(study, folder).splitlines()
    task = json.dumps({"sources": ["T1w", "T2w"], "target": "FLAIR"})

    def stage(*arguments: str) -> None:
        installed.crossmod(*arguments, cwd=folder)

    stage("phantom", "--participant", "sub-0001", "--settings", phantom, "--output-dir", "raw")
    scans = [f"{m}=raw/sub-0001/anat/sub-0001_{m}.nii.gz" for m in ("T1w", "T2w", "FLAIR")]
    options = [part for scan in scans for part in ("--scan", scan)]
    stage(
        "preprocess", "--session", "sub-0001", *options,
        "--settings", preprocess, "--output-dir", "preproc",
    )  # fmt: skip
    stage(
        "slices", "--preprocessed", "preproc/sub-0001_desc-preproc_status.json",
        "--preprocess", preprocess, "--settings", '{"size": 64}', "--output", "sub-0001.json",
    )  # fmt: skip
    stage(
        "train", "--task", task, "--model", '{"method": "linear-regression"}',
        "--train", "sub-0001.json", "--preprocess", preprocess, "--output", "checkpoint.pt",
        "--curve", "curve.tsv", "--resume-dir", "resume",
    )  # fmt: skip
    return folder


def test_the_source_distribution_is_a_whole_checkout(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert not checkout() - names, "MANIFEST.in leaves them out"
    extra = {
        name
        for name in names - checkout(*OTHERS)
        if name.endswith((".py", ".yaml", ".smk", ".nii"))
    }
    assert not extra


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = [name for name in checkout(*OTHERS) if name.startswith("src/")]
    package = {name.removeprefix("src/") for name in sources}
    assert {"crossmod/py.typed", "crossmod/report/page.html"} < package
    assert names == package


def test_the_metadata_are_complete(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        info = f"crossmod-{crossmod.__version__}.dist-info"
        metadata = message_from_bytes(archive.read(f"{info}/METADATA"))
        assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata["Requires-Python"].split(",")) == {">=3.11", "<3.13"}
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    assert metadata.get_payload().startswith("# crossmod")
    needs = [need for need in metadata.get_all("Requires-Dist") if "extra ==" not in need]
    assert not [need for need in needs if need.startswith(("snakemake", "dvc"))]


def test_the_installed_command_is_not_the_checkout(installed: Installed, tmp_path: Path) -> None:
    assert installed.crossmod("--version", cwd=tmp_path) == f"crossmod {crossmod.__version__}\n"
    place = installed.python("import crossmod; print(crossmod.__file__)", tmp_path).strip()
    assert Path(place).is_relative_to(installed.root)


def test_commands_that_need_no_study_work_in_an_empty_folder(
    installed: Installed, tmp_path: Path
) -> None:
    assert "pix2pix" in installed.crossmod("methods", cwd=tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)
    assert "8 subjects" in installed.crossmod("index", "study.yaml", cwd=tmp_path)
    assert "train" in installed.crossmod("estimate", "study.yaml", cwd=tmp_path)


def test_the_installed_package_can_write_reports(installed: Installed, tmp_path: Path) -> None:
    code = "from crossmod.sources import stage_sources; "
    code += "print(*[p for p in stage_sources('report') if not p.endswith('.py')])"
    found = {Path(p).name for p in installed.python(code, tmp_path).split()}
    folder = ROOT / "src" / "crossmod" / "report"
    assert found == {p.name for p in folder.iterdir() if p.suffix in (".css", ".html", ".js")}
    assert {"page.css", "page.html", "viewer.js"} <= found


def test_a_new_scan_is_synthesized_by_command_and_by_function(
    installed: Installed, work: Path
) -> None:
    scans = {m: f"raw/sub-0001/anat/sub-0001_{m}.nii.gz" for m in ("T1w", "T2w")}
    options = [part for m, path in scans.items() for part in (f"--{m.lower()}", path)]
    installed.crossmod(
        "synthesize", "--model", "checkpoint.pt", *options, "-o", "flair.nii.gz", cwd=work
    )
    code = "import crossmod, numpy; "
    code += f"image = crossmod.synthesize('checkpoint.pt', {scans}, output='again.nii.gz'); "
    code += "numpy.save('flair.npy', image.get_fdata())"
    installed.python(code, work)
    made, acquired = nib.load(work / "flair.nii.gz"), nib.load(work / scans["T1w"])
    assert made.shape == acquired.shape
    assert np.allclose(made.affine, acquired.affine)
    assert np.ptp(made.get_fdata()) > 0
    assert np.array_equal(np.load(work / "flair.npy"), made.get_fdata())
    for name in ("flair.nii.gz", "flair.json"):
        assert (work / name).read_bytes() == (work / name.replace("flair", "again")).read_bytes()
