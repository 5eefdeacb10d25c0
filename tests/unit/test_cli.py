"""The command line: what it lists, and one clear line for every wrong input."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crossmod.cli import main, make_parser
from crossmod.config import PhantomSettings
from crossmod.io import write_image
from crossmod.status import Status, guarded
from tests.conftest import write_scan
from tests.unit.heads import make_head

STAGES = {
    "index", "estimate", "describe", "doctor", "headline", "methods", "phantom", "preprocess",
    "slices", "ingest", "quality", "trace",
    "train", "synthesize", "synthesize-batch", "evaluate", "summarize", "report", "completion",
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


HEAVY = {
    "torch", "lightning", "pandas", "ants", "nibabel", "nilearn", "scipy", "skimage", "matplotlib",
    "snakemake",
}  # fmt: skip
SETTINGS = {"pydantic", "yaml"}


@pytest.mark.parametrize(
    ("arguments", "spared"),
    [
        (["--help"], HEAVY | SETTINGS),
        (["train", "--help"], HEAVY | SETTINGS),
        (["completion", "bash"], HEAVY | SETTINGS),
        (["methods"], HEAVY),
        (["index", "config/config.yaml"], HEAVY),
        (["phantom", "--description-only", "--output-dir", "made"], HEAVY - {"scipy", "nibabel"}),
        (["train", "--task", "{}", "--model", "{}", "--train", "m", "--output", "c", "--curve", "t",
          "--resume-dir", "r"], HEAVY),
    ],
    ids=lambda v: " ".join(v[:2]) if isinstance(v, list) else "",
)  # fmt: skip
def test_light_commands_and_refusals_import_nothing_heavy(arguments, spared, tmp_path) -> None:
    (tmp_path / "config").symlink_to(Path(__file__).parents[2] / "config")
    code = "import sys, contextlib, crossmod.cli\n"
    code += "with contextlib.suppress(SystemExit): crossmod.cli.main(sys.argv[1:])\n"
    code += "print('imported', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    imported = done.stdout.rpartition("imported")[2].split()
    assert len(imported) > 50
    assert spared & set(imported) == set()


def test_help_tells_exit_codes_and_every_option(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert re.search(r"exit codes:\n +0 .*\n +1 .*\n +2 .*\n +130 ", capsys.readouterr().out)
    described = 0
    for action in make_parser()._actions:
        for name, command in (getattr(action, "choices", None) or {}).items():
            for option in command._actions:
                assert option.help, (name, option.option_strings)
                described += 1
    assert described > 80


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_prints_nothing_and_verbose_more(place, tmp_path, capsys) -> None:
    stage = ["phantom", "--description-only", "--output-dir", str(tmp_path)]
    said = {}
    for option in ("-q", "", "-v"):
        given = [option] if option else []
        assert main([*given, *stage] if place == "before" else [*stage, *given]) == 0
        said[option] = capsys.readouterr()
    assert said["-q"].err == said["-q"].out == ""
    assert said[""].err == f"crossmod phantom: wrote {tmp_path}/participants.tsv\n"
    assert said["-v"].err.endswith(said[""].err)
    assert "subjects=24" in said["-v"].err


def test_quiet_still_prints_results(capsys) -> None:
    assert main(["-q", "methods"]) == 0
    said = capsys.readouterr()
    assert "pix2pix" in said.out
    assert said.err == ""


def test_a_stage_tells_what_it_does_and_how_it_ended(tmp_path, capsys) -> None:
    settings = json.dumps({"subjects": 2, "resolution_mm": 4, "modalities": ["T1w"]})
    assert main(["phantom", "--settings", settings, "--output-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().err.splitlines()[1:]
    assert lines[0] == "crossmod phantom: subject 1 of 2: sub-0001"
    assert lines[2] == "crossmod phantom: subject 2 of 2: sub-0002"
    for line, subject in zip(lines[1::2], ("sub-0001", "sub-0002"), strict=True):
        assert re.fullmatch(rf"crossmod phantom: wrote .*/{subject} \(\d+\.\d s\)", line)


def test_the_sessions_of_a_batch_are_counted(tmp_path, monkeypatch, capsys, caplog) -> None:
    def batch(model: Path, sessions: list, *_: Path) -> None:
        guarded("synthesize", "sub-1", lambda: Status("synthesize", "sub-1"))
        guarded("synthesize", "sub-2", lambda: Status("synthesize", "sub-2", "failed", "empty"))

    monkeypatch.setattr("crossmod.synthesis.synthesize_batch", batch)
    monkeypatch.chdir(tmp_path)
    arguments = ["synthesize-batch", "--model", "m.pt", "--preprocessed", "a", "b"]
    arguments += ["--slices", "c", "d", "--output-dir", "o", "--output", "o/status.json"]
    assert main(arguments) == 0
    said = [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said[:3] == [
        "2 sessions with m.pt",
        "1 of 2: sub-1: synthesize done (0.0 s), about 5 s left",
        "2 of 2: sub-2 left out: empty",
    ]
    guarded("preprocess", "sub-3", lambda: Status("preprocess", "sub-3", "failed", "dark"))
    assert caplog.messages[-1] == "sub-3 left out: dark"


def test_quiet_prints_errors_and_verbose_where_they_arose(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["-q", "index", "none.yaml"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["index", "none.yaml", "-v"]) == 1
    text = capsys.readouterr().err
    assert text.startswith("Traceback")
    assert text.splitlines()[-1].startswith("crossmod: error: none.yaml: does not exist")


@pytest.mark.parametrize("path", ["/dev/full", "folder/file"])
def test_a_fault_of_the_machine_is_one_line(path, tmp_path, monkeypatch, capsys) -> None:
    """A full disk, and a folder that may not be written (which root always may)."""
    monkeypatch.chdir(tmp_path)

    def refuse(*_: object) -> None:
        code = errno.ENOSPC if path == "/dev/full" else errno.EACCES
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr("crossmod.phantom.write_dataset", refuse)
    assert main(["phantom", "--description-only", "--output-dir", "p"]) == 1
    text = capsys.readouterr().err
    assert text.startswith(f"crossmod: error: {path}: ")
    assert text.count("\n") == 1


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
    assert main(["--quiet", *arguments]) == 1
    text = capsys.readouterr().err
    assert text.startswith("crossmod: error: ")
    assert text.count("\n") == 1
    assert message in text
    assert main(arguments) == 1
    assert capsys.readouterr().err.endswith(text)


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


def test_a_damaged_scan_beside_the_reference_is_told_on_screen(tmp_path, capsys) -> None:
    head, _ = make_head(skull=False)
    write_image(tmp_path / "t1.nii.gz", head)
    damaged = write_scan(tmp_path / "flair.nii.gz", shape=(30, 30, 30))
    damaged.write_bytes(damaged.read_bytes()[:-3000])
    scans = [f"--scan=T1w={tmp_path}/t1.nii.gz", f"--scan=FLAIR={damaged}"]
    settings = ["--settings", '{"bias_field": "none", "registration": "none"}']
    out = ["--output-dir", str(tmp_path / "out")]
    assert main(["preprocess", "--session", "sub-01", *scans, *settings, *out]) == 0
    said = capsys.readouterr().err
    assert "sub-01: FLAIR left out: flair.nii.gz is damaged" in said
    assert "sub-01: preprocess done" in said


def test_an_unknown_modality_is_refused_by_the_parser(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["preprocess", "--session", "sub-1", "--scan", "T9=x", "--output-dir", "o"])
    assert caught.value.code == 2
    assert "is not MODALITY=FILE" in capsys.readouterr().err
