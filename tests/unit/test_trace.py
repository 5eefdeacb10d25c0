"""`crossmod trace`: the story of every kind of file, and of a voxel, word by word."""

from __future__ import annotations

import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from crossmod.cli import main
from crossmod.config import PreprocessSettings, SliceSettings
from crossmod.errors import InputError
from crossmod.hashing import hash_file, hash_files
from crossmod.ingest.names import Source
from crossmod.ingest.request import Request
from crossmod.ingest.stage import ingest_session
from crossmod.io import Image, write_image
from crossmod.new_scans import synthesize_scans
from crossmod.paths import IngestedPaths, PreprocessedPaths
from crossmod.preprocess import Annotations, run
from crossmod.preprocess.ingested import run_ingested
from crossmod.slices import make_store
from crossmod.synthesis import synthesize_batch
from crossmod.tracing import trace
from tests.unit.heads import make_head
from tests.unit.test_synthesis import model

SETTINGS = PreprocessSettings(
    space="subject", spacing_mm=None, bias_field="none", registration="none",
    brain_extraction="provided",
)  # fmt: skip

MODEL_OF_STUDY = {
    "preprocess": SETTINGS.model_dump(mode="json"), "preprocess_hash": SETTINGS.hash,
    "spacing_mm": None, "space": "subject",
}  # fmt: skip


def raw_scans(folder):
    """T1w along left, posterior, superior; T2w of other voxels; a brain mask and a lesion."""
    head, brain = make_head("T1w", (8, 8, 8))
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    flip[:2, 3] = np.array(head.data.shape[:2]) - 1
    images = {
        "T1w": Image(head.data[::-1, ::-1].copy(), head.affine @ flip),
        "T2w": make_head("T2w", (6, 6, 10), seed=1)[0],
        "mask": Image(brain[::-1, ::-1].copy(), head.affine @ flip),
    }
    lesion = np.zeros(brain.shape, dtype=np.uint8)
    lesion[10:12, 12:14, 12] = 1
    images["lesion"] = Image(lesion[::-1, ::-1].copy(), head.affine @ flip)
    files = {name: folder / "raw" / f"sub-01_{name}.nii.gz" for name in images}
    for name, image in images.items():
        write_image(files[name], image)
    return files


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A preprocessed session, its slices, and an image that a model made of it."""
    root = tmp_path_factory.mktemp("study")
    files = raw_scans(root)
    paths = PreprocessedPaths(root / "derivatives/d" / f"preproc-{SETTINGS.hash}", "sub-01")
    annotations = Annotations((files["mask"],), (files["lesion"],))
    status = run(paths, {m: files[m] for m in ("T1w", "T2w")}, annotations, SETTINGS)
    assert status.ok, status.reason
    manifest = root / "derivatives/d/slices-a-b/sub-01_slices.json"
    make_store(paths.status, manifest, SliceSettings(size=32), SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        module = SimpleNamespace(load_model=lambda _: model(**MODEL_OF_STUDY))
        patch.setitem(sys.modules, "crossmod.training.checkpoint", module)
        folder = root / "results/s/synthetic/t/m/f"
        pairs = [(paths.status, manifest)]
        (made,) = synthesize_batch(root / "c.pt", pairs, folder, folder / "batch-000_status.json")
    assert made.ok, made.reason
    return root, paths, status, folder, manifest


T1W = """\
  raw scan       sub-01_T1w.nii.gz, sha256 #
                 24 x 28 x 25 voxels of 8 x 8 x 8 mm, axes LPS
  bias field     left as it is
  axes           turned to RAS, voxels as they are
  transforms     1. sub-01_from-T1w_to-individual_mode-image_xfm.txt (identity)
  interpolated   once, linear, onto 24 x 28 x 25 voxels of 8 x 8 x 8 mm, axes RAS
                 space individual
  brain mask     provided with T1w; 0 outside
  normalizer     115.304 becomes 0, 639.434 becomes 1; back: value x 524.13 + 115.304"""
T2W = """\
  raw scan       sub-01_T2w.nii.gz, sha256 #
                 32 x 37 x 20 voxels of 6 x 6 x 10 mm, axes RAS
  bias field     left as it is
  transforms     1. sub-01_from-T1w_to-individual_mode-image_xfm.txt (identity)
                 2. sub-01_from-T2w_to-T1w_mode-image_xfm.txt (identity)
  interpolated   once, linear, onto 24 x 28 x 25 voxels of 8 x 8 x 8 mm, axes RAS
                 space individual
  brain mask     provided with T1w; 0 outside
  normalizer     351.651 becomes 0, 823.253 becomes 1; back: value x 471.603 + 351.651"""


def told(path, voxel=None):
    """The text without hashes of files and code and without versions."""
    text = re.sub(r"sha256 [0-9a-f]{12}\b", "sha256 #", trace(path, voxel))
    text = re.sub(r"[0-9a-f]{8} synthesized", "# synthesized", text)
    return re.sub(r"(crossmod|antspyx) [0-9.]+", r"\1 #", text)


def test_a_volume_tells_its_scan_and_a_voxel_its_place(study):
    _, paths, status, *_ = study
    assert told(status.path("T2w", paths.status), (10, 12, 14)) == (
        f"""\
sub-01_space-individual_desc-preproc_T2w.nii.gz, sha256 #
preprocessed T2w of sub-01

from
{T2W}

voxel 10 12 14
  world          -12.00 -12.00 16.00 mm (RAS)
  T2w            voxel 13.50 16.00 11.10 of sub-01_T2w.nii.gz"""
    )


def test_masks_and_transforms_tell_what_they_are(study):
    _, paths, status, *_ = study
    assert told(status.path("lesion", paths.status), (10, 12, 12)) == (
        """\
sub-01_space-individual_label-lesion_mask.nii.gz, sha256 #
union of all lesion labels of sub-01, each by nearest neighbor

from
  grid           24 x 28 x 25 voxels of 8 x 8 x 8 mm, axes RAS
  space          individual

voxel 10 12 12
  world          -12.00 -12.00 0.00 mm (RAS)
  T1w            voxel 13.00 15.00 12.00 of sub-01_T1w.nii.gz
  T2w            voxel 13.50 16.00 9.50 of sub-01_T2w.nii.gz"""
    )
    assert told(status.path("brain", paths.status)) == (
        """\
sub-01_space-individual_desc-brain_mask.nii.gz, sha256 #
brain mask of sub-01

from
  mask           provided with T1w; at least half a voxel after linear interpolation
  transforms     1. sub-01_from-T1w_to-individual_mode-image_xfm.txt (identity)
  grid           24 x 28 x 25 voxels of 8 x 8 x 8 mm, axes RAS
  space          individual"""
    )
    assert told(status.path("xfm-T2w", paths.status)) == (
        """\
sub-01_from-T2w_to-T1w_mode-image_xfm.txt, sha256 #
identity transform of sub-01

from
  direction      takes points of T1w to points of T2w, by which images are resampled from T2w to T1w
  coordinates    mm, axes to left, posterior, superior (LPS), as ITK and ANTs have them
  estimated      nothing: the headers were trusted
  software       crossmod #, antspyx #"""
    )


def test_a_synthetic_image_tells_its_model_and_its_sources(study):
    *_, folder, _ = study
    image = folder / "sub-01/anat/sub-01_desc-synthetic_FLAIR.nii.gz"
    assert told(image, (10, 12, 14)) == (
        f"""\
sub-01_desc-synthetic_FLAIR.nii.gz, sha256 #
synthetic FLAIR of sub-01, made by a model, not acquired

model
  method         unet
  checkpoint     sha256 #
  settings       5d417e09, split 0123abcd
  code           0.1.0+abc trained, # synthesized

source T1w
{T1W}

source T2w
{T2W}

result
  grid           24 x 28 x 25 voxels of 8 x 8 x 8 mm, axes LPS, that of the raw T1w scan
  way back       through the inverse of
                 1. sub-01_from-T1w_to-individual_mode-image_xfm.txt (identity)
  interpolated   linear inside the brain; thick slices take the mean across them
  scale          value x 800 + 100, of the training cohort; 0 outside
  back           (intensity - 100) / 800

voxel 10 12 14
  world          12.00 12.00 16.00 mm (RAS)
  common         12.00 12.00 16.00 mm (RAS) of the common grid
  T1w            voxel 10.00 12.00 14.00 of sub-01_T1w.nii.gz
  T2w            voxel 17.50 20.00 11.10 of sub-01_T2w.nii.gz"""
    )
    normalized = told(image.with_name("sub-01_desc-normalized_FLAIR.nii.gz"))
    assert normalized.endswith(
        """\
result
  grid           24 x 28 x 25 voxels of 8 x 8 x 8 mm, axes RAS, the common one
  values         0 to 1, 0 outside"""
    )


def test_slices_tell_what_they_were_cut_from(study):
    *_, manifest = study
    expected = f"""\
slices of sub-01

cut
  array          2 x 15 x 32 x 32 float32: modality, slice, x, y
  slices         axial, 5 to 19 of the common grid
  pixels         from [-4, -2], halved 0 times

of T1w
{T1W}

of T2w
{T2W}"""
    assert told(manifest) == f"sub-01_slices.json, sha256 #\n{expected}"
    assert told(manifest.with_suffix(".npy")) == f"sub-01_slices.npy, sha256 #\n{expected}"


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda r, p: r / "raw/sub-01_T1w.nii.gz", "is listed by no status file of crossmod"),
        (lambda r, p: r / "gone.nii.gz", "does not exist"),
        (lambda r, p: change(p / "sub-01_space-individual_desc-brain_mask.nii.gz"),
         "has changed since sub-01_desc-preproc_status.json was written"),
        (lambda r, p: lose(p, "sub-01_from-T2w_to-T1w_mode-image_xfm.json"),
         "sub-01_from-T2w_to-T1w_mode-image_xfm.json: does not exist"),
        (lambda r, p: lose(p, "sub-01_from-T2w_to-T1w_mode-image_xfm.txt"),
         "is listed by a status file but does not exist"),
        (lambda r, p: lose_session(r), "was made from sub-01 in preproc-"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_one_line(study, tmp_path, make, problem):
    root = shutil.copytree(study[0], tmp_path / "copy")
    folder = root / "derivatives/d" / f"preproc-{SETTINGS.hash}" / "sub-01/anat"
    with pytest.raises(InputError, match=problem) as caught:
        trace(make(root, folder))
    assert "\n" not in str(caught.value)


def change(path):
    path.write_bytes(path.read_bytes() + b"0")
    return path


def lose(folder, name):
    (folder / name).unlink()
    return folder / "sub-01_space-individual_desc-preproc_T2w.nii.gz"


def lose_session(root):
    shutil.rmtree(root / "derivatives")
    return root / "results/s/synthetic/t/m/f/sub-01/anat/sub-01_desc-normalized_FLAIR.nii.gz"


def test_pictures_are_named_and_measures_refused(study):
    _, paths, status, *_ = study
    picture = told(status.path("picture-T2w", paths.status))
    assert picture.endswith("picture of T2w of sub-01 on the common grid")
    with pytest.raises(InputError, match="holds measures of quality control, no image"):
        trace(status.path("quality", paths.status))


def test_a_voxel_must_be_one_of_a_volume(study):
    _, paths, status, _, manifest = study
    with pytest.raises(InputError, match="has no voxel 24 0 0, but 24 x 28 x 25"):
        trace(status.path("brain", paths.status), (24, 0, 0))
    for path in (manifest, status.path("xfm-T2w", paths.status)):
        with pytest.raises(InputError, match="is no volume; leave out --voxel"):
            trace(path, (0, 0, 0))


def test_the_command_prints_the_text(study, capsys):
    _, paths, status, *_ = study
    path = status.path("brain", paths.status)
    assert main(["trace", str(path), "--voxel", "1", "2", "3"]) == 0
    assert capsys.readouterr().out == trace(path, (1, 2, 3)) + "\n"
    assert main(["trace", str(path.with_name("none.nii.gz"))]) == 1
    assert capsys.readouterr().err.endswith("none.nii.gz: does not exist; check the path\n")


def test_a_converted_scan_is_followed_to_what_it_was_converted_from(study, tmp_path):
    files = raw_scans(tmp_path)
    converted = IngestedPaths(tmp_path / "derivatives/d/bids", "sub-9")
    request = Request({"T1w": Source(files["T1w"])}, (("brain", Source(files["mask"])),))
    assert ingest_session(converted, request).ok
    paths = PreprocessedPaths(tmp_path / "derivatives/d/preproc-x", "sub-9")
    status = run_ingested(paths, converted.status, SETTINGS)
    assert status.ok, status.reason

    origin = f"converted from sha256 {hash_files([files['T1w']])[:12]}"
    volume = trace(status.path("T1w", paths.status))
    assert f"raw scan       sub-9_T1w.nii.gz, sha256 {hash_file(converted.scan('T1w'))[:12]}\n" \
        f"                 {origin}\n                 24 x 28 x 25 voxels" in volume  # fmt: skip
    assert told(converted.scan("T1w"), (0, 0, 0)) == (
        """\
sub-9_T1w.nii.gz, sha256 #
T1w of sub-9

from
                 converted from sha256 #
  grid           24 x 28 x 25 voxels of 8 x 8 x 8 mm, axes LPS

voxel 0 0 0
  world          92.00 108.00 -96.00 mm (RAS)"""
    )


def test_an_image_of_no_study_is_told_by_its_sidecar(study, tmp_path, monkeypatch):
    root, *_ = study
    settings = SETTINGS.model_copy(update={"brain_extraction": "surface"})
    known = {"preprocess": settings.model_dump(mode="json"), "preprocess_hash": settings.hash}
    module = SimpleNamespace(load_model=lambda _: model(**(MODEL_OF_STUDY | known)))
    monkeypatch.setitem(sys.modules, "crossmod.training.checkpoint", module)
    scans = {m: root / "raw" / f"sub-01_{m}.nii.gz" for m in ("T1w", "T2w")}
    image = tmp_path / "flair.nii.gz"
    synthesize_scans(root / "c.pt", scans, image)
    assert told(image) == (
        """\
flair.nii.gz, sha256 #
synthetic FLAIR, made by a model, not acquired; not of a study

model
  method         unet
  checkpoint     sha256 #
  settings       5d417e09, split 0123abcd
  code           0.1.0+abc trained, # synthesized

from
  raw scan       sub-01_T1w.nii.gz, sha256 #
  raw scan       sub-01_T2w.nii.gz, sha256 #

result
  grid           24 x 28 x 25 voxels of 8 x 8 x 8 mm, axes LPS, that of sub-01_T1w.nii.gz
  scale          value x 800 + 100, of the training cohort; 0 outside
  back           (intensity - 100) / 800"""
    )
    with pytest.raises(InputError, match="was made outside of a study, which keeps no transforms"):
        trace(image, (0, 0, 0))
