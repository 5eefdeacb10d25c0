"""How much of a study is done and how long the rest takes, on clocks made up here."""

import pytest

from crossmod.progress import (
    Expectation,
    StudyProgress,
    duration,
    read_expectation,
    stage_of,
    write_expectation,
)

RULES = {"phantom_T1w_T2w": 1, "phantom_T1w": 1, "preprocess": 4, "train": 2, "all": 1, "total": 9}


def study(cores: int = 2, **seconds: float) -> StudyProgress:
    progress = StudyProgress(cores=cores, expectation=Expectation(seconds, {}))
    progress.plan(RULES, now=0)
    return progress


def test_rules_that_gather_files_are_no_jobs() -> None:
    assert stage_of("phantom_T1w_FLAIR_lesion") == "phantom"
    assert stage_of("synthesize") == "synthesize"
    assert [stage_of(rule) for rule in ("all", "trained", "total")] == [None, None, None]
    assert dict(study().planned) == {"phantom": 2, "preprocess": 4, "train": 2}
    assert study().total == 8


def test_work_is_shared_by_the_cores_and_a_chain_is_not() -> None:
    times = {"phantom": 2.0, "preprocess": 10.0, "train": 30.0}
    assert study(1, **times).seconds_left(0) == pytest.approx(4 + 40 + 60)
    assert study(2, **times).seconds_left(0) == pytest.approx(52)
    assert study(100, **times).seconds_left(0) == pytest.approx(2 + 10 + 30)


def test_a_stage_with_few_slots_takes_its_time_on_any_number_of_cores() -> None:
    progress = study(100, phantom=2.0, preprocess=10.0, train=300.0)
    progress.slots["train"] = 1
    assert progress.seconds_left(0) == pytest.approx(600)


def test_jobs_measured_in_this_run_correct_what_was_expected() -> None:
    progress = study(1, phantom=10.0, preprocess=10.0, train=10.0)
    before = progress.seconds_left(0)
    for key in range(2):
        progress.start(key, "phantom_T1w", 0, run=None)
        progress.finish(key, 1000)
    # 2000 s measured where 20 were expected: all other stages are as much slower.
    assert before == pytest.approx(80)
    assert progress.seconds_left(1000) == pytest.approx(60 * 2010 / 30)


def test_time_goes_on_while_a_job_runs_and_an_overdue_job_is_not_done() -> None:
    progress = study(1, phantom=0.0, preprocess=0.0, train=100.0)
    progress.start("a", "train", 0, run="x")
    assert progress.seconds_left(0) == pytest.approx(200)
    assert progress.seconds_left(60) == pytest.approx(140)
    assert progress.seconds_left(1000) == pytest.approx(100 + 100)


def test_trainings_are_known_one_by_one() -> None:
    progress = StudyProgress(expectation=Expectation({}, {"long": 500.0, "short": 1.0}))
    progress.plan({"train": 2}, now=0)
    assert progress.seconds_left(0) == pytest.approx(501)
    progress.start(1, "train", 0, run="long")
    assert progress.seconds_left(100) == pytest.approx(401)
    progress.finish(1, 500)
    assert progress.seconds_left(500) == pytest.approx(1)


def test_the_line_names_stages_at_work_jobs_and_time() -> None:
    progress = study(1, phantom=10.0, preprocess=10.0, train=10.0)
    progress.start(1, "preprocess", 0, run=None)
    assert progress.text(0) == "0 of 8 jobs, about 1 min left | preprocess 0/4"
    progress.fail(1)
    for key in (2, 3):
        progress.start(key, "phantom_T1w", 0, run=None)
    assert progress.finish(2, 10) is None
    assert progress.finish(3, 10) == "phantom"
    text = progress.text(10, ended="phantom")
    assert text == "2 of 8 jobs, 1 failed, about 50 s left | phantom 2/2"


def test_the_last_line_tells_the_time_it_took() -> None:
    progress = StudyProgress()
    progress.plan({"report": 1, "all": 1, "total": 2}, now=100)
    progress.start(1, "report", 100, run=None)
    progress.finish(1, 140)
    assert progress.text(140) == "all 1 jobs done in 40 s"


def test_durations_are_as_exact_as_estimates_are() -> None:
    texts = [duration(s) for s in (0, 31, 54, 56, 89, 3570, 7800, 3600 * 76)]
    assert texts == ["5 s", "30 s", "55 s", "1 min", "1 min", "1 h 0 min", "2 h 10 min", "3 d 4 h"]


def test_an_expectation_is_read_back_and_a_broken_one_is_the_usual(tmp_path) -> None:
    path = tmp_path / "expectation.json"
    assert read_expectation(path) == Expectation()
    write_expectation(path, Expectation({"slices": 3.0}, {"a": 7.0}))
    assert read_expectation(path).seconds("slices") == 3.0
    assert read_expectation(path).seconds("train", "a") == 7.0
    path.write_text("[]")
    assert read_expectation(path).seconds("preprocess") == 25.0
