"""Names of scans against what the scans show, on phantom heads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from crossmod.config import PhantomSettings, PreprocessSettings
from crossmod.io import read_image, to_ras, write_image
from crossmod.paths import PreprocessedPaths
from crossmod.phantom import generate_subject, plan, roster
from crossmod.preprocess import Annotations, run
from crossmod.preprocess.appearance import (
    Measures,
    View,
    candidates_of,
    judge,
    judge_names,
    lay_over,
)
from crossmod.preprocess.tissues import fit_parenchyma
from crossmod.settings import MODALITIES

PHANTOM = PhantomSettings(subjects=6, modalities=MODALITIES, missing=0.0, resolution_mm=3.0)
GROUPS = ("tumour", "healthy")
# What looks alike: nothing but the tracer sets PET apart, and agent need not show.
ALIKE = {
    ("T1ce", "T1w"),
    ("T1w", "T1ce"),
    ("FLAIR", "PET"),
    ("FLAIR", "PDw"),
    ("PDw", "PET"),
    ("PDw", "FLAIR"),
    ("PET", "FLAIR"),
    ("PET", "PDw"),
}


def head(folder, group):
    """Noise-free scans of one subject on one grid, and its brain mask."""
    participant = next(s.participant for s in plan(PHANTOM) if s.group == group)
    generate_subject(PHANTOM, participant, folder)
    brain = to_ras(read_image(folder / roster.brain_file(participant))).data > 0
    scans = {}
    for modality in MODALITIES:
        image = to_ras(read_image(folder / roster.truth_image(participant, modality)))
        scans[modality] = image.with_data(image.data.astype(np.float32))
    return scans, brain


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    return {group: head(tmp_path_factory.mktemp(group), group) for group in GROUPS}


def looked_at(scans, brain, reference="T1w"):
    views = {m: View(i, brain) for m, i in scans.items()}
    return judge_names(lay_over(views, brain, reference, False))


@pytest.fixture(scope="module")
def judged(heads):
    return {group: looked_at(*heads[group]) for group in GROUPS}


@pytest.mark.parametrize("group", GROUPS)
def test_right_names_give_no_note(judged, group):
    found, notes = judged[group]
    assert notes == []
    for modality in ("T1w", "T2w", "FLAIR", "PDw", "CT"):
        assert found[modality].verdict == "agrees", modality


@pytest.mark.parametrize("group", GROUPS)
def test_every_wrong_name_is_noticed_but_where_scans_look_alike(judged, group):
    measures = {m: a.measures for m, a in judged[group][0].items()}
    pairs = set(itertools.permutations(MODALITIES, 2))
    assert len(pairs) == 42
    for shown, name in pairs - ALIKE:
        verdict = judge(name, {name: measures[shown]}).verdict
        assert verdict == "looks like another", f"{shown} named {name}"


def test_contrast_agent_is_noticed_in_a_scan_named_t1w(judged):
    measures = {m: a.measures for m, a in judged["tumour"][0].items()}
    found = judge("T1w", {"T1w": measures["T1ce"], "T1ce": measures["T1w"]})
    assert (found.verdict, found.candidates) == ("looks like another", ("T1ce",))
    # Exchanged names: the scan named T1ce cannot be the one after injection.
    found = judge("T1ce", {"T1w": measures["T1ce"], "T1ce": measures["T1w"]})
    assert (found.verdict, found.candidates) == ("looks like another", ("T1w",))
    # Alone it might: agent need not show.
    assert judge("T1ce", {"T1ce": measures["T1w"]}).verdict == "cannot tell"


def test_scale_and_sign_of_intensities_do_not_matter(heads):
    scans, brain = heads["healthy"]
    shifted = {"T1w": scans["T1w"], "T2w": scans["T2w"].with_data(scans["T2w"].data * 1e4 - 3e6)}
    found, notes = looked_at(shifted, brain)
    assert (found["T2w"].verdict, notes) == ("agrees", [])


def test_copies_are_noticed_also_inverted_and_rescaled(heads):
    scans, brain = heads["healthy"]
    inverted = scans["T1w"].with_data(500 - 3 * scans["T1w"].data)
    _, notes = looked_at({"T1w": scans["T1w"], "T1ce": scans["T1w"], "PET": inverted}, brain)
    copies = [note for note in notes if "copies" in note]
    assert [note.split(" are")[0] for note in copies] == [
        "T1w and T1ce", "T1w and PET", "T1ce and PET",
    ]  # fmt: skip


def test_nothing_is_said_of_a_flat_scan_or_noise(heads):
    scans, brain = heads["healthy"]
    flat = scans["T1w"].with_data(np.full(brain.shape, 7.0, dtype=np.float32))
    noise = np.random.default_rng(0).normal(100, 10, brain.shape).astype(np.float32)
    shown = {"T1w": scans["T1w"], "T2w": flat, "FLAIR": flat.with_data(noise)}
    found, notes = looked_at(shown, brain)
    assert [found[m].verdict for m in ("T2w", "FLAIR")] == ["cannot tell", "cannot tell"]
    assert notes == []


def test_nothing_is_said_of_a_part_of_the_brain(heads):
    scans, brain = heads["healthy"]
    slab = brain.copy()
    slab[:, :, : brain.shape[2] // 2 + 8] = False
    views = {"T1w": View(scans["T1w"], brain), "FLAIR": View(scans["T2w"], slab)}
    found, notes = judge_names(lay_over(views, brain, "T1w", False))
    assert (found["T1w"].verdict, found["FLAIR"].verdict, notes) == ("agrees", "cannot tell", [])
    # A mask of half a brain, too: the template does not fit it.
    found, notes = looked_at({"FLAIR": scans["T2w"]}, slab, "FLAIR")
    assert (found["FLAIR"].verdict, notes) == ("cannot tell", [])


def test_a_name_at_odds_reaches_the_status_and_is_kept(heads, tmp_path):
    scans, brain = heads["healthy"]
    files = {}
    for name, shown in (("T1w", "T2w"), ("T2w", "T1w")):
        files[name] = tmp_path / f"sub-01_{name}.nii.gz"
        write_image(files[name], scans[shown])
    write_image(tmp_path / "sub-01_mask.nii.gz", scans["T1w"].with_data(brain))
    settings = PreprocessSettings(spacing_mm=None, bias_field="none", registration="none")
    annotations = Annotations(brain_masks=(tmp_path / "sub-01_mask.nii.gz",))
    status = run(PreprocessedPaths(tmp_path / "out", "sub-01"), files, annotations, settings)
    assert status.ok, status.reason
    assert {"T1w", "T2w"} <= set(status.outputs)
    first, second = (note for note in status.details["notes"] if "face" not in note)
    assert first.startswith("T1w looks like T2w: fluid is brighter than gray matter")
    assert second.startswith("T2w looks like T1w: white matter is brighter than gray")
    assert status.details["appearance"]["T1w"]["verdict"] == "looks like another"


def test_ct_without_hounsfield_units_is_told():
    mri = Measures(0.9, 0.0, 0.0, 0.0, False, False)
    assert judge("CT", {"CT": mri}).verdict == "looks like another"
    brain_only = Measures(-2.0, 0.5, 0.0, 0.0, False, True)
    assert judge("CT", {"CT": brain_only}).verdict == "cannot tell"


@pytest.mark.parametrize(
    ("contrast", "dark", "bright", "expected"),
    [
        (2.0, 0.3, 0.0, "T1w"),
        (-2.0, 0.0, 0.3, "T2w"),
        (0.2, 0.3, 0.0, "FLAIR"),
        (-2.0, 0.0, 0.0, "PDw"),
        (0.9, 0.3, 0.0, None),  # between T1w and FLAIR
        (-2.0, 0.2, 0.2, None),  # fluid dark here, bright there
        (-1.0, 0.05, 0.0, None),
    ],
)
def test_likeliest_name_by_what_is_seen(contrast, dark, bright, expected):
    found = candidates_of(Measures(contrast, dark, bright, 0.0, False, False))
    assert (found[0] if found else None) == expected


def test_parenchyma_of_a_known_mixture_is_found():
    random = np.random.default_rng(0)
    gray = np.repeat([0.9, 0.1], 4000)
    values = np.concatenate([random.normal(50, 6, 4000), random.normal(80, 4, 4000)])
    values[::20] = random.uniform(-300, 600, 400)  # lesions, vessels
    found = fit_parenchyma(values, gray, 1 - gray)
    assert found.gray == pytest.approx(50, abs=1.0)
    assert found.white == pytest.approx(80, abs=1.0)
    assert found.gray_sd == pytest.approx(6, rel=0.15)
    assert found.white_sd == pytest.approx(4, rel=0.15)
    assert found.explained == pytest.approx(0.95, abs=0.02)
    assert fit_parenchyma(np.full(8000, 3.0), gray, 1 - gray) is None
    assert fit_parenchyma(values[:100], gray[:100], 1 - gray[:100]) is None
