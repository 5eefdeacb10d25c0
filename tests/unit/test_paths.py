"""File names: the reference page lists each pattern, and keys make a round trip."""

import re
from pathlib import Path

import pytest

from crossmod.api import INDEX_TABLES
from crossmod.errors import InputError
from crossmod.paths import (
    QUALITY_PAGE,
    StudyPaths,
    raw_scan,
    session_key,
    session_page,
    split_key,
    synthetic_volume,
)
from crossmod.study_file import parse_study

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "outputs.md"
STUDY = {
    "study": "mine",
    "data_dir": "raw",
    "dataset": {"name": "mydata"},
    "tasks": [{"sources": ["T1w"], "target": "FLAIR"}],
    "models": {"unet": {"method": "unet"}},
}
TABLES = ("scores", "summary", "comparisons", "experiments", "curves")


@pytest.fixture
def paths() -> StudyPaths:
    return StudyPaths(parse_study(STUDY, "x"))


def all_outputs(paths: StudyPaths) -> list[Path]:
    preprocessed = paths.preprocessed("sub-01_ses-2")
    run = paths.run(paths.run_id("T1w-to-FLAIR", "unet", 0, 3))
    ingested = paths.ingested("sub-01_ses-2")
    return [
        paths.derivatives / "dataset.json",
        ingested.status,
        ingested.scan("T1ce"),
        ingested.annotation("lesion", 1, labeled=True),
        ingested.annotation("lesion", 1, labeled=False),
        ingested.annotation("brain", 1, labeled=False),
        ingested.root / "participants.tsv",
        preprocessed.status,
        preprocessed.volume("T1ce", "T1w"),
        preprocessed.brain_mask("T1w"),
        preprocessed.field_of_view("FLAIR", "T1w"),
        preprocessed.lesion_mask("T1w"),
        preprocessed.transform("FLAIR", "T1w"),
        preprocessed.warp("MNI152NLin2009aSymAffine", "MNI152NLin2009aSym"),
        preprocessed.figure,
        preprocessed.picture("FLAIR"),
        preprocessed.quality,
        paths.slices("sub-01_ses-2"),
        *(paths.index(table) for table in INDEX_TABLES),
        run.checkpoint,
        run.curve,
        run.resume,
        synthetic_volume(run.synthetic, "sub-01", "FLAIR", "synthetic"),
        synthetic_volume(run.synthetic, "sub-01", "FLAIR", "normalized"),
        run.synthetic_batch("000"),
        run.scores("000"),
        run.scored_batch("000"),
        *(paths.summary(table) for table in TABLES),
        paths.metrics,
        paths.report,
        paths.overview,
        paths.quality / QUALITY_PAGE,
        paths.quality / session_page("sub-01_ses-2"),
    ]


def pattern(line: str) -> str:
    parts = {
        "<run>": r"[^/]+/method-[a-z0-9-]+_model-[a-z0-9-]+_settings-[0-9a-f]{8}/fold-\d+_seed-\d+",
        "<folder>": r"sub-\w+(/ses-\w+)?/anat",
        "<session>": r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?",
        "<hash>": "[0-9a-f]{8}",
        "<batch>": r"\d{3}",
    }
    text = re.escape(line)
    for name, expression in parts.items():
        text = text.replace(re.escape(name), expression)
    return re.sub(r"<[a-z\\ ]+>", r"[A-Za-z0-9_-]+", text)


def test_the_reference_page_lists_every_output_and_no_other(paths: StudyPaths) -> None:
    lines = re.findall(r"^\| `(.+?)` \|", PAGE.read_text(), flags=re.MULTILINE)
    outputs = [path.as_posix() for path in all_outputs(paths)]
    assert len(lines) == len(outputs) == 45
    for output in outputs:
        assert any(re.fullmatch(pattern(line), output) for line in lines), output
    for line in lines:
        assert any(re.fullmatch(pattern(line), output) for output in outputs), line


def test_keys_of_a_run_are_all_in_its_path(paths: StudyPaths) -> None:
    run = paths.run_id("T1w-to-FLAIR", "unet", 2, 7)
    assert re.fullmatch(pattern("<run>"), run)
    assert run.startswith("T1w-to-FLAIR/method-unet_model-unet_settings-")
    assert run.endswith("/fold-2_seed-7")


@pytest.mark.parametrize("key", [("sub-01", None), ("sub-01", "ses-2")])
def test_session_keys_make_a_round_trip(key) -> None:
    assert split_key(session_key(*key)) == key


def test_a_wrong_key_is_refused() -> None:
    with pytest.raises(InputError, match="is no session key"):
        split_key("01")


def test_contrast_agent_is_an_entity() -> None:
    name = "sub-01/anat/sub-01_ce-gadolinium_T1w.nii.gz"
    assert raw_scan("sub-01", "T1ce").as_posix() == name
