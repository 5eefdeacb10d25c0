"""The studies of the FD-GAN paper's experiments hold what they say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from snakemake.utils import update_config

from crossmod.config import Study
from crossmod.data.splits import assign, participants, read_split
from crossmod.methods import declaration
from crossmod.study_file import load_study, read_yaml

STUDIES = Path(__file__).resolve().parents[2] / "config" / "studies"
BRATS = STUDIES / "seed-brats2015.yaml"
GLOBAL = {"discriminator": "global"}


def test_studies_of_the_seed_paper_hold_its_three_experiments() -> None:
    paths = [STUDIES / f"seed-{name}.yaml" for name in ("brats2015", "phantom", "real")]
    for path in paths:
        phantom = "phantom" in path.stem
        study = load_study({} if phantom else {"data_dir": "somewhere"}, path)
        assert [len(task.sources) for task in study.tasks] == [2, 1, 3]
        grids = {m.own.get("laf_grid", 2) for m in study.models.values() if m.method == "fd-gan"}
        assert grids == {1, 2, 4, 8, 16}
        judges = {
            (m.own.get("discriminator_width") or m.own.get("width", 64))
            for m in study.models.values()
            if m.method in ("fd-gan", "pix2pix", "sgan")
        }
        assert len(judges) == 1
        for preset in ("mean", "sum"):
            pair = [study.models[f"{name}-{preset}"].own for name in ("fd-gan", "pix2pix")]
            assert [own["l1_weight"] for own in pair] == [f"paper-{preset}"] * 2


def test_the_study_without_coarse_scans_repeats_the_main_comparison() -> None:
    whole, fine = (
        load_study({"data_dir": "somewhere"}, STUDIES / f"seed-real{name}.yaml")
        for name in ("", "-fine-gray")
    )
    left = set(whole.dataset.include or ()) - set(fine.dataset.include or ())
    assert len(left) == 7
    assert {name[:7] for name in left} == {"sub-B13", "sub-B18"}
    assert fine.tasks == whole.tasks[:1]
    named = [name for name, m in fine.models.items() if not declaration(m.method).null]
    assert named == ["fd-gan", "pix2pix", "milr", "sgan", "unet", "replica"]
    assert all(fine.models[name].own == whole.models[name].own for name in named)
    budget = ("epochs", "steps_per_epoch", "batch_size", "augment_flip", "keep")
    trained = [[getattr(study.training, key) for key in budget] for study in (fine, whole)]
    assert trained[0] == trained[1]
    assert fine.evaluation.experiments[0].rows == whole.evaluation.experiments[0].rows
    # Preprocessed volumes and slices are shared.
    assert fine.dataset.name == whole.dataset.name
    assert (fine.preprocess, fine.slices) == (whole.preprocess, whole.slices)


def test_settings_were_searched_on_nobody_who_is_tested_in_the_fold_of_the_ablations() -> None:
    real, search = (
        load_study({"data_dir": "somewhere"}, STUDIES / f"seed-{name}.yaml")
        for name in ("real", "search")
    )
    rows = read_split(STUDIES / "seed-search-split.tsv", 1)
    assert {person for person, _ in rows} == set(search.dataset.include or ())
    tested = participants(read_split(STUDIES / "seed-real-split.tsv", 3), 0, ["test"])
    assert len(tested) == 5
    assert not set(tested) & set(search.dataset.include or ())
    # Those whose scores chose the settings are left out of one experiment.
    chosen_by = set(participants(rows, 0, ["validation"]))
    assert chosen_by in [set(experiment.without) for experiment in real.evaluation.experiments]
    assert (search.preprocess, search.slices) == (real.preprocess, real.slices)
    for name in ("fd-gan", "pix2pix"):
        assert search.models[name].own == real.models[name].own


def test_brats_study_divides_as_the_paper_does() -> None:
    study = load_study({"data_dir": "somewhere"}, BRATS)
    grades = {f"sub-brats2013pat{i:04d}": "HGG" if i < 124 else "LGG" for i in range(164)}
    split = assign(grades, {}, study.split)
    assert Counter(split.values()) == {"train": 113, "validation": 13, "test": 38}
    high = sum(grades[person] == "HGG" for (person, _), role in split.items() if role == "test")
    assert 28 <= high <= 30  # 124 of 164
    written = assign(grades, {}, as_written().split)
    assert Counter(written.values()) == {"train": 126, "test": 38}
    assert study.seeds == (0, 1, 2)


def test_as_written_is_the_brats_study_with_the_ways_of_the_paper() -> None:
    ours, paper = load_study({"data_dir": "somewhere"}, BRATS), as_written()
    assert (ours.preprocess.intensity, ours.slices.fit) == ("percentiles", "pad")
    assert (paper.preprocess.intensity, paper.slices.fit) == ("maximum", "resize")
    assert list(paper.models) == [*ours.models, "null-linear-native"]
    assert {name: paper.models[name].own for name in ours.models} == {
        name: {**model.own, **GLOBAL} if model.method in ("fd-gan", "pix2pix") else model.own
        for name, model in ours.models.items()
    }
    same = ("tasks", "training", "evaluation", "dataset")
    assert all(getattr(ours, key) == getattr(paper, key) for key in same)


def as_written() -> Study:
    """The study of two files, laid over each other by Snakemake as `--configfile` does."""
    content = read_yaml(BRATS)
    update_config(content, read_yaml(STUDIES / "seed-brats2015-as-written.yaml"))
    return load_study({**content, "data_dir": "somewhere"})


def test_the_study_of_precision_differs_in_precision_alone() -> None:
    real, study = (
        load_study({"data_dir": "somewhere"}, STUDIES / f"seed-{name}.yaml")
        for name in ("real", "precision")
    )
    full, half = (study.settings_of(name) for name in ("fd-gan", "fd-gan-bf16"))
    assert (full["training"].pop("precision"), half["training"].pop("precision")) == (
        "32-true",
        "bf16-mixed",
    )
    assert full == half
    assert full["settings"]["width"] == 64
    assert len(study.seeds) == 3
    assert study.evaluation.experiments[0].margin == 0.2
    assert (study.dataset, study.preprocess, study.split) == (
        real.dataset,
        real.preprocess,
        real.split,
    )
