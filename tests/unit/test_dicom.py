"""DICOM folders: participants, sessions, choice of series, conversion, records of headers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, RLELossless, generate_uid

from crossmod.errors import InputError
from crossmod.ingest import manifest
from crossmod.ingest.dicom import cache
from crossmod.ingest.dicom.conversion import read_series
from crossmod.ingest.dicom.reader import find
from crossmod.ingest.names import Found
from crossmod.ingest.request import Request
from crossmod.ingest.stage import ingest_session
from crossmod.io import Image
from crossmod.paths import IngestedPaths
from tests.dicom_files import (
    FLAIR,
    ORIENTATION,
    SPACING_MM,
    STEP_MM,
    T2W,
    normal,
    pixels,
    position,
    write_enhanced,
    write_series,
)

SLICES = 8


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def expected_affine() -> np.ndarray:
    """Index (column, row, slice) of the files to RAS+ mm, from the headers' definitions.

    DICOM PS3.3 C.7.6.2.1.1: the first three direction cosines say where columns count up.
    """
    row, column = np.array(ORIENTATION[:3]), np.array(ORIENTATION[3:])
    affine = np.eye(4)
    affine[:3, 0] = row * SPACING_MM[1]
    affine[:3, 1] = column * SPACING_MM[0]
    affine[:3, 2] = normal() * STEP_MM
    affine[:3, 3] = position(0)
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def assert_places(image: Image) -> None:
    """Every pixel's value is found at the pixel's place in the world."""
    stack = np.stack([pixels(n) for n in range(SLICES)], axis=-1).transpose(1, 0, 2)
    index = np.indices(stack.shape).reshape(3, -1)
    world = expected_affine() @ np.vstack([index, np.ones(index.shape[1])])
    found = np.linalg.inv(image.affine) @ world
    assert np.abs(found[:3] - found[:3].round()).max() < 1e-3
    column, row, piece = found[:3].round().astype(int)
    np.testing.assert_array_equal(image.data[column, row, piece], stack.reshape(-1))


def only(found: Found) -> Image:
    (((source,)),) = found.scans.values()
    return read_series(source)[0]


def test_values_lie_where_positions_and_orientation_of_the_headers_say(raw: Path) -> None:
    write_series(raw / "sub-01/study/series")
    image = only(find(raw))
    assert_places(image)
    np.testing.assert_allclose(image.spacing_mm, (SPACING_MM[1], SPACING_MM[0], STEP_MM), rtol=1e-4)
    assert image.header is None


def test_slices_in_another_order_under_any_names(raw: Path) -> None:
    for number, path in enumerate(reversed(write_series(raw / "sub-01"))):
        path.rename(path.with_name(f"IM{number:04d}.dcm"))
    (raw / "sub-01/.DS_Store").write_bytes(b"x")
    assert_places(only(find(raw)))


def test_multi_frame_files(raw: Path) -> None:
    write_enhanced(raw / "sub-01")
    found = find(raw)
    assert list(found.scans) == [("sub-01_ses-1", "T2w")]
    assert_places(only(found))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_files(syntax: str, raw: Path) -> None:
    for number, path in enumerate(write_series(raw / "sub-01")):
        ds = dcmread(path)
        if syntax == RLELossless:
            ds.compress(RLELossless)
        else:
            ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
            ds.PixelData = encapsulate([jpeg2000(pixels(number))])
            ds["PixelData"].is_undefined_length = True
        ds.save_as(path)
    assert_places(only(find(raw)))


def jpeg2000(values: np.ndarray) -> bytes:
    import io

    from PIL import Image as Picture

    stream = io.BytesIO()
    Picture.fromarray(values).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
    return stream.getvalue()


def test_rescaled_values_are_those_of_the_scanner(raw: Path) -> None:
    write_series(raw / "sub-01", modality="CT", RescaleSlope=2.0, RescaleIntercept=-1024.0)
    image = only(find(raw))
    assert image.data.min() == 2.0 * pixels(0).min() - 1024
    assert image.data.max() == 2.0 * pixels(SLICES - 1).max() - 1024


def test_the_sidecar_holds_physics_in_bids_units(raw: Path) -> None:
    write_series(raw / "sub-01", **FLAIR, MagneticFieldStrength=3.0)
    found = find(raw)
    sidecar = read_series(found.scans["sub-01_ses-1", "FLAIR"][0])[1]
    times = [sidecar[key] for key in ("RepetitionTime", "EchoTime", "InversionTime")]
    np.testing.assert_allclose(times, [9.0, 0.11, 2.5])
    assert sidecar["MagneticFieldStrength"] == 3
    assert sidecar["ScanningSequence"] == "SE\\IR"


@pytest.mark.parametrize(("code", "units"), [("BQML", "Bq/mL"), ("CNTS", "counts"), ("X", None)])
def test_the_units_of_a_pet_scan_are_told_as_bids_does(code, units, raw: Path) -> None:
    scanner = {"Manufacturer": "SIEMENS", "ManufacturerModelName": "Biograph 64_mCT"}
    write_series(raw / "sub-01", modality="PT", Units=code, **scanner)
    ((source,),) = find(raw).scans.values()
    sidecar = read_series(source)[1]
    assert sidecar.get("Units") == units
    assert sidecar["ManufacturersModelName"] == "Biograph 64_mCT"


def test_sessions_follow_the_order_of_the_studies(raw: Path) -> None:
    for name, date in (("b", "20210101"), ("a", "20220101"), ("c", "20200101")):
        write_series(raw / "sub-01" / name, StudyDate=date, slices=SLICES)
    write_series(raw / "sub-01/d", StudyDate="20200101", StudyTime="235900", **T2W)
    found = find(raw)
    assert sorted(found.scans) == [
        ("sub-01_ses-1", "T1w"),
        ("sub-01_ses-2", "T2w"),
        ("sub-01_ses-3", "T1w"),
        ("sub-01_ses-4", "T1w"),
    ]


def reasons(found: Found) -> str:
    return "; ".join(f"{r.path} {r.text}" for r in found.remarks)


def test_one_of_several_series_is_taken_by_simple_rules(raw: Path) -> None:
    study = generate_uid()
    write_series(raw / "sub-01/a", study=study, SeriesNumber=2)
    write_series(raw / "sub-01/b", study=study, SeriesNumber=3, MRAcquisitionType="3D")
    write_series(raw / "sub-01/c", study=study, SeriesNumber=4, slices=6, **T2W)
    write_series(raw / "sub-01/d", study=study, SeriesNumber=5, slices=12, **T2W)
    aborted = write_series(raw / "sub-01/e", study=study, SeriesNumber=6, **FLAIR)
    write_series(raw / "sub-01/f", study=study, SeriesNumber=7, **FLAIR)
    aborted[3].unlink()
    found = find(raw)
    taken = {
        m: [s.series.split("-")[0] for s in found.scans["sub-01_ses-1", m]] for _, m in found.scans
    }
    assert taken == {"T1w": ["3"], "T2w": ["5"], "FLAIR": ["7"]}
    assert "is the only 3-D acquisition" in reasons(found)
    assert "has more slices" in reasons(found)
    assert "not used, lacks 1 slice in 1 gap" in reasons(found)


def test_two_series_alike_stay_two(raw: Path) -> None:
    study = generate_uid()
    for number in (3, 4):
        write_series(raw / "sub-01/x", study=study, SeriesNumber=number)
    found = find(raw)
    assert len(found.scans["sub-01_ses-1", "T1w"]) == 2


def test_a_series_of_two_echoes_becomes_two(raw: Path) -> None:
    study, series = generate_uid(), generate_uid()
    for folder, echo in (("a", 15.0), ("b", 90.0)):
        elements = {**T2W, "EchoTime": echo, "SeriesInstanceUID": series}
        write_series(raw / "sub-01" / folder, study=study, **elements)
    found = find(raw)
    assert {m for _, m in found.scans} == {"PDw", "T2w"}
    for (source,) in found.scans.values():
        assert_places(read_series(source)[0])


def test_copies_of_a_file_count_once(raw: Path) -> None:
    for path in write_series(raw / "sub-01/a"):
        copy = raw / "sub-01/backup" / path.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    assert_places(only(find(raw)))


def test_headers_are_read_once(raw: Path, monkeypatch) -> None:
    paths = write_series(raw / "sub-01")
    first = find(raw)
    (record,) = {source.path for sources in first.scans.values() for source in sources}
    content = record.read_bytes()
    read: list[Path] = []
    genuine = cache.read_header
    monkeypatch.setattr(cache, "read_header", lambda p, f: read.append(p) or genuine(p, f))
    assert find(raw) == first
    assert read == []
    ds = dcmread(paths[2])
    ds.EchoTime = 13.0
    ds.save_as(paths[2])
    write_series(raw / "sub-02")
    changed = find(raw)
    assert sorted(read) == sorted([paths[2], *(raw / "sub-02").iterdir()])
    assert record.read_bytes() != content
    assert "sub-02" in changed.participants
    record.write_text("{")
    assert find(raw).scans == changed.scans


def test_a_record_depends_on_files_alone(raw: Path) -> None:
    write_series(raw / "sub-01/b")
    record = cache.read_folder(raw / "sub-01").record
    write_series(raw / "sub-01/a", **T2W)
    grown = cache.read_folder(raw / "sub-01")
    in_steps = record.read_bytes()
    record.unlink()
    assert cache.read_folder(raw / "sub-01") == grown
    assert record.read_bytes() == in_steps
    assert record.stat().st_mode & 0o077 == 0


def test_files_that_vanish_after_the_index_are_noticed(raw: Path) -> None:
    paths = write_series(raw / "sub-01")
    ((source,),) = find(raw).scans.values()
    paths[0].unlink()
    with pytest.raises(InputError, match="changed or vanished"):
        read_series(source)
    source.path.unlink()
    with pytest.raises(InputError, match="is no record of DICOM headers"):
        read_series(source)


def test_a_folder_without_permission_is_told_and_the_others_are_used(
    raw: Path, monkeypatch
) -> None:
    write_series(raw / "sub-01/a")
    write_series(raw / "sub-01/b", **T2W)
    genuine = cache.os.scandir

    def scandir(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return genuine(path)

    monkeypatch.setattr(cache.os, "scandir", scandir)
    found = find(raw)
    assert [modality for _, modality in found.scans] == ["T1w"]
    assert "1 folder not used: may not be read" in reasons(found)


def test_a_folder_that_tells_the_patient_is_renamed(raw: Path) -> None:
    write_series(raw / "DOE_JANE", PatientName="Doe^Jane", PatientID="77-4711")
    found = find(raw)
    (name,) = found.participants
    assert name.startswith("sub-")
    assert "DOE" not in name.upper()
    assert "renamed" in reasons(found)
    assert find(raw) == found


def test_folders_whose_names_become_one_are_refused(raw: Path) -> None:
    write_series(raw / "case 1")
    write_series(raw / "case-1")
    found = find(raw)
    assert list(found.participants) == ["sub-case1"]
    assert "rename one" in reasons(found)


def test_records_hold_no_free_text(raw: Path) -> None:
    write_series(raw / "sub-01", PatientName="Doe^Jane", SeriesDescription="T1 Doe")
    cache_text = cache.read_folder(raw / "sub-01").record.read_text()
    assert "Doe" not in cache_text
    assert json.loads(cache_text)["headers"][0][-5] == ["t1"]


def table(raw: Path, *rows: str) -> Path:
    path = raw / "scans.tsv"
    path.write_text("\n".join(["participant_id\tmodality\tpath\tseries", *rows]) + "\n")
    return path


def test_a_table_chooses_among_series(raw: Path) -> None:
    study = generate_uid()
    write_series(raw / "anna", study=study, SeriesNumber=3)
    write_series(raw / "anna", study=study, SeriesNumber=4)
    write_series(raw / "ben")
    path = table(raw, "01\tT1w\tanna\t4", "02\tT1w\tben\tn/a")
    found = manifest.find(raw, path)
    for source, number in zip(
        (found.scans[key, "T1w"][0] for key in ("sub-01", "sub-02")), ("4-", "3-"), strict=True
    ):
        assert str(source.series).startswith(number)
        assert_places(read_series(source)[0])
    with pytest.raises(InputError, match="holds 2 series where one is due; name one"):
        manifest.find(raw, table(raw, "01\tT1w\tanna\tn/a"))
    with pytest.raises(InputError, match="holds 0 series 7 where one is due"):
        manifest.find(raw, table(raw, "01\tT1w\tanna\t7"))


def test_a_mask_stored_as_a_series_serves_as_lesion_map(raw: Path, tmp_path: Path) -> None:
    write_series(raw / "anna", SeriesNumber=3)
    write_series(raw / "anna/ROI", SeriesNumber=9, SeriesDescription="lesion ROI")
    found = manifest.find(raw, table(raw, "01\tT1w\tanna\t3", "01\tlesion\tanna/ROI\tn/a"))
    ((_, kind, source),) = found.annotations
    request = Request({"T1w": found.scans["sub-01", "T1w"][0]}, ((kind, source),))
    status = ingest_session(IngestedPaths(tmp_path / "bids", "sub-01"), request)
    assert set(status.outputs) == {"T1w", "lesion"}
    assert status.details["left_out"] == {}
    assert set(status.details["sources"]["T1w"]) == {"sha256", "series"}


def test_the_same_files_give_the_same_status_whenever_they_were_copied(
    raw: Path, tmp_path: Path
) -> None:
    texts = []
    for root in (raw, tmp_path / "copy"):
        if root != raw:
            shutil.copytree(raw, root, copy_function=shutil.copy)
        else:
            write_series(raw / "sub-01")
        ((source,),) = find(root).scans.values()
        paths = IngestedPaths(root.parent / f"bids-{root.name}", "sub-01_ses-1")
        ingest_session(paths, Request({"T1w": source}))
        texts.append(paths.status.read_bytes())
    assert texts[0] == texts[1]
