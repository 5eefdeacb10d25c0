import json
from pathlib import Path

import pytest
import yaml

from crossmod.config import PreprocessSettings, SliceSettings, Study
from crossmod.errors import ConfigError
from crossmod.methods import declaration
from crossmod.settings import MODALITIES, TrainingSettings
from crossmod.study_file import load_study, parse_study
from tests.unit.test_study_schema import SHIPPED

ROOT = Path(__file__).resolve().parents[2]
MINIMAL = {
    "study": "mine",
    "data_dir": "raw",
    "dataset": {"name": "mine"},
    "tasks": [{"sources": ["T1w"], "target": "FLAIR"}],
    "models": {"unet": {"method": "unet"}},
}


def experiment_with(**other: str) -> dict:
    """An experiment of two rows, the second with other values."""
    row = {"model": "unet", "task": "T1w-to-FLAIR"}
    experiment = {"title": "Two", "control": "unet", "rows": [row, {**row, "label": "b", **other}]}
    return {"evaluation": {"experiments": [experiment]}}


def test_a_minimal_study_has_good_defaults() -> None:
    study = parse_study(MINIMAL, "x")
    assert study.dataset.layout == "auto"
    assert study.seeds == (0,)
    assert study.preprocess.modalities == MODALITIES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"taks": []}, "unknown key taks; did you mean 'tasks'"),
        ({"split": {"tset": 0.1}}, r"unknown key split\.tset; did you mean 'test'"),
        ({"models": {"u": {"method": "unte"}}}, "unknown method 'unte'; did you mean 'unet'"),
        ({"models": {"u": {"method": "unet", "widht": 3}}}, r"models\.u\.widht; did you mean 'w"),
        (
            {"models": {"u": {"method": "unet", "training": {"epoch": 3}}}},
            r"unknown key models\.u\.training\.epoch; did you mean 'epochs'",
        ),
        ({"models": {"Bad Name": {"method": "unet"}}}, "models"),
        ({"study": "../up"}, "study"),
        ({"tasks": [{"sources": ["T1w", "FLAIR"], "target": "FLAIR"}]}, "both source and target"),
        ({"tasks": [{"sources": ["T1"], "target": "FLAIR"}]}, "tasks.0.sources.0"),
        ({"dataset": {"name": "x", "layout": "phantom"}}, "'phantom' belongs to layout"),
        ({"dataset": {"name": "x", "layout": "manifest"}}, "needs the key 'manifest'"),
        ({"preprocess": {"modalities": ["T1w"]}}, "not preprocessed"),
        ({"preprocess": {"percentiles": [99, 1]}}, "increasing"),
        (
            {"preprocess": {"intensity": "maximum", "percentiles": [1, 99]}},
            "'percentiles' belongs to intensity 'percentiles'",
        ),
        (
            {"preprocess": {"intensity": "z-score", "percentiles": [1, 99]}},
            "'percentiles' belongs to intensity 'percentiles'",
        ),
        ({"preprocess": {"intensity": "zscore"}}, r"preprocess\.intensity"),
        ({"slices": {"fit": "resize", "halvings": 1}}, "leave out 'halvings'"),
        ({"slices": {"fit": "stretch"}}, r"slices\.fit"),
        ({"evaluation": {"primary": {"model": "gan"}}}, "'gan', which is not in models"),
        ({"data_dir": None}, "data_dir is not set"),
        ({"tasks": [{"sources": ["T2w"], "target": "T1w"}]}, "would take its target T1w as ref"),
        ({"seeds": [-1]}, "seeds"),
        ({5: "x"}, "Keys should be strings|5"),
        ({"tasks": [{"sources": 5, "target": "T1w"}]}, r"tasks\.0\.sources"),
        ({"models": {"u": {"method": "unet", "learning_rate": float("inf")}}}, "finite number"),
        (
            {"dataset": {"name": "x", "exclude": ["sub-1"]}},
            r"exclude: needs keys with values",
        ),
        (
            {"models": {"u": {"method": "unet", "tasks": ["T1-to-FLAIR"]}}},
            r"models\.u\.tasks: T1-to-FLAIR; did you mean 'T1w-to-FLAIR'",
        ),
        (
            {"models": {"u": {"method": "unet", "folds": [1]}}},
            r"models\.u\.folds: 1, but there are 1",
        ),
        ({"split": {"test": 0.6, "validation": 0.5}}, "nobody to train on"),
        ({"slices": {"size": 50}}, "slices.size"),
        ({"evaluation": {"protocols": ["seed-v1"]}}, "'brain-v1' is not in protocols"),
        (experiment_with(model="uned"), "'Two': model uned; did you mean 'unet'"),
        (experiment_with(task="T2w-to-FLAIR"), "'Two': task T2w-to-FLAIR; did you mean 'T1w-to"),
    ],
)
def test_faults_are_one_line_with_the_key(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_study({**MINIMAL, **change}, "study.yaml")
    assert str(caught.value).startswith("study.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("key", "typo"), [("models", "modles"), ("study", "studdy")])
def test_a_needed_key_that_is_misspelled_is_not_called_missing(key: str, typo: str) -> None:
    content = {typo if name == key else name: value for name, value in MINIMAL.items()}
    with pytest.raises(ConfigError, match=f"unknown key {typo}; did you mean '{key}'"):
        parse_study(content, "x")


def test_a_folder_is_no_study_file(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_study(path=tmp_path)


def test_missing_keys_are_named() -> None:
    content = {key: value for key, value in MINIMAL.items() if key != "tasks"}
    with pytest.raises(ConfigError, match="the key tasks is missing"):
        parse_study(content, "x")


def test_data_dir_comes_from_file_command_line_or_environment(tmp_path, monkeypatch) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    assert load_study(path=path).data_dir == Path("raw")
    monkeypatch.setenv("CROSSMOD_DATA_DIR", "/from/environment")
    assert load_study(path=path).data_dir == Path("/from/environment")
    assert load_study({"data_dir": "/given"}, path).data_dir == Path("/given")


def test_keys_without_a_study_name_lie_over_the_default_study(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    assert load_study({"seeds": [7]}).seeds == (7,)
    assert load_study({"seeds": [7]}).study == load_study().study
    assert load_study(MINIMAL).study == "mine"


def test_a_phantom_is_never_written_into_a_folder_of_scans(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CROSSMOD_DATA_DIR", "/my/scans")
    assert load_study().data_dir is None
    with pytest.raises(ConfigError, match="the phantom makes its own data"):
        load_study({"data_dir": "/my/scans"})


def test_null_models_are_added_once_and_under_their_own_names() -> None:
    tasks = [{"sources": ["T1w", "T2w"], "target": "FLAIR"}]
    models = {"unet": {"method": "unet"}, "mean": {"method": "brain-mean"}}
    content = {**MINIMAL, "tasks": tasks, "models": models, "slices": {"halvings": 1}}
    study = parse_study(content, "x")
    added = ["null-copy-t1w", "null-copy-t2w", "null-linear", "null-linear-native"]
    assert list(study.models) == ["unet", "mean", *added]
    assert parse_study(json.loads(study.model_dump_json()), "x") == study
    assert list(parse_study({**content, "nulls": False}, "x").models) == ["unet", "mean"]


@pytest.mark.parametrize("slices", [{"halvings": 1}, {"fit": "resize"}])
def test_slices_of_another_resolution_add_a_null_at_full_resolution(slices: dict) -> None:
    assert "null-linear-native" in parse_study({**MINIMAL, "slices": slices}, "x").models
    assert "null-linear-native" not in parse_study(MINIMAL, "x").models


def test_keys_that_came_later_leave_the_hashes_of_older_derivatives_alone() -> None:
    # As of before `intensity` and `fit`: folders of shared derivatives, contracts of checkpoints.
    assert PreprocessSettings().hash == "84516ea2"
    assert SliceSettings().hash == "de9b3042"
    assert PreprocessSettings(intensity="percentiles").hash == "84516ea2"
    assert PreprocessSettings(intensity="maximum").hash != "84516ea2"
    assert SliceSettings(fit="resize").hash != "de9b3042"
    training = TrainingSettings()
    assert "standardization" not in training.to_dict()
    assert TrainingSettings(standardization="nyul").to_dict()["standardization"] == "nyul"
    for settings in (PreprocessSettings(intensity="maximum"), SliceSettings(fit="resize")):
        assert type(settings)(**settings.model_dump(mode="json")) == settings


def test_standardization_reaches_methods_that_are_fitted_at_once() -> None:
    nyul = parse_study({**MINIMAL, "training": {"standardization": "nyul", "epochs": 3}}, "x")
    assert nyul.settings_of("null-mean")["training"]["standardization"] == "nyul"
    assert "epochs" not in nyul.settings_of("null-mean")["training"]
    plain = parse_study(MINIMAL, "x")
    assert "standardization" not in plain.settings_of("null-mean")["training"]


def test_yaml_cannot_make_objects(tmp_path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("study: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match="is no YAML"):
        load_study(path=path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_every_study_file_that_ships_is_valid(path: Path) -> None:
    phantom = yaml.safe_load(path.read_text())["dataset"].get("layout") == "phantom"
    study = load_study({} if phantom else {"data_dir": "somewhere"}, path)
    nulls = {m.method for m in study.models.values() if declaration(m.method).null}
    assert nulls == {"brain-mean", "copy-source", "linear-regression"}


def test_settings_of_a_classical_model_do_not_change_with_epochs() -> None:
    models = {"unet": {"method": "unet"}, "mean": {"method": "brain-mean"}}
    first = parse_study({**MINIMAL, "models": models}, "x")
    second = parse_study({**MINIMAL, "models": models, "training": {"epochs": 3}}, "x")
    assert first.settings_of("mean") == second.settings_of("mean")
    assert first.settings_of("unet") != second.settings_of("unet")


def test_every_setting_is_described() -> None:
    schema = Study.model_json_schema()
    for name, model in schema["$defs"].items():
        for key, field in model.get("properties", {}).items():
            described = "description" in field or "description" in str(field.get("allOf", ""))
            assert described, f"{name}.{key} has no description"
