"""The models of a study in words, for its methods text."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from crossmod.config import SliceSettings
from crossmod.data.splits import fold_count
from crossmod.methods import declaration, module_name
from crossmod.planning import Plan
from crossmod.text import counted, listed


def model_sentences(plan: Plan) -> list[str]:
    """What was synthesized, by which models, how they were trained."""
    study = plan.study
    tasks = [f"{t.target} from {listed(list(t.sources))}" for t in study.tasks]
    text = [
        f"Synthesized was {'; '.join(tasks)}, slice by slice, from axial slices of "
        f"{study.slices.size} x {study.slices.size} pixels{_fit(study.slices)}."
    ]
    used = dict.fromkeys(run.model for run in plan.runs.values())
    trained = [m for m in used if declaration(study.models[m].method).fitting == "gradient"]
    text += [_model(plan, name) for name in used]
    for names, training in _by_training(plan, trained):
        text.append(_training(names, training))
    standardized = [m for m in used if study.training_of(m).standardization == "nyul"]
    if standardized:
        text.append(_standardization(standardized))
    if trained:
        seeds = ", ".join(map(str, study.seeds))
        seed_word = "seed" if len(study.seeds) == 1 else "seeds"
        each = "per fold " if fold_count(study.split) > 1 else ""
        text.append(f"Networks were trained {each}with the {seed_word} {seeds}.")
    return text


def _standardization(names: list[str]) -> str:
    return (
        f"The data of {listed(names)} were standardized [@nyul]: for each modality, percentiles 1, "
        "10, 20, ..., 90 and 99 of the brain were mapped piecewise linearly to their means over "
        "the training sessions."
    )


def _fit(slices: SliceSettings) -> str:
    if slices.fit == "resize":
        return (
            " (the whole field of view, padded to a square; sections were resized bilinearly, as "
            "were the synthetic slices on their way back)"
        )
    return f" (halved {_times(slices.halvings)} by 2 x 2 means)" if slices.halvings else ""


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _model(plan: Plan, name: str) -> str:
    """One sentence on a model; of a method without a text, what its docstring says."""
    entry = plan.study.settings_of(name)
    settings = entry["settings"]
    null = "The null model" if declaration(entry["method"]).null else "The model"
    texts: dict[str, Callable[[dict[str, Any]], str]] = {
        "unet": _unet,
        "pix2pix": _pix2pix,
        "brain-mean": lambda _: (
            "is the mean target intensity of the training subjects' brains, everywhere in the brain"
        ),
        "copy-source": lambda s: (
            f"is the {s['source'] or 'first source'} scan, its intensities "
            "mapped to the target's by the least-squares line"
        ),
        "linear-regression": lambda _: (
            "is a voxelwise least-squares linear regression of the target on the sources"
        ),
    }
    if entry["method"] in texts:
        told = f"{null} {name} {texts[entry['method']](settings)}{_resolution(settings)}."
        return told + _restricted(plan, name)
    summary, source = method_docstring(entry["method"])
    cite = f" [@{source}]" if source else ""
    told = f"{null} {name} uses the method {entry['method']}{cite}: {summary}"
    own = [f"{key} {value}" for key, value in plan.study.models[name].own.items()]
    told += f" Settings other than the method's own: {listed(own)}." if own else ""
    return told + _restricted(plan, name)


def _restricted(plan: Plan, name: str) -> str:
    """The tasks and folds of a model that was not trained for all."""
    model = plan.study.models[name]
    parts = [listed(list(model.tasks))] if model.tasks is not None else []
    parts += [f"fold {listed([str(f) for f in model.folds])}"] if model.folds is not None else []
    return f" It was trained for {', '.join(parts)} only." if parts else ""


def _resolution(settings: dict[str, Any]) -> str:
    return ", on the common grid itself" if settings.get("resolution") == "native" else ""


def method_docstring(method: str) -> tuple[str, str]:
    """First line of a method's docstring and the source it names, read without importing it."""
    spec = find_spec(f"crossmod.methods.{module_name(method)}")
    if spec is None or spec.origin is None:
        return f"{method}.", ""
    tree = ast.parse(Path(spec.origin).read_bytes())
    texts = [ast.get_docstring(n) or "" for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    text = next((t for t in texts if "Source:" in t), "")
    source = text.partition("Source:")[2].partition("\n\n")[0]
    # Brackets would end the mark of the citation.
    plain = " ".join(source.split()).replace("[", "(").replace("]", ")")
    return " ".join(text.partition("\n\n")[0].split()), plain


def _unet(settings: dict[str, Any]) -> str:
    return (
        f"is a U-Net [@unet] built as the generator of pix2pix [@pix2pix], {_network(settings)}, "
        f"trained with the L1 loss alone by Adam [@adam] ({_steps(settings)})"
    )


def _pix2pix(settings: dict[str, Any]) -> str:
    losses = {
        "vanilla": "the cross-entropy loss [@gan]",
        "lsgan": "the least-squares loss [@lsgan]",
        "hinge": "the hinge loss [@hinge]",
    }
    return (
        f"is pix2pix [@pix2pix], a U-Net [@unet] ({_network(settings)}) against a discriminator of "
        f"image patches that also sees the sources, with {losses[settings['adversarial']]} "
        f"weighted {settings['lambda_adversarial']:g} and the L1 loss weighted "
        f"{_l1_weight(settings)}, both trained by Adam [@adam] ({_steps(settings)})"
    )


def _l1_weight(settings: dict[str, Any]) -> str:
    if settings["lambda_l1"] is not None:
        return f"{settings['lambda_l1']:g}"
    presets = {"reference": "100", "paper-mean": "0.1"}
    return presets.get(settings["l1_weight"], "0.1 times the number of pixels")


def _network(settings: dict[str, Any]) -> str:
    dropout = "no dropout"
    if settings["dropout"]:
        dropout = f"dropout of {settings['dropout']:g} in at most three inner blocks"
    return (
        f"{settings['width']} channels in its first block, {settings['norm']} normalization "
        f"and {dropout}"
    )


def _steps(settings: dict[str, Any]) -> str:
    first, second = settings["betas"]
    falls = ""
    if settings["decay_from"] < 1:
        falls = f", falling linearly to 0 after {100 * settings['decay_from']:g} % of the epochs"
    return f"step size {settings['learning_rate']:g}{falls}; decay rates {first:g} and {second:g}"


def _by_training(plan: Plan, names: list[str]) -> list[tuple[list[str], dict[str, Any]]]:
    """Models that share their training settings, together."""
    groups: list[tuple[list[str], dict[str, Any]]] = []
    for name in names:
        training = plan.study.training_of(name).to_dict()
        same = next((members for members, other in groups if other == training), None)
        if same is None:
            groups.append(([name], training))
        else:
            same.append(name)
    return groups


def _training(names: list[str], training: dict[str, Any]) -> str:
    epochs = counted(training["epochs"], "epoch")
    if training["steps_per_epoch"]:
        epochs += f" of {counted(training['steps_per_epoch'], 'step')}"
    chosen = (
        f"slices with at least {100 * training['brain_fraction']:g} % of the fullest slice's area"
    )
    if training["slices"] == "middle":
        chosen = f"the {training['middle']} middle slices"
    text = (
        f"{listed(names)} {'was' if len(names) == 1 else 'were'} trained for {epochs}, "
        f"{counted(training['batch_size'], 'slice')} per step, on {chosen}, judged on the sources"
    )
    if training["context"]:
        text += f", with {counted(training['context'], 'neighboring slice')} on each side as input"
    if training["augment_flip"]:
        text += ", flipped left to right at random"
    kept = {"last": "last epoch", "best": "epoch with the best validation PSNR"}[training["keep"]]
    return f"{text}; the weights of the {kept} were kept."
