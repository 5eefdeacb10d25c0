"""Conversion of one session: values, places, labels, what stays behind, what is left out."""

import json
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from crossmod.cli import main
from crossmod.config import PreprocessSettings
from crossmod.errors import InputError
from crossmod.files import read_rows, write_rows
from crossmod.ingest.dataset import write_data_set
from crossmod.ingest.labels import CONVENTIONS, LABELS, to_labels
from crossmod.ingest.names import Source
from crossmod.ingest.request import Request
from crossmod.ingest.stage import ingest_session
from crossmod.ingest.tables import PARTICIPANT_TABLE_COLUMNS, participant_rows
from crossmod.io import read_image
from crossmod.paths import IngestedPaths, PreprocessedPaths
from crossmod.preprocess.ingested import run_ingested
from crossmod.settings import MODALITIES

AFFINE = np.array([[-1.5, 0.2, 0, 10], [0.1, 2, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1.0]])
SHAPE = (8, 9, 7)
SECRET = "DOE JANE 19700101"


def values(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 900, SHAPE).astype(np.int16)


def write(path: Path, data: np.ndarray, **codes: int) -> Path:
    """A scan whose free-text fields tell a name."""
    image = nib.Nifti1Image(data, AFFINE)
    image.set_sform(AFFINE, code=codes.get("sform", 1))
    image.set_qform(AFFINE, code=codes.get("qform", 1), strip_shears=True)
    image.header["descrip"] = image.header["intent_name"] = SECRET[:15]
    image.header["db_name"] = image.header["aux_file"] = SECRET[:15]
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", SECRET.encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


@pytest.fixture
def paths(tmp_path):
    return IngestedPaths(tmp_path / "mine" / "bids", "sub-01_ses-2")


def test_values_place_and_codes_survive_and_free_text_does_not(tmp_path, paths) -> None:
    source = write(tmp_path / "raw/a.nii.gz", values(), sform=2, qform=3)
    status = ingest_session(paths, Request({"T1w": Source(source)}))
    assert status.ok
    written = nib.load(paths.scan("T1w"))
    np.testing.assert_array_equal(np.asarray(written.dataobj), values())
    np.testing.assert_allclose(written.affine, AFFINE, atol=1e-5)
    header = written.header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (2, 3)
    assert header.get_xyzt_units()[0] == "mm"
    assert header.get_data_dtype() == np.int16
    assert SECRET[:8].encode() not in header.binaryblock
    assert not header.extensions
    content = json.loads(paths.status.read_text())
    assert content["outputs"]["T1w"]["path"] == "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz"
    assert "a.nii.gz" not in paths.status.read_text()


def test_fractions_and_large_values_stay_as_they_are(tmp_path, paths) -> None:
    fractions, large = values() / np.float32(7), values().astype(np.float32) * 1000
    scans = {
        "T1w": Source(write(tmp_path / "f.nii", fractions)),
        "T2w": Source(write(tmp_path / "l.nii", large)),
    }
    ingest_session(paths, Request(scans))
    np.testing.assert_array_equal(read_image(paths.scan("T1w")).data, fractions)
    np.testing.assert_array_equal(read_image(paths.scan("T2w")).data, large)


def test_each_volume_of_a_4d_file_becomes_its_scan(tmp_path, paths) -> None:
    both = np.stack([values(1), values(2)], axis=-1)
    source = write(tmp_path / "BRATS_001.nii.gz", both)
    scans = {"FLAIR": Source(source, 0), "T1w": Source(source, 1), "T2w": Source(source, 2)}
    status = ingest_session(paths, Request(scans))
    np.testing.assert_array_equal(read_image(paths.scan("FLAIR")).data, values(1))
    np.testing.assert_array_equal(read_image(paths.scan("T1w")).data, values(2))
    assert "has no volume 2, but 2" in status.details["left_out"]["T2w"]


def write_metaimage(path: Path, data: np.ndarray) -> Path:
    """An `.mha` file as the BraTS challenges gave until 2015: LPS, voxels after the header."""
    lps = np.diag([-1.0, -1.0, 1.0]) @ AFFINE[:3]
    spacing = np.linalg.norm(AFFINE[:3, :3], axis=0)
    lines = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False", "CompressedData": "False",
        "TransformMatrix": " ".join(f"{v:.17g}" for v in (lps[:, :3] / spacing).T.ravel()),
        "Offset": " ".join(f"{v:.17g}" for v in lps[:, 3]),
        "ElementSpacing": " ".join(f"{v:.17g}" for v in spacing),
        "DimSize": " ".join(map(str, data.shape)), "ElementType": "MET_SHORT",
        "ElementDataFile": "LOCAL",
    }  # fmt: skip
    header = "".join(f"{key} = {value}\n" for key, value in lines.items())
    path.write_bytes(header.encode() + data.astype("<i2").tobytes(order="F"))
    return path


def write_format(folder: Path, name: str, data: np.ndarray) -> Path:
    if name.endswith(".mha"):
        return write_metaimage(folder / name, data)
    kinds = {".mgz": nib.MGHImage, ".img": nib.Nifti1Pair, ".nii": nib.Nifti2Image}
    nib.save(kinds[Path(name).suffix](data, AFFINE), folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["a.mha", "a.mgz", "a.img", "a.nii"])
def test_every_format_becomes_nifti_with_the_same_voxels_in_the_same_place(
    name, tmp_path, paths
) -> None:
    source = Source(write_format(tmp_path, name, values()))
    status = ingest_session(paths, Request({"T1w": source}))
    assert status.ok, status.reason
    written = nib.load(paths.scan("T1w"))
    assert isinstance(written, nib.Nifti1Image)
    np.testing.assert_array_equal(np.asarray(written.dataobj), values())
    np.testing.assert_allclose(written.affine, AFFINE, atol=1e-4)
    assert written.header.get_xyzt_units()[0] == "mm"


def test_a_sidecar_is_copied_by_its_allowed_keys_alone(tmp_path, paths) -> None:
    sidecar = tmp_path / "a.json"
    kept = {"EchoTime": 0.03, "Manufacturer": "Siemens", "ImageType": ["ORIGINAL"]}
    secret = {
        "PatientName": SECRET, "InstitutionName": SECRET, "AcquisitionDateTime": SECRET,
        "AccessionNumber": SECRET, "SeriesDescription": SECRET, "StationName": SECRET,
    }  # fmt: skip
    odd = {"FlipAngle": float("nan"), "EchoTrainLength": {"PatientName": SECRET}}
    sidecar.write_text(json.dumps({**secret, **odd, **kept}))
    source = Source(write(tmp_path / "a.nii", values()), sidecar=sidecar)
    ingest_session(paths, Request({"T1w": source, "T1ce": source}))
    folder = paths.scan("T1w").parent
    assert json.loads((folder / "sub-01_ses-2_T1w.json").read_text()) == kept
    contrast = json.loads((folder / "sub-01_ses-2_ce-gadolinium_T1w.json").read_text())
    assert contrast == {**kept, "ContrastBolusIngredient": "GADOLINIUM"}


@pytest.mark.parametrize(
    ("convention", "own", "expected"),
    [
        ("brats-2012", [0, 1, 2], [0, 2, 1]),
        ("brats-2013", [0, 1, 2, 3, 4], [0, 1, 2, 1, 3]),
        ("brats-2017", [0, 1, 2, 4], [0, 1, 2, 3]),
        ("brats-2017", [0, 1, 2, 3], [0, 1, 2, 3]),
        ("brats-2023", [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
        ("msd", [0, 1, 2, 3], [0, 2, 1, 3]),
    ],
)
def test_each_convention_becomes_the_one(convention, own, expected) -> None:
    assert to_labels(np.array(own), convention, Path("x")).tolist() == expected
    assert set(CONVENTIONS[convention].values()) <= set(LABELS)


def test_a_label_that_a_convention_has_not_is_refused() -> None:
    with pytest.raises(InputError, match="x: holds the label 7, which the convention msd"):
        to_labels(np.array([0, 1, 7]), "msd", Path("x"))


def test_label_maps_get_their_numbers_and_a_lookup_masks_stay_masks(tmp_path, paths) -> None:
    labels = np.zeros(SHAPE, np.int16)
    labels[2, 2, 2:6] = 1, 2, 3, 4
    source = write(tmp_path / "seg.nii.gz", labels)
    request = Request(
        {"T1w": Source(write(tmp_path / "a.nii", values()))},
        (
            ("lesion", Source(source, labels="brats-2013")),
            ("lesion", Source(source)),
            ("lesion", Source(source, labels="msd")),
            ("brain", Source(source)),
        ),
    )
    status = ingest_session(paths, request)
    files = {name: status.path(name, paths.status) for name in status.outputs}
    assert read_image(files["lesion"]).data[2, 2, 2:6].tolist() == [1, 2, 1, 3]
    assert read_image(files["lesion-2"]).data[2, 2, 2:6].tolist() == [1, 1, 1, 1]
    assert files["brain"].name == "sub-01_ses-2_desc-brain_mask.nii.gz"
    lookup = read_rows(files["lesion"].with_name("sub-01_ses-2_desc-tumor_dseg.tsv"))
    assert {row["index"]: row["abbreviation"] for row in lookup} == {
        "1": "NCR", "2": "ED", "3": "ET", "4": "RC",
    }  # fmt: skip
    assert "holds the label 4" in status.details["left_out"]["lesion-3"]


def test_a_bad_scan_is_left_out_and_a_session_without_scans_too(tmp_path, paths) -> None:
    good, bad = write(tmp_path / "a.nii.gz", values()), tmp_path / "b.nii.gz"
    bad.write_bytes(good.read_bytes()[:200])
    status = ingest_session(paths, Request({"T1w": Source(good), "T2w": Source(bad)}))
    assert list(status.outputs) == ["T1w"]
    assert status.details["left_out"]["T2w"].startswith("is damaged")
    again = ingest_session(paths, Request({"T1w": Source(bad)}))
    assert not again.ok
    assert again.reason.startswith("sub-01_ses-2 T1w: is damaged")
    assert not paths.scan("T1w").exists()  # nothing stale


def test_names_of_files_reach_the_log_and_not_the_data_set(tmp_path, paths, caplog) -> None:
    scan = write(tmp_path / "raw/a.nii.gz", values())
    name = tmp_path / SECRET.replace(" ", "_")
    for suffix in (".nii.gz", ".hdr", ".mhd", ".json"):
        name.with_name(name.name + suffix).write_bytes(b"ElementDataFile = DOE_JANE.raw\n")
    files = [Source(name.with_name(name.name + suffix)) for suffix in (".nii.gz", ".hdr", ".mhd")]
    gone = Source(name.with_name("DOE_JANE_2.nii"))
    described = Source(scan, sidecar=name.with_name(name.name + ".json"))
    notes = (("lesion", files[0]), ("brain", files[1]), ("lesion", files[2]), ("brain", gone))
    whole = Request({"T1w": described, "T2w": files[0], "FLAIR": files[2]}, notes)
    for request in (whole, *(Request({"T1w": source}) for source in (*files, gone))):
        caplog.clear()
        status = ingest_session(paths, request)
        assert status.ok == (request is whole)
        assert "DOE" not in paths.status.read_text()
        assert "DOE_JANE" in caplog.text
    assert "does not exist" in status.reason


def test_an_annotation_may_be_one_volume_of_a_file(tmp_path, paths) -> None:
    first, second = (np.zeros(SHAPE, np.int16) for _ in range(2))
    first[1], second[2] = 1, 1
    both = write(tmp_path / "two.nii.gz", np.stack([first, second], axis=-1))
    one = write(tmp_path / "one.nii.gz", first)
    scan = Source(write(tmp_path / "a.nii", values()))
    notes = tuple(
        ("lesion", source) for source in (Source(both, 1), Source(one, 0), Source(one, 1))
    )
    status = ingest_session(paths, Request({"T1w": scan}, notes))
    read = [read_image(status.path(n, paths.status)).data for n in ("lesion", "lesion-2")]
    np.testing.assert_array_equal(read[0], second)
    np.testing.assert_array_equal(read[1], first)
    assert status.details["left_out"] == {"lesion-3": "has no volume 1, but 1"}


def test_shares_of_voxels_count_from_a_half_on(tmp_path, paths) -> None:
    soft = np.zeros(SHAPE, np.float32)
    soft[1:4] = np.array([0.01, 0.5, 1])[:, None, None]
    labels = np.zeros(SHAPE, np.int16)
    labels[1:4] = np.array([1, 2, 200])[:, None, None]
    files = [Source(write(tmp_path / f"{i}.nii", data)) for i, data in enumerate((soft, labels))]
    scan = Source(write(tmp_path / "a.nii", values()))
    status = ingest_session(paths, Request({"T1w": scan}, tuple(("brain", f) for f in files)))
    read = [read_image(status.path(n, paths.status)).data[1:4, 0, 0] for n in ("brain", "brain-2")]
    assert [mask.tolist() for mask in read] == [[0, 1, 1], [1, 1, 1]]


def test_what_was_left_out_reaches_preprocessing(tmp_path, paths) -> None:
    bad = tmp_path / "b.nii.gz"
    bad.write_bytes(b"x")
    ingest_session(paths, Request({"T1w": Source(bad)}))
    into = PreprocessedPaths(tmp_path / "preproc", paths.key)
    status = run_ingested(into, paths.status, PreprocessSettings())
    assert not status.ok
    assert status.reason == json.loads(paths.status.read_text())["reason"]
    assert into.status.is_file()


def test_a_request_survives_its_json() -> None:
    request = Request(
        {"T1w": Source(Path("a b/ä.mha"), 3, sidecar=Path("a.json")), "CT": Source(Path("c"))},
        (("lesion", Source(Path("s.nii"), labels="msd")),),
    )
    assert Request.from_json(json.loads(request.to_json())) == request


def annotated(**entry: object) -> dict:
    return {"scans": {}, "annotations": [{"kind": "lesion", "path": "x", **entry}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "has another form"),
        ({"scans": {"T1w": {"file": "x"}}}, "has another form"),
        ({"scans": {"T9": {"path": "x"}}}, "names the unknown modality 'T9'"),
        ({"scans": {"T1w": {"path": 3}}}, "has another form"),
        ({"scans": {"T1w": {"path": "x", "volume": "1"}}}, "names the volume '1'"),
        ({"scans": {"T1w": {"path": "x", "volume": -1}}}, "names the volume -1"),
        ({"scans": {"T1w": {"path": "x", "labels": "msd"}}}, "names labels for T1w"),
        (annotated(kind="tumour"), "names the unknown annotation 'tumour'"),
        (annotated(labels="mine"), "names the unknown labels 'mine'"),
        (annotated(labels=["msd"]), "names the unknown labels"),
        (annotated(kind="brain", labels="msd"), "names labels for brain"),
    ],
)
def test_a_malformed_request_is_refused(content, message) -> None:
    with pytest.raises(InputError, match=message):
        Request.from_json(content)


def test_a_pair_of_files_and_a_sidecar_all_decide_a_scan(tmp_path) -> None:
    for name in ("a.hdr", "a.img", "a.json", "b.nii"):
        (tmp_path / name).touch()
    source = Source(tmp_path / "a.hdr", sidecar=tmp_path / "a.json")
    request = Request({"T1w": source, "T2w": Source(tmp_path / "b.nii")})
    assert {path.name for path in request.files} == {"a.hdr", "a.img", "a.json", "b.nii"}


def test_the_voxels_of_a_pair_pin_its_source(tmp_path, paths) -> None:
    source = tmp_path / "a.mhd"
    hashes = []
    for seed in (1, 2, 2):
        whole = write_metaimage(tmp_path / "a.mha", values(seed)).read_bytes()
        head, _, voxels = whole.partition(b"LOCAL\n")
        source.write_bytes(head + b"voxels.bin\n")
        (tmp_path / "voxels.bin").write_bytes(voxels)
        status = ingest_session(paths, Request({"T1w": Source(source)}))
        hashes.append(status.details["sources"]["T1w"]["sha256"])
    assert hashes[0] != hashes[1] == hashes[2]


@pytest.fixture
def data_set(tmp_path, study_of):
    """All modalities of two subjects from a table, converted."""
    from crossmod.ingest.index import index_study

    raw = tmp_path / "raw"
    rows = []
    for name in ("01", "02"):
        for number, kind in enumerate((*MODALITIES, "brain", "lesion", "tumor")):
            write(raw / f"{name}/{kind}.nii.gz", values(number) % (4 if kind == "tumor" else 900))
            row = {"participant_id": name, "path": f"{name}/{kind}.nii.gz", "age": "54"}
            row |= {"modality": "lesion" if kind == "tumor" else kind, "site": SECRET}
            rows.append({**row, "labels": "msd" if kind == "tumor" else "", "name": SECRET})
    write_rows(raw / "scans.tsv", tuple(rows[0]), rows)
    index = index_study(study_of(raw, dataset={"name": "mine", "manifest": "scans.tsv"}))
    assert index.detected.layout == "manifest"
    root = tmp_path / "derivatives" / "mine" / "bids"
    for key, session in index.sessions.items():
        assert ingest_session(IngestedPaths(root, key), session.request).ok
    write_rows(tmp_path / "people.tsv", PARTICIPANT_TABLE_COLUMNS, participant_rows(index))
    write_data_set(root, tmp_path / "people.tsv")
    return root


def test_participants_have_the_columns_there_are(data_set) -> None:
    assert read_rows(data_set / "participants.tsv") == [
        {"participant_id": "sub-01", "age": "54"}, {"participant_id": "sub-02", "age": "54"},
    ]  # fmt: skip
    assert list(json.loads((data_set / "participants.json").read_text())) == ["age"]


def test_a_subject_that_withdrew_is_no_part_of_the_data_set(data_set, tmp_path, caplog) -> None:
    people, index = tmp_path / "people.tsv", tmp_path / "sessions.tsv"
    assert "sub-02/" not in (data_set / ".bidsignore").read_text().splitlines()
    index.write_text("session_key\tstatus\nsub-01\tpresent\nsub-02\texcluded\n")
    write_data_set(data_set, people, index)
    assert [r["participant_id"] for r in read_rows(data_set / "participants.tsv")] == ["sub-01"]
    assert (data_set / ".bidsignore").read_text().splitlines()[-1] == "sub-02/"
    assert "Files of sub-02 are left" in (data_set / "README.md").read_text()
    assert "no part of the data set any more: sub-02" in caplog.text
    index.write_text("session_key\tstatus\nsub-01\tpresent\nsub-02\tpresent\n")
    write_data_set(data_set, people, index)
    assert len(read_rows(data_set / "participants.tsv")) == 2
    assert "sub-02" not in (data_set / "README.md").read_text()


def test_no_secret_reaches_the_data_set(data_set) -> None:
    import gzip

    files = [path for path in data_set.rglob("*") if path.is_file()]
    assert len(files) > 40
    for path in files:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        assert SECRET[:8].encode() not in content, path


def test_what_is_written_is_read_back_as_bids(data_set, study_of) -> None:
    from crossmod.ingest.index import index_study

    index = index_study(study_of(data_set))
    assert index.detected.layout == "bids"
    session = index.sessions["sub-01"]
    assert session.request.scans.keys() == set(MODALITIES)
    assert sorted(kind for kind, _ in session.annotations) == ["brain", "lesion", "lesion"]
    assert not index.remarks


def validate(root: Path) -> dict:
    """Issues of the BIDS validator by severity, the annotations' too."""
    program = shutil.which("bids-validator-deno")
    if program is None:
        pytest.skip(
            "NOT CHECKED against BIDS: bids-validator-deno is not installed (uv pip install)"
        )
    done = subprocess.run(
        [program, "--json", "--recursive", root], capture_output=True, text=True, check=False
    )
    content = json.loads(done.stdout)
    parts = [content, *content.get("derivativesSummary", {}).values()]
    assert len(parts) == 2
    found: dict[str, set] = {}
    for part in parts:
        for issue in part["issues"]["issues"]:
            what = (issue["code"], issue.get("subCode"), issue.get("location"))
            found.setdefault(issue["severity"], set()).add(what)
    return found


@pytest.mark.bids
def test_what_is_written_is_valid_bids(data_set) -> None:
    found = validate(data_set)
    assert not found.get("error")
    # Nobody knows authors, licenses and settings of scanners; everything else is mended.
    assert {code for code, *_ in found["warning"]} <= {
        "JSON_KEY_RECOMMENDED", "SIDECAR_KEY_RECOMMENDED", "NO_AUTHORS", "TOO_FEW_AUTHORS",
    }  # fmt: skip


@pytest.mark.bids
def test_the_validator_minds_a_withdrawn_subject_until_its_files_are_gone(
    data_set, tmp_path
) -> None:
    (tmp_path / "sessions.tsv").write_text("session_key\tstatus\nsub-01\tpresent\n")
    for codes in ({"PARTICIPANT_ID_MISMATCH"}, set()):
        write_data_set(data_set, tmp_path / "people.tsv", tmp_path / "sessions.tsv")
        assert {code for code, *_ in validate(data_set).get("error", ())} == codes
        for path in [*data_set.rglob("sub-02"), *data_set.glob("sub-02_*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "sub-02" not in (data_set / "README.md").read_text()


@pytest.mark.bids
def test_the_validator_would_say_so(data_set) -> None:
    (data_set / ".bidsignore").unlink()
    assert validate(data_set)["error"]


def test_the_command_line_converts_and_lists(tmp_path, capsys) -> None:
    source = write(tmp_path / "a.nii.gz", values())
    sources = json.dumps({"scans": {"T1w": {"path": str(source)}}})
    out = ["--output-dir", str(tmp_path / "bids")]
    assert main(["ingest", "--session", "sub-07", "--sources", sources, *out]) == 0
    (tmp_path / "people.tsv").write_text("participant_id\tsex\nsub-07\tF\nsub-08\tM\n")
    assert main(["ingest", "--participants", str(tmp_path / "people.tsv"), *out]) == 0
    rows = read_rows(tmp_path / "bids/participants.tsv")
    assert rows == [{"participant_id": "sub-07", "sex": "F"}]
    assert main(["ingest", "--session", "sub-07", "--sources", '{"scans": []}', *out]) == 1
    assert "--sources: has another form" in capsys.readouterr().err
