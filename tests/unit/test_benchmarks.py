"""The measurements of speed run, and write what they say."""

import json
import math
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = {
    "slices_per_s",
    "bare_slices_per_s",
    "ratio",
    "cpu_ratio",
    "waiting",
    "flops_per_s",
    "of_matrix_rate",
    "peak_mb",
    "synthesis_s",
}


def throughput(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "train_throughput.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_throughput_measures_every_method_on_stores_made_elsewhere(tmp_path: Path) -> None:
    stores, saved = str(tmp_path / "stores"), tmp_path / "saved.json"
    done = throughput("--prepare", stores, "--size", "32")
    assert done.returncode == 0, done.stderr
    small = "--width 2 --size 32 --batch 2 --steps 2 --warm-up 1 --repeats 1 --volume-slices 2"
    done = throughput(
        "--data", stores, "--accelerator", "cpu", "--save", str(saved), *small.split()
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(saved.read_text())
    results = {found["method"]: found for found in content["results"]}
    assert list(results) == ["fd-gan", "pix2pix", "milr", "sgan"]
    for found in results.values():
        assert found.keys() >= NUMBERS
        assert all(math.isfinite(found[name]) and found[name] > 0 for name in NUMBERS)
        assert found["waiting"] < 1
        assert found["ratios"] == [found["ratio"]]
        assert found["width"] == 2
    goals = {(goal["method"], goal["target"]): goal for goal in content["targets"]}
    assert len(goals) == len(content["targets"]) == 3 * 4 + 1
    for (name, text), goal in goals.items():
        assert f"{name}: {text}" in done.stdout
        # What a GPU should reach stays open here; the rest is told either way.
        assert (goal["met"] is None) == ("GPU" in text)


def test_throughput_refuses_stores_of_another_size(tmp_path: Path) -> None:
    stores = str(tmp_path / "stores")
    assert throughput("--prepare", stores, "--size", "32").returncode == 0
    done = throughput("--data", stores, "--size", "64", "--methods", "milr", "--width", "2")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        f"{stores}: holds slices of 32 px; give --size 32"
    )


def test_scale_measures_index_and_plan_of_a_growing_data_set(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    script = str(ROOT / "benchmarks" / "index_scale.py")
    command = [sys.executable, script, "--subjects", "6", "--save", str(saved)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (size,) = json.loads(saved.read_text())
    assert (size["subjects"], size["layout"]) == (6, "brats")
    jobs = {row["state"]: row["jobs"] for row in size["rows"]}
    # Seven conversions and the list of participants are not planned again; a new subject's are.
    assert jobs["converted"] == jobs["one more subject"] - 8
    assert jobs["converted, one more subject"] > jobs["converted"]
    for row in size["rows"]:
        assert all(value > 0 for name in ("index", "plan") for value in row[name].values())
        assert row["state"] in done.stdout
