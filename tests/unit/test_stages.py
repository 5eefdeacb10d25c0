"""What a study needs beside its runs: estimates, curves for DVC, benchmark files."""

import re

import pytest

from crossmod.cli import main
from crossmod.description import description_text
from crossmod.estimate import disk_bytes, job_seconds
from crossmod.evaluation.curves import write_curves
from crossmod.files import read_rows, write_rows
from crossmod.planning import make_plan
from crossmod.progress import read_expectation
from crossmod.stages import benchmark_files, model_costs, report_request
from crossmod.summary_text import index_text
from crossmod.text import some, text_table
from crossmod.training.curve import clock
from tests.conftest import write_scan

THREE = ["T1w", "T2w", "FLAIR"]


def test_clock_reads_like_a_clock() -> None:
    assert [clock(s) for s in (0, 59.6, 61, 3600, 3725)] == [
        "0:00:00", "0:01:00", "0:01:01", "1:00:00", "1:02:05"
    ]  # fmt: skip


def test_long_lists_are_cut() -> None:
    assert [some(list("abcde"[:n])) for n in (0, 1, 3, 5)] == [
        "",
        "a",
        "a, b, c",
        "a, b, c and 2 more",
    ]


def test_tables_are_aligned() -> None:
    text = text_table(["name", "n"], [["a", 1], ["long", 10]])
    assert text == "name   n\na      1\nlong  10"
    words = text_table(["name", "kind"], [["a", "x"], ["long"]], numbers=False)
    assert words == "name  kind\na     x\nlong"


def test_measured_times_replace_the_usual_ones(bids, study_of, tmp_path) -> None:
    study = study_of(bids({f"sub-{i}": THREE for i in range(8)}))
    plan = make_plan(study)
    usual = job_seconds(plan)
    assert usual["preprocess"][0] == 8
    assert "phantom" not in usual
    log = tmp_path / "logs" / "tiny" / f"preprocess-{study.preprocess.hash}" / "sub-1.tsv"
    for path in (log, log.with_name("sub-gone.tsv")):
        write_rows(path, ("s", "max_rss"), [{"s": "100.5", "max_rss": "10"}])
    assert benchmark_files(plan)["preprocess"] == (log.relative_to(tmp_path),)
    assert job_seconds(plan)["preprocess"] == (8, pytest.approx(804))


def test_a_measured_training_replaces_the_one_computed(bids, study_of, tmp_path, capsys) -> None:
    study = study_of(bids({f"sub-{i}": THREE for i in range(8)}))
    plan = make_plan(study)
    unet, mean = plan.runs
    log = tmp_path / "logs" / study.study / "train" / f"{unet}.tsv"
    write_rows(log, ("s", "max_rss"), [{"s": "4000.5", "max_rss": "10"}])
    assert main(["estimate", study.model_dump_json(), "--save", "expected.json"]) == 0
    found = read_expectation(tmp_path / "expected.json")
    assert found.seconds("train", unet) == 4000.5
    assert found.seconds("train", mean) < 100
    assert found.seconds("slices") == 2.5
    text = capsys.readouterr().out
    assert "1:06:40" in text
    # However many cores there are, that training runs on its own.
    assert re.search(r"core time 1:\d\d:\d\d \(1:0\d:\d\d on the \d+ cores here\)", text)
    header = next(line for line in text.splitlines() if line.startswith("model"))
    assert re.findall(r"(?:million|TFLOP|GB|h:mm:ss)", header) == [
        "million", "TFLOP", "GB", "h:mm:ss"
    ]  # fmt: skip


def test_the_disk_space_grows_with_subjects_and_voxels(bids, study_of) -> None:
    def needed(subjects: int, name: str, **changes) -> float:
        root = bids({f"sub-{i}": THREE for i in range(subjects)})
        plan = make_plan(study_of(root, dataset={"name": name}, study=name, **changes))
        return disk_bytes(plan, {})

    few = needed(8, "few")
    assert needed(16, "many") == pytest.approx(2 * few, rel=0.3)
    assert needed(16, "fine", preprocess={"spacing_mm": 0.5}) > 3 * few
    assert 8 * 3 * 130 * 32**2 * 4 < few < 1e9


def test_curves_are_means_over_runs_by_epoch_and_model(tmp_path) -> None:
    names = ("epoch", "step", "split", "name", "value")
    curves = []
    for seed, value in ((0, 20.0), (1, 22.0)):
        path = tmp_path / f"{seed}.tsv"
        rows = [
            dict(zip(names, (1, 5, "train", "l1", 0.5), strict=True)),
            dict(zip(names, (2, 10, "validation", "psnr", value), strict=True)),
        ]
        write_rows(path, names, rows)
        curves.append(("unet", path))
    write_curves(curves, tmp_path / "curves.tsv")
    assert read_rows(tmp_path / "curves.tsv") == [{"epoch": "2", "unet": "21"}]


def test_the_report_gets_every_run_and_session(bids, study_of) -> None:
    study = study_of(bids({f"sub-{i}": THREE for i in range(8)}), seeds=[0, 1])
    request = report_request(make_plan(study))
    assert [(r.model, r.seed) for r in request.runs] == [("unet", 0), ("unet", 1), ("mean", 0)]
    assert request.primary_model == "unet"
    assert len(request.preprocessed) == len(request.manifests) == 8


def test_the_index_is_told_in_words(bids, study_of) -> None:
    root = bids({**{f"sub-{i}": THREE for i in range(7)}, "sub-7": ["T1w"]})
    study = study_of(root, dataset={"name": "tiny", "exclude": {"sub-3": "moved"}})
    text = index_text(make_plan(study))
    assert "8 subjects, 8 sessions" in text
    assert "excluded: sub-3: moved" in text
    assert "unserved: FLAIR, lacks the source T2w: sub-7\n" in text
    assert "annotations: 0 brain masks, 0 lesion maps\n" in text


def test_long_lists_of_the_index_are_one_line(bids, study_of) -> None:
    few = {f"sub-{i}": THREE for i in range(10, 18)}
    root = bids({**few, **{f"sub-{i}": ["T1w", "PDw"] for i in range(30, 45)}})
    for number in range(30, 45):
        write_scan(root / f"sub-{number}/anat/sub-{number}_T2W.nii.gz")
    write_scan(root / "derivatives/masks/sub-10/anat/sub-10_desc-brain_mask.nii.gz")
    plan = make_plan(study_of(root))
    lines = index_text(plan).splitlines()
    assert "annotations: 1 brain mask, 0 lesion maps" in lines
    wrong = [line for line in lines if "T2W instead of T2w" in line]
    first = ", ".join(f"sub-{i}/anat/sub-{i}_T2W.nii.gz" for i in (30, 31, 32))
    assert wrong == [f"not used, the name ends on T2W instead of T2w: {first} and 12 more"]
    unserved = [line for line in lines if line.startswith("unserved")]
    assert unserved == [
        "unserved: T2w, no task of this study makes T2w: sub-30, sub-31, sub-32 and 12 more",
        "unserved: FLAIR, lacks the source T2w: sub-30, sub-31, sub-32 and 12 more",
    ]
    # PDw is there and no task uses it: nobody asked for the eight that are missing.
    assert {row["modality"] for row in plan.unserved} == {"T2w", "FLAIR"}
    assert len(read_rows(plan.paths.index("remarks"))) == 15
    assert "15 sessions lack at least one of T1w, T2w and FLAIR" in description_text(plan)


def test_every_model_has_its_size_counted(bids, study_of) -> None:
    plan = make_plan(study_of(bids({f"sub-{i}": THREE for i in range(8)})))
    costs = model_costs(plan)
    assert set(costs) == {(run.task.id, run.model) for run in plan.runs.values()}
    for (_, model), counted in costs.items():
        network = plan.study.models[model].method == "unet"
        assert (counted["parameters"] > 1000) == network
        assert (counted["flops_per_training_slice"] > 0) == network
