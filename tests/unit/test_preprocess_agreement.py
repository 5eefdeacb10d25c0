"""What a session does where its scans, masks and labels do not agree."""

from __future__ import annotations

import numpy as np
import pytest

from crossmod.config import PreprocessSettings
from crossmod.io import Image, write_image
from crossmod.paths import PreprocessedPaths
from crossmod.preprocess import Annotations, brain, run, spaces
from crossmod.preprocess.annotations import Placed
from crossmod.preprocess.deformation import _windowed
from crossmod.preprocess.spaces import _cut_out
from crossmod.preprocess.state import Session
from tests.unit.heads import make_head

PLAIN = {"registration": "none", "bias_field": "none"}


def preprocess(folder, annotations=None, **options):
    """Status of a session of two aligned scans."""
    scans = {}
    for modality in ("T1w", "FLAIR"):
        scans[modality] = folder / f"sub-01_{modality}.nii.gz"
        write_image(scans[modality], make_head(modality, (4, 4, 4))[0])
    settings = PreprocessSettings(**(PLAIN | {"spacing_mm": 4.0} | options))
    files = annotations or Annotations()
    return run(PreprocessedPaths(folder / "out", "sub-01"), scans, files, settings)


def test_scans_that_agree_on_no_brain_fail_in_one_line(tmp_path, monkeypatch):
    def half(head, name):
        mask = make_head("T1w", (4, 4, 4))[1]
        upper = np.arange(mask.shape[2]) > mask.shape[2] // 2
        return head.image.with_data(mask & (upper == (head.path.name == "sub-01_T1w.nii.gz")))

    monkeypatch.setattr(brain, "extract_brain", half)
    status = preprocess(tmp_path)
    assert not status.ok
    assert "sub-01_T1w.nii.gz: and FLAIR agree on a brain of 0 ml, not 400 to" in status.reason


def test_a_brain_mask_of_another_scan_is_not_ignored_silently(tmp_path):
    scan, mask = make_head("FLAIR", (4, 4, 4))
    moved = scan.affine.copy()
    moved[0, 3] += 2.0
    write_image(tmp_path / "mask.nii.gz", Image(mask.astype(np.uint8), moved))
    write_image(tmp_path / "sub-01_FLAIR.nii.gz", Image(scan.data, moved))
    write_image(tmp_path / "sub-01_T1w.nii.gz", make_head("T1w", (4, 4, 4))[0])
    scans = {m: tmp_path / f"sub-01_{m}.nii.gz" for m in ("T1w", "FLAIR")}
    settings = PreprocessSettings(**PLAIN, spacing_mm=4.0)
    annotations = Annotations(brain_masks=(tmp_path / "mask.nii.gz",))
    status = run(PreprocessedPaths(tmp_path / "out", "sub-01"), scans, annotations, settings)
    assert status.ok, status.reason
    assert any(
        note.startswith("brain mask of FLAIR not used: one is taken, of T1w")
        for note in status.details["notes"]
    )


def test_a_session_laid_beside_the_template_fails(tmp_path, monkeypatch):
    aside = np.eye(4)
    aside[:2, 3] = 40.0
    monkeypatch.setattr(spaces, "register", lambda *_: aside)
    status = preprocess(tmp_path, space="template")
    assert not status.ok
    assert "cannot be registered to the template: the brains overlap by a Dice of" in status.reason


def test_what_references_lack_is_named(tmp_path):
    status = preprocess(tmp_path, reference=["T2w"])
    assert not status.ok
    assert "has none of T2w, only T1w, FLAIR; add one" in status.reason


@pytest.mark.parametrize("shift", [0.0, -700.0])
def test_outside_of_a_brain_is_dark_also_where_intensities_are_negative(shift):
    head, mask = make_head("T1w", (4, 4, 4))
    scan = head.with_data(head.data + np.float32(shift))
    cut_out = _cut_out(scan, head.with_data(mask), np.eye(4))
    window = _windowed(cut_out).data
    assert window[~mask].max() == 0
    assert np.median(window[mask]) > 0.3


def test_labels_drawn_on_a_dropped_scan_are_told_of(tmp_path):
    session = Session(PreprocessedPaths(tmp_path, "sub-01"), PreprocessSettings(), {})
    session.placed = Placed(lesions=[("FLAIR", make_head("FLAIR", (8, 8, 8))[0])])
    session.drop("T1w", "broken")
    assert session.notes == ["T1w left out: broken"]
    session.drop("FLAIR", "broken")
    assert session.notes[-1] == "lesion labels left out: they were drawn on FLAIR"
