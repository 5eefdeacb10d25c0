"""The methods of a study in words, ready for a paper: derived from the settings really used."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence

from crossmod import __version__
from crossmod.config import PreprocessSettings
from crossmod.data.splits import fold_count
from crossmod.evaluation.summary import COMPARED
from crossmod.evaluation_settings import ExperimentSettings
from crossmod.intensity import ends_in_words, scored_ends_in_words
from crossmod.model_texts import model_sentences
from crossmod.planning import Plan
from crossmod.references import REFERENCES
from crossmod.report.request import Description
from crossmod.settings import Modality
from crossmod.text import counted, listed

NO_FIELD: tuple[Modality, ...] = ("CT", "PET")
WIDTH = 96
ROLE_WORDS = {
    "train": "to train on",
    "validation": "to validate on",
    "test": "to test on",
    "external": "as external subjects, kept apart",
}


def describe(plan: Plan) -> Description:
    """Methods of a study, with numbered references in the order in which they are cited.

    Parameters
    ----------
    plan : Plan
        The study with its sessions and split. What failed on the way is not known here: the text
        speaks of the subjects that were indexed.
    """
    sections: dict[str, Callable[[Plan], list[str]]] = {
        "Data": _data,
        "Preprocessing": _preprocessing,
        "Models": model_sentences,
        "Evaluation": _evaluation,
        "Statistics": _statistics,
        "Software": _software,
    }
    texts = [(heading, " ".join(make(plan))) for heading, make in sections.items()]
    return _numbered(texts)


def _numbered(texts: list[tuple[str, str]]) -> Description:
    """Replace `[@key]`, or `[@text of a reference]`, by numbers."""
    order: list[str] = []

    def number(match: re.Match[str]) -> str:
        reference = REFERENCES.get(match[1], match[1])
        if reference not in order:
            order.append(reference)
        return f"[{order.index(reference) + 1}]"

    paragraphs = tuple((name, re.sub(r"\[@([^\]]+)\]", number, text)) for name, text in texts)
    return Description(paragraphs, tuple(order))


def description_text(plan: Plan) -> str:
    """The same for the terminal."""
    found = describe(plan)
    blocks = [f"{name}\n{textwrap.fill(text, WIDTH)}" for name, text in found.paragraphs]
    lines = [
        textwrap.fill(f"[{number}] {text}", WIDTH, subsequent_indent="    ")
        for number, text in enumerate(found.references, start=1)
    ]
    return "\n\n".join([*blocks, "\n".join(["References", *lines])])


def _data(plan: Plan) -> list[str]:
    study = plan.study
    used = [session for session in plan.sessions.values() if session.available]
    people = {session.participant for session in used}
    modalities = list(dict.fromkeys(m for session in used for m in session.available))
    scans = Counter(m for session in used for m in session.available)
    who = f"{counted(len(people), 'subject')} in {counted(len(used), 'session')}"
    if study.dataset.phantom is not None:
        made = study.dataset.phantom
        first = (
            f"The study used {who} of the phantom of crossmod, heads simulated at "
            f"{made.resolution_mm:g} mm from the tissue maps of the ICBM 152 nonlinear "
            f"symmetric 2009a template [@atlas]; no person was scanned."
        )
    else:
        first = f"The study used {who} of the data set {study.dataset.name}."
        layout = plan.index.detected.layout
        if not plan.index.in_place and layout != "bids":
            first += f" They were converted to BIDS from the layout {layout}."
    if study.dataset.deface:
        first += (
            " Faces were cut off along planes 10 mm in front of and below the brain [@quickshear]."
        )
    text = [first, f"There were {listed([f'{scans[m]} {m}' for m in modalities])} scans."]
    needed = study.task_modalities
    lacking = sum(not set(needed) <= set(session.available) for session in used)
    if lacking:
        verb = "lacks" if lacking == 1 else "lack"
        which = f"at least one of {listed(list(needed))}, which the tasks use"
        text.append(f"{counted(lacking, 'session')} {verb} {which}.")
    left = len(plan.sessions) - len(used)
    if left:
        text.append(f"{counted(left, 'session')} without a usable scan took no part.")
    return text + _division(plan)


def _division(plan: Plan) -> list[str]:
    split = plan.study.split
    folds = fold_count(split)
    roles = Counter(str(role) for (_, fold), role in plan.split.items() if fold == 0)
    parts = [f"{roles[role]} {words}" for role, words in ROLE_WORDS.items() if roles[role]]
    how = "by a table that was given" if split.file else "pseudo-randomly"
    if split.stratify and not split.file:
        how += f", stratified by {split.stratify}"
    if folds > 1:
        text = f"In a {folds}-fold cross-validation the subjects were divided {how}."
        text += f" The first fold had {listed(parts)}."
    else:
        text = f"The subjects were divided {how}: {listed(parts)}."
    return [text, "All sessions of a subject belong to the same part."]


def _preprocessing(plan: Plan) -> list[str]:
    settings = plan.study.preprocess
    present = {m for session in plan.sessions.values() for m in session.available}
    modalities = [m for m in settings.modalities if m in present]
    reference = [m for m in settings.reference if m in modalities]
    which = f"the first available of {listed(list(reference))}"
    if len(reference) == 1:
        which = f"its {reference[0]} scan"
    text = [f"The reference scan of a session was {which}."]
    shaded = [m for m in modalities if m not in NO_FIELD]
    if settings.bias_field == "n4" and shaded:
        text.append(
            f"Intensity inhomogeneity of the {listed(list(shaded))} scans was corrected with N4 "
            "[@n4], estimated on a copy of 8 mm voxels around the head."
        )
    if len(modalities) > 1:
        text.append(_registration(settings.registration, reference))
    text.append(_extraction(settings.brain_extraction, "brain" in _annotations(plan)))
    kernel = {"linear": "linear", "bspline": "B-spline"}[settings.interpolation]
    text.append(
        f"Every scan was resampled once onto {_grid(plan)}, by {kernel} interpolation, and set "
        f"to zero outside the brain."
    )
    return [*text, _normalization(settings)]


def _normalization(settings: PreprocessSettings) -> str:
    ends = ends_in_words(settings.intensity, settings.percentiles)
    scored = scored_ends_in_words(settings.intensity, settings.percentiles)
    linear = f"each volume was mapped linearly so that its {ends} inside the brain"
    if ends == scored:
        return f"For synthesis and scoring, {linear} became 0 and 1, and clipped."
    cite = " [@white-stripe]" if settings.intensity == "white-stripe" else ""
    return (
        f"For synthesis, {linear} became 0 and 1{cite}, and clipped. For scoring, synthetic and "
        "acquired volumes were mapped by one line more, so that 0 and 1 are the acquired volume's "
        f"{scored} inside the brain, whatever the scale of the networks."
    )


def _grid(plan: Plan) -> str:
    settings = plan.study.preprocess
    voxels = f"voxels of {settings.spacing_mm:g} mm" if settings.spacing_mm else ""
    if settings.space == "template":
        how = {
            "rigid": "rigidly",
            "affine": "by an affine transform",
            "deformable": "by an affine and a symmetric diffeomorphic transform [@syn]",
        }[settings.template_registration]
        return (
            f"{voxels or 'the voxels'} of the ICBM 152 nonlinear symmetric 2009a template "
            f"[@atlas], to which the reference scan was registered {how} [@ants]"
        )
    if settings.space == "subject":
        return (
            f"{voxels or 'the voxels'} in the space of the reference scan of the participant's "
            "first usable session, to which the others were registered rigidly [@ants]"
        )
    return f"{voxels} in the space of the reference scan" if voxels else "the reference scan's grid"


def _registration(kind: str, reference: list[Modality]) -> str:
    if kind == "none":
        return "The scans of a session were taken as aligned; none was registered."
    which = "The other scans of a session"
    if kind == "auto":
        which += " that did not already lie on the grid of the reference scan"
    return (
        f"{which} were registered rigidly to the reference scan with ANTs [@ants] by Mattes mutual "
        "information [@mutual], from the best of several starts; where the result was no better "
        "than the headers, the headers were kept."
    )


def _annotations(plan: Plan) -> set[str]:
    """Kinds of annotations that the study's sessions have: `brain`, `lesion`."""
    return {kind for session in plan.sessions.values() for kind, _ in session.annotations}


def _extraction(backend: str, masks: bool) -> str:
    surface = (
        "by a deformable surface after Smith [@surface], followed by a morphological opening that "
        "severs what the surface caught beyond the skull"
    )
    first = "the one provided with the reference scan if there was one, else " if masks else ""
    return {
        "provided": "The brain masks were those provided with the data.",
        "nonzero": "The brain mask was the nonzero part of the reference scan, which shows nothing "
        "but brain.",
        "surface": f"The brain was extracted from the reference scan {surface}.",
        "auto": f"The brain mask was {first}the nonzero part of a reference scan that shows "
        f"nothing but brain, else it was extracted {surface}.",
    }[backend]


def _evaluation(plan: Plan) -> list[str]:
    evaluation, preprocess = plan.study.evaluation, plan.study.preprocess
    ends = scored_ends_in_words(preprocess.intensity, preprocess.percentiles)
    text = []
    if {"brain-v1", "brain-v1-deploy"} & set(evaluation.protocols):
        tissue = ""
        if "lesion" in _annotations(plan):
            tissue = " and, where lesions were annotated, inside lesions and in healthy tissue more"
            tissue += " than 3 mm from any"
        text.append(
            f"Synthetic and acquired volumes were compared inside the brain{tissue}, by PSNR "
            "(peak 1), SSIM in windows of 7 x 7 x 7 voxels [@ssim], NRMSE, MAE and, in the brain, "
            "multi-scale SSIM of axial slices [@ms-ssim]."
        )
    if "brain-v1" in evaluation.protocols:
        text.append(
            "The protocol brain-v1 scores the model's output against the acquired volume scaled by "
            f"its own {ends}; a synthetic volume is never scaled by its own."
        )
    if "brain-v1-deploy" in evaluation.protocols:
        text.append(
            "The protocol brain-v1-deploy scores the delivered file, in the scale of the training "
            "cohort and on the grid of the reference scan."
        )
    if "seed-v1" in evaluation.protocols:
        text.append(
            "The protocol seed-v1 scores whole axial slices, background included, of 256 x 256 mm "
            "or more, by PSNR, SSIM and NRMSE with the slice's maximum as peak, to compare with "
            "published tables."
        )
    others = [name for name in evaluation.protocols if name not in COMPARED]
    if others:
        text.append(
            f"The same files were scored as other studies define it ({', '.join(others)}); no test "
            "was made under these protocols."
        )
    if "brain-v1" in evaluation.protocols:
        text.append(
            f"The images of {plan.sensitivity_model} were also scored shifted by one voxel, "
            "blurred (sigma 1 voxel) and multiplied by 0.9, to tell what such flaws cost."
        )
    return text


def _statistics(plan: Plan) -> list[str]:
    evaluation = plan.study.evaluation
    primary = evaluation.primary
    control = primary.control or "the null model with the best mean"
    return [
        "The unit of analysis is the subject: sessions, then seeds, of a subject were averaged.",
        f"Means are given with percentile bootstrap 95 % intervals ({evaluation.bootstrap} "
        "samples) [@bootstrap], from three subjects on.",
        "Models were compared by paired differences, with a two-sided paired t test and Wilcoxon's "
        "signed-rank test [@wilcoxon] from six subjects on.",
        f"The primary endpoint, named in the settings, was {primary.metric.upper()} in the "
        f"{primary.region} ({primary.protocol}) of {plan.primary_model} against {control}; it was "
        "tested alone. All other p values were adjusted by Holm's procedure [@holm] over the pairs "
        "and metrics of a task, region and protocol.",
        *_experiments(evaluation.experiments),
    ]


def _experiments(experiments: Sequence[ExperimentSettings]) -> list[str]:
    if not experiments:
        return []
    titles = "; ".join(experiment.title for experiment in experiments)
    return [
        f"Experiments compared rows on the subjects that all of them have ({titles}), adjusted by "
        "Holm's procedure over the rows and metrics of an experiment and protocol."
    ]


def _software(plan: Plan) -> list[str]:
    text = f"The study is a run of crossmod {__version__}, a workflow for Snakemake [@snakemake]"
    if any(run.declaration.fitting == "gradient" for run in plan.runs.values()):
        text += "; its networks were trained with PyTorch [@torch]"
    return [f"{text}."]
