"""The command line: what it lists, and one clear line for every wrong input."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crossmod.cli import main, make_parser
from crossmod.config import PhantomSettings
from tests.conftest import write_scan

STAGES = {
    "index", "estimate", "headline", "methods", "phantom", "preprocess", "slices", "train",
    "synthesize", "synthesize-batch", "evaluate", "summarize", "report",
}  # fmt: skip


def test_help_lists_every_stage() -> None:
    listed = re.findall(r"^ {4}([a-z-]+)(?: |$)", make_parser().format_help(), flags=re.MULTILINE)
    assert set(listed) == STAGES


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_every_stage_has_help(stage: str, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main([stage, "--help"])
    assert caught.value.code == 0
    assert stage in capsys.readouterr().out


def test_starting_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys, crossmod.cli; crossmod.cli.make_parser(); "
    code += "print(sorted({'torch', 'pandas', 'ants', 'nibabel', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_methods_lists_all_methods(capsys) -> None:
    assert main(["methods"]) == 0
    text = capsys.readouterr().out
    assert "pix2pix" in text
    assert "null model" in text


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    command = [sys.executable, "-m", "crossmod", "methods"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_index_of_a_phantom_needs_no_data(tmp_path, monkeypatch, capsys) -> None:
    default = Path(__file__).parents[2] / "config" / "config.yaml"
    monkeypatch.chdir(tmp_path)
    assert main(["index", str(default)]) == 0
    assert re.search(r"\d\d subjects, \d\d sessions in data/phantom", capsys.readouterr().out)
    assert (tmp_path / "results/phantom/index/scans.tsv").is_file()


WRONG = [
    (["index", "none.yaml"], "none.yaml: does not exist"),
    (["slices", "--preprocessed", "none.json", "--output", "m.json"], "none.json: does not exist"),
    (["synthesize", "--model", "none.pt", "--t1w", "a.nii.gz", "-o", "o.nii.gz"], "none.pt"),
    (
        ["phantom", "--participant", "sub-9x", "--output-dir", "p"],
        "sub-9x",
    ),
    (
        ["phantom", "--settings", '{"subject": 3}', "--output-dir", "p"],
        "--settings",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda v: str(v)[:40])
def test_wrong_input_is_one_line_and_exit_code_1(
    arguments, message, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    text = capsys.readouterr().err
    assert text.startswith("crossmod: error: ")
    assert text.count("\n") == 1
    assert message in text


def test_a_phantom_subject_needs_no_count_of_subjects(tmp_path) -> None:
    """As the workflow calls it: settings without `subjects`, any participant of the study."""
    settings = PhantomSettings(resolution_mm=4, modalities=("T1w",), missing=0).of_one_subject()
    out = ["--settings", json.dumps(settings), "--output-dir", str(tmp_path)]
    assert "subjects" not in settings
    assert main(["phantom", "--participant", "sub-0031", *out]) == 0
    assert (tmp_path / "sub-0031/anat/sub-0031_T1w.nii.gz").is_file()


def test_a_bad_scan_is_a_status_with_its_reason_and_exit_code_0(tmp_path, capsys) -> None:
    scan = write_scan(tmp_path / "sub-01_T1w.nii.gz", shape=(30, 30, 30))
    scan.write_bytes(scan.read_bytes()[:-3000])
    out = tmp_path / "out"
    arguments = ["preprocess", "--session", "sub-01", "--scan", f"T1w={scan}"]
    assert main([*arguments, "--output-dir", str(out)]) == 0
    status = json.loads((out / "sub-01_desc-preproc_status.json").read_text())
    assert status["verdict"] == "failed"
    assert "is damaged" in status["reason"]
    assert "left out" in capsys.readouterr().err


def test_an_unknown_modality_is_refused_by_the_parser(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["preprocess", "--session", "sub-1", "--scan", "T9=x", "--output-dir", "o"])
    assert caught.value.code == 2
    assert "is not MODALITY=FILE" in capsys.readouterr().err
