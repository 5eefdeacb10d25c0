"""Methods in words: every sentence follows from a setting, every citation has its reference."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from crossmod.description import describe, description_text
from crossmod.methods import method_names
from crossmod.model_texts import method_docstring
from crossmod.planning import Plan, make_plan
from crossmod.references import REFERENCES
from crossmod.study_file import parse_study

PHANTOM = {"subjects": 12, "missing": 0, "resolution_mm": 4}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def make(**changes: Any) -> Plan:
        content: dict[str, Any] = {
            "study": f"words-{len(list(tmp_path.glob('results/*')))}",
            "dataset": {"name": "words", "layout": "phantom", "phantom": PHANTOM},
            "tasks": [{"sources": ["T1w", "T2w"], "target": "FLAIR"}],
            "models": {"unet": {"method": "unet"}},
        }
        return make_plan(parse_study({**content, **changes}, "x"))

    return make


def words(plan: Plan, section: str) -> str:
    return dict(describe(plan).paragraphs)[section]


def test_citations_are_numbered_in_order_and_all_resolved(plan: Any) -> None:
    found = describe(plan())
    text = " ".join(body for _, body in found.paragraphs)
    cited = [int(number) for number in re.findall(r"\[(\d+)\]", text)]
    first = list(dict.fromkeys(cited))
    assert first == list(range(1, len(found.references) + 1))
    assert "@" not in text
    assert set(found.references) <= set(REFERENCES.values())
    assert len(found.references) >= 12


# A setting, the section, what is said with it and no longer said without it.
SAYINGS: list[tuple[dict[str, Any], str, str]] = [
    ({"preprocess": {"bias_field": "n4"}}, "Preprocessing", "corrected with N4"),
    ({"preprocess": {"registration": "rigid"}}, "Preprocessing", "were registered rigidly"),
    ({"preprocess": {"space": "template"}}, "Preprocessing", "affine transform"),
    (
        {"preprocess": {"space": "template", "template_registration": "deformable"}},
        "Preprocessing",
        "symmetric diffeomorphic transform",
    ),
    ({"preprocess": {"space": "subject"}}, "Preprocessing", "first usable session"),
    ({"preprocess": {"brain_extraction": "surface"}}, "Preprocessing", "brain was extracted from"),
    ({"preprocess": {"interpolation": "bspline"}}, "Preprocessing", "B-spline"),
    ({"preprocess": {"percentiles": [1, 99]}}, "Preprocessing", "percentiles 1 and 99"),
    ({"preprocess": {"intensity": "maximum"}}, "Preprocessing", "its zero and maximum inside"),
    ({"preprocess": {"intensity": "maximum"}}, "Evaluation", "its own zero and maximum;"),
    ({"preprocess": {"intensity": "z-score"}}, "Preprocessing", "mean minus 5 and plus 7 standard"),
    ({"preprocess": {"intensity": "white-stripe"}}, "Preprocessing", "its level of white matter"),
    ({"preprocess": {"intensity": "white-stripe"}}, "Preprocessing", "by one line more"),
    ({"split": {"mode": "kfold", "folds": 3}}, "Data", "3-fold cross-validation"),
    ({"training": {"keep": "best"}}, "Models", "epoch with the best validation PSNR"),
    ({"training": {"context": 1}}, "Models", "1 neighboring slice on each side"),
    ({"training": {"augment_flip": True}}, "Models", "flipped left to right"),
    ({"training": {"standardization": "nyul"}}, "Models", "percentiles 1, 10, 20, ..., 90 and 99"),
    ({"slices": {"size": 128, "halvings": 1}}, "Models", "halved once"),
    ({"slices": {"fit": "resize"}}, "Models", "resized bilinearly"),
    ({"seeds": [3, 4]}, "Models", "seeds 3, 4"),
    ({"models": {"gan": {"method": "pix2pix", "adversarial": "lsgan"}}}, "Models", "least-squares"
     " loss"),
    ({"evaluation": {"bootstrap": 500}}, "Statistics", "500 samples"),
    ({"evaluation": {"protocols": ["brain-v1", "seed-v1"]}}, "Evaluation", "protocol seed-v1"),
    ({"evaluation": {"primary": {"control": "null-mean"}}}, "Statistics", "against null-mean"),
]  # fmt: skip
OTHERWISE: dict[str, Any] = {
    "preprocess": {"bias_field": "none", "registration": "none", "brain_extraction": "nonzero"},
    "models": {"linear": {"method": "linear-regression"}},
    "evaluation": {"protocols": ["brain-v1"]},
}


@pytest.mark.parametrize("changes, section, saying", SAYINGS, ids=[s for *_, s in SAYINGS])
def test_says_what_was_set(plan: Any, changes: dict, section: str, saying: str) -> None:
    assert saying in words(plan(**changes), section)
    assert saying not in words(plan(**OTHERWISE), section)


def test_cites_only_what_was_used(plan: Any) -> None:
    references = describe(plan(**OTHERWISE)).references
    unused = ("n4", "ants", "surface", "adam", "unet", "pix2pix", "torch", "mutual")
    assert not {REFERENCES[key] for key in unused} & set(references)


def test_counts_subjects_by_role(plan: Any) -> None:
    made = plan()
    text = words(made, "Data")
    numbers = [int(n) for n in re.findall(r"(\d+) to (?:train|validate|test) on", text)]
    assert sum(numbers) == 12
    assert len(numbers) == 3
    assert "no person was scanned" in text


def test_says_what_layout_was_converted(tmp_path, study_of) -> None:
    for number in range(8):
        for kind in ("t1", "t2", "flair"):
            path = tmp_path / f"raw/BraTS2021_{number:05d}_{kind}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
    text = description_text(make_plan(study_of(tmp_path / "raw")))
    assert "converted to BIDS from the layout brats" in " ".join(text.split())


def test_every_method_has_words_and_a_source(plan: Any) -> None:
    names = method_names()
    assert len(names) >= 5
    for name in names:
        summary, source = method_docstring(name)
        assert summary.endswith(".")
        assert source, name
        text = words(plan(models={"a": {"method": name}}), "Models")
        assert " a " in text


def test_the_terminal_shows_the_same(plan: Any) -> None:
    made = plan()
    text = description_text(made)
    assert max(map(len, text.splitlines())) <= 96
    for _, body in describe(made).paragraphs:
        assert body.split()[:6] == text[text.index(body.split(".")[0][:30]) :].split()[:6]
