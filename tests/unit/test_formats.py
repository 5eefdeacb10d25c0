"""Volumes of every format land where other programs put them."""

import gzip
from collections.abc import Callable
from pathlib import Path

import ants
import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.spatial.transform import Rotation

from crossmod.errors import InputError
from crossmod.formats import open_volume
from crossmod.io import Image, read_image, read_scan, read_section
from crossmod.volume_names import SUFFIXES, volume_files, volume_suffix
from tests.faults.headers import analyze, cut, metaimage, mgh, nifti, nrrd, patch, smooth
from tests.unit.test_round_trips import affines

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
DATA = np.random.default_rng(0).integers(0, 2000, (4, 5, 6)).astype(np.int16)


def pose(degrees: tuple[float, float, float], axes: str, spacing: tuple[float, ...]) -> np.ndarray:
    """Affine with axes such as LPS, turned."""
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    directions = nib.orientations.inv_ornt_aff(
        nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axes)
        ),
        (1, 1, 1),
    )[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = turn @ directions @ np.diag(spacing)
    affine[:3, 3] = [12.5, -30, 7]
    return affine


POSES = {
    "RAS": pose((0, 0, 0), "RAS", (1, 1, 1)),
    "LPS": pose((0, 0, 0), "LPS", (0.9, 0.9, 5)),
    "sagittal": pose((0, 0, 0), "PIR", (1, 1, 1.2)),
    "oblique": pose((12, -7, 31), "LAS", (0.43, 0.43, 3)),
}


def by_nibabel(kind: type) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, affine: np.ndarray) -> None:
        nib.save(kind(DATA, affine), path)

    return write


def by_ants(path: Path, affine: np.ndarray) -> None:
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = ants.from_numpy(
        DATA.astype(np.float32),
        origin=tuple(lps[:3, 3]),
        spacing=tuple(spacing),
        direction=lps[:3, :3] / spacing,
    )
    ants.image_write(image, str(path))


def big_endian_nifti(path: Path, affine: np.ndarray) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nib.save(nib.Nifti1Image(DATA, affine, header), path)


def text(vectors: np.ndarray) -> str:
    return " ".join(f"({','.join(f'{v:.12g}' for v in vector)})" for vector in vectors)


def nrrd_in(signs: tuple[int, int, int], space: str) -> Callable[[Path, np.ndarray], None]:
    """Writer of a gzipped, big-endian NRRD file in a space of these signs against RAS."""

    def write(path: Path, affine: np.ndarray) -> None:
        world = np.diag([*signs, 1]) @ affine
        nrrd(
            path,
            DATA.astype(">i2"),
            sizes="4 5 6",
            space=space,
            space_directions=text(world[:3, :3].T),
            space_origin=text(world[:3, 3][None]),
            endian="big",
            encoding="gzip",
        )

    return write


def packed_metaimage(path: Path, affine: np.ndarray) -> None:
    """Compressed and big-endian."""
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    metaimage(
        path,
        DATA.astype(">i2"),
        DimSize="4 5 6",
        TransformMatrix=" ".join(f"{v:.12g}" for v in (lps[:3, :3] / spacing).T.ravel()),
        Offset=" ".join(str(v) for v in lps[:3, 3]),
        ElementSpacing=" ".join(str(v) for v in spacing),
        CompressedData="True",
        BinaryDataByteOrderMSB="True",
    )


WRITERS = {
    "a.nii": by_nibabel(nib.Nifti1Image),
    "b.nii.gz": by_nibabel(nib.Nifti1Image),
    "two.nii.gz": by_nibabel(nib.Nifti2Image),
    "big.nii": big_endian_nifti,
    "pair.hdr": by_nibabel(nib.Nifti1Pair),
    "pair.img": by_nibabel(nib.Nifti1Pair),
    "pair.img.gz": by_nibabel(nib.Nifti1Pair),
    "pair2.hdr": by_nibabel(nib.Nifti2Pair),
    "a.mgh": by_nibabel(nib.MGHImage),
    "a.mgz": by_nibabel(nib.MGHImage),
    "a.mha": by_ants,
    "a.mhd": by_ants,
    "packed.mha": packed_metaimage,
    "a.nrrd": by_ants,
    "a.nhdr": by_ants,
    "ras.nrrd": nrrd_in((1, 1, 1), "right-anterior-superior"),
    "las.nrrd": nrrd_in((-1, 1, 1), "LAS"),
    "lps.nrrd": nrrd_in((-1, -1, 1), "left-posterior-superior"),
}


@pytest.mark.parametrize("place", POSES)
@pytest.mark.parametrize("name", WRITERS)
def test_every_voxel_lands_where_it_was_put(name: str, place: str, tmp_path: Path) -> None:
    affine = POSES[place]
    WRITERS[name](tmp_path / name, affine)
    image = read_scan(tmp_path / name)
    np.testing.assert_array_equal(image.data, DATA)
    np.testing.assert_allclose(image.affine, affine, atol=1e-4)
    assert image.remarks == ()


# The ITK of ANTs turns NRRD in the space LAS by half a turn, and does not know NIfTI-2 and MGH.
@pytest.mark.parametrize(
    "name", [n for n in WRITERS if not n.startswith(("las", "two", "pair2", "a.mg"))]
)
def test_itk_reads_the_same(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name, POSES["oblique"])
    ours, theirs = read_image(tmp_path / name), ants.image_read(str(tmp_path / name))
    np.testing.assert_array_equal(ours.data, theirs.numpy())
    lps = np.eye(4)
    lps[:3, :3] = theirs.direction * np.array(theirs.spacing)
    lps[:3, 3] = theirs.origin
    np.testing.assert_allclose(ours.affine, LPS @ lps, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(affine=affines())
def test_text_headers_carry_any_pose(affine: np.ndarray, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("pose")
    for name in ("packed.mha", "ras.nrrd", "lps.nrrd"):
        WRITERS[name](folder / name, affine)
        np.testing.assert_allclose(read_image(folder / name).affine, affine, atol=1e-4)


def test_the_formats_of_the_table_are_those_that_are_tried() -> None:
    tried = {volume_suffix(name) for name in WRITERS}
    assert set(SUFFIXES) - tried == {".hdr.gz", ".mgh.gz"}, "these have a test of their own"
    page = (Path(__file__).parents[2] / "docs" / "reference" / "formats.md").read_text()
    assert all(f"`{suffix.removesuffix('.gz')}" in page for suffix in SUFFIXES)


SERIES = np.stack([smooth() + 10 * i for i in range(3)], axis=-1)


@pytest.mark.parametrize(
    "name, write",
    [
        ("a.nii.gz", lambda path: nifti(path, SERIES)),
        ("a.mgz", lambda path: mgh(path, SERIES.astype(np.float32))),
        (
            "a.nrrd",
            lambda path: nrrd(
                path,
                SERIES,
                dimension="4",
                sizes="8 9 10 3",
                space_directions="(1,0,0) (0,1,0) (0,0,2) none",
                kinds="domain domain domain list",
                encoding="gzip",
            ),
        ),
        (
            "a.mha",
            lambda path: metaimage(
                path,
                SERIES,
                NDims="4",
                DimSize="8 9 10 3",
                ElementSpacing="1 1 2 1",
                Offset="0 0 0 0",
                TransformMatrix="1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
                CompressedData="True",
            ),
        ),
    ],
)
def test_a_volume_of_a_series_is_read_by_its_number(name: str, write, tmp_path: Path) -> None:
    path = write(tmp_path / name)
    for index in range(3):
        np.testing.assert_array_equal(read_scan(path, volume=index).data, SERIES[..., index])
    np.testing.assert_allclose(read_scan(path, volume=1).affine[2, 2], 2)
    with pytest.raises(InputError, match="has 4 dimensions"):
        read_scan(path)
    for wrong in (3, -1):
        with pytest.raises(InputError, match=f"has no volume {wrong}, but 3; name one from 0 to 2"):
            read_scan(path, volume=wrong)


def test_damage_behind_the_volume_that_is_asked_for_is_told(tmp_path: Path) -> None:
    path = cut(nifti(tmp_path / "a.nii.gz", SERIES), 200)
    with pytest.raises(InputError, match="is damaged"):
        read_image(path, volume=0)


def test_a_section_is_read_without_what_is_behind_it(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    path = nifti(tmp_path / "a.nii.gz", data)
    np.testing.assert_array_equal(read_section(path, 7), data[:, :, 7])
    cut(path, 2000)
    np.testing.assert_array_equal(read_section(path, 7), data[:, :, 7])


def no_forms(folder: Path) -> Path:
    return nifti(folder / "a.nii", sform_code=0, qform_code=0)


def moved_forms(folder: Path) -> Path:
    return nifti(folder / "a.nii", qform_code=2, qoffset_x=12)


def no_flag(folder: Path) -> Path:
    return patch(mgh(folder / "a.mgh"), 28, b"\0\0")


REMARKS = {
    "Analyze": (lambda d: analyze(d / "a.hdr"), "tell no orientation; x is taken to run to"),
    "Analyze's voxels": (
        lambda d: analyze(d / "a.hdr").with_suffix(".img"), "left and right may be swapped"),
    "no form": (no_forms, "has neither sform nor qform"),
    "moved sform": (moved_forms, "its sform and qform differ by up to 12.0 mm; the sform is used"),
    "MetaImage": (lambda d: metaimage(d / "a.mha", TransformMatrix=None), "tells no orientation"),
    "NRRD": (
        lambda d: nrrd(d / "a.nrrd", space_directions=None, space=None, space_origin=None),
        "tells no orientation"),
    "MGH": (no_flag, "tells no orientation; it is taken to be coronal"),
}  # fmt: skip


@pytest.mark.parametrize("case", REMARKS)
def test_a_remark_tells_what_is_uncertain_about_the_place(case: str, tmp_path: Path) -> None:
    make, words = REMARKS[case]
    (remark,) = read_scan(make(tmp_path)).remarks
    assert words in remark
    assert "\n" not in remark


def test_analyze_runs_to_the_left_from_the_origin_of_spm(tmp_path: Path) -> None:
    affine = np.array([[-2.0, 0, 0, 6], [0, 3, 0, -9], [0, 0, 4, -8], [0, 0, 0, 1]])
    image = nib.Spm99AnalyzeImage(smooth(), affine)
    image.header["origin"][:3] = (4, 4, 3)  # counted from 1
    nib.save(image, tmp_path / "a.img")
    (tmp_path / "a.mat").unlink()
    np.testing.assert_allclose(read_scan(tmp_path / "a.img").affine, affine)
    center = read_scan(analyze(tmp_path / "b.hdr"))
    np.testing.assert_allclose(center.affine @ [3.5, 4, 4.5, 1], [0, 0, 0, 1])
    np.testing.assert_array_equal(center.data, smooth())


def test_forms_of_one_code_may_differ_where_spm_moved_the_scan(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", sform_code=2, qform_code=2, srow_x__3=25)
    image = read_scan(path)
    assert image.affine[0, 3] == 25
    assert "differ by up to 25.0 mm" in image.remarks[0]
    turned = nifti(tmp_path / "b.nii", sform_code=4, srow_x=[1, 0, 0, 0], srow_y=[0, -1, 0, 0])
    assert read_scan(turned).affine[1, 1] == -1, "another space may run another way"


def test_compression_is_seen_from_the_content(tmp_path: Path) -> None:
    plain = nifti(tmp_path / "a.nii")
    (tmp_path / "b.nii.gz").write_bytes(plain.read_bytes())
    (tmp_path / "c.NII").write_bytes(gzip.compress(plain.read_bytes()))
    for name in ("a.nii", "b.nii.gz", "c.NII"):
        np.testing.assert_array_equal(read_scan(tmp_path / name).data, smooth())


def test_voxels_in_a_file_of_their_own_may_follow_other_bytes(tmp_path: Path) -> None:
    (tmp_path / "voxels.raw").write_bytes(bytes(77) + smooth().tobytes("F"))
    for skip in ("77", "-1"):
        meta = metaimage(tmp_path / "a.mhd", ElementDataFile="voxels.raw", HeaderSize=skip)
        np.testing.assert_array_equal(read_scan(meta).data, smooth())
        detached = nrrd(tmp_path / "a.nhdr", data_file="./voxels.raw", byte_skip=skip)
        np.testing.assert_array_equal(read_scan(detached).data, smooth())


def test_nrrd_is_read_in_mm_alone(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", space_units='"mm" "mm" "mm"')
    assert read_scan(path).spacing_mm == (1, 1, 2)
    with pytest.raises(InputError, match="units other than mm"):
        read_scan(nrrd(path, space_units='"cm" "cm" "cm"'))


def test_pairs_and_mgh_files_may_be_gzipped(tmp_path: Path) -> None:
    pair, single = analyze(tmp_path / "a.hdr"), mgh(tmp_path / "b.mgh", smooth().astype("f4"))
    for file in (pair, pair.with_suffix(".img"), single):
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    for name in ("a.hdr.gz", "a.img.gz", "b.mgh.gz"):
        np.testing.assert_array_equal(read_scan(tmp_path / name).data, smooth())


def test_members_of_a_gzip_file_follow_each_other(tmp_path: Path) -> None:
    content = nifti(tmp_path / "a.nii").read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(content[:900]) + gzip.compress(content[900:]))
    np.testing.assert_array_equal(read_scan(path).data, smooth())


def test_the_tags_behind_an_mgh_volume_are_no_damage(tmp_path: Path) -> None:
    path = mgh(tmp_path / "a.mgh")
    path.write_bytes(path.read_bytes() + bytes(5000))
    np.testing.assert_array_equal(read_scan(path).data, smooth(np.float32))


def test_voxels_of_noise_and_of_labels_are_not_called_swapped(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 4000, (30, 30, 30)).astype(np.int16)
    labels = np.zeros((30, 30, 30), np.int16)
    labels[10:20, 10:20, 10:20] = 256
    for data in (noise, labels, smooth(np.float64), smooth(np.float32) / 1e6):
        read_scan(nifti(tmp_path / "a.nii", data))


def test_a_header_tells_the_grid_without_the_voxels(tmp_path: Path) -> None:
    file = open_volume(nifti(tmp_path / "a.nii.gz", SERIES))
    assert (file.shape, file.volumes) == ((8, 9, 10), 3)
    grid = Image(np.zeros(file.shape), file.affine)
    assert grid.spacing_mm == (1, 1, 2)


@pytest.mark.parametrize(
    ("name", "content", "others"),
    [
        ("v.img.gz", b"", ["v.hdr.gz"]),
        ("V.HDR", b"", ["V.IMG"]),
        ("v.hdr", b"", ["v.img"]),
        ("v.nhdr", b"NRRD0004\ndata file: ./w.raw.gz\n\n", ["w.raw.gz"]),
        ("v.mhd", b"NDims = 3\nElementDataFile = x.zraw\n", ["x.zraw"]),
        ("v.mhd", b"NDims = 3\nElementDataFile = ../x.zraw\n", []),
        ("v.mhd", b"NDims = 3\nElementDataFile = " + b"x" * 300 + b"\n", []),
        ("v.mhd", b"NDims = 3\nElementDataFile = LOCAL\n", []),
        ("v.nii.gz", b"", []),
        ("v.mhd", None, []),
    ],
)
def test_which_files_make_up_a_volume(name, content, others, tmp_path: Path) -> None:
    path = tmp_path / "data" / name
    for other in ("v.hdr.gz", "V.IMG", "v.img", "w.raw.gz", "x.zraw", "../x.zraw", "v.raw"):
        (path.parent / other).parent.mkdir(parents=True, exist_ok=True)
        (path.parent / other).write_bytes(b"x")
    if content is not None:
        path.write_bytes(content)
    assert volume_files(path) == (path, *(path.with_name(other) for other in others))
