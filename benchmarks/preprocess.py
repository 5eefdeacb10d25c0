"""Accuracy and speed of preprocessing: python benchmarks/preprocess.py PART ...

poses      registration on the phantom from random poses of the moving scans
sessions   registration of real sessions against published transforms, ANTsPy's defaults beside it
brain      brain extraction of real sessions against published masks, other programs beside it

    python benchmarks/preprocess.py poses --number 60 --save poses.json
    python benchmarks/preprocess.py sessions --data FOLDER --save sessions.json
    python benchmarks/preprocess.py brain --data FOLDER --save brain.json

FOLDER is a BIDS data set with `derivatives/transforms` (ITK text files, from-X_to-FLAIR and
from-FLAIR_to-common) and `derivatives/masks` (brain masks in the space `common`), as the
longitudinal scans of Lesjak et al. (Neuroinformatics 2016) can be laid out. Everything runs in one
thread; times are seconds of the processor, which other work on the machine disturbs least.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from crossmod.config import PhantomSettings
from crossmod.files import write_json
from crossmod.io import Image, read_image, read_scan, to_ras, write_image
from crossmod.paths import raw_scan
from crossmod.phantom import generate_subject, roster
from crossmod.preprocess.ants_bridge import load_ants, read_transform, to_ants
from crossmod.preprocess.bias_field import MODALITIES_WITHOUT_FIELD, correct_bias_field
from crossmod.preprocess.brain_extraction import Head, extract_brain, majority
from crossmod.preprocess.registration import MOST_PEAK_SHARE, compared, peak_share, register
from crossmod.preprocess.resampling import Grid, dice, resample_mask, working_copy
from crossmod.preprocess.transforms import Matrix, about, apply
from crossmod.settings import MODALITIES, Modality

Row = dict[str, Any]
WRONG_MM = 2.0
EVERY = 97  # points inside the brain that errors are averaged over


@dataclass(frozen=True)
class Pair:
    """Two scans of one head, and the transform between them that is held for true.

    Attributes
    ----------
    name : str
    fixed, moving : Image
        As acquired, RAS orientation.
    truth : array, shape (4, 4)
        Fixed to moving, RAS mm.
    points : array, shape (n, 3)
        Places in the brain, world of the fixed scan in mm.
    """

    name: str
    fixed: Image
    moving: Image
    truth: Matrix
    points: NDArray[np.float64]

    def error_mm(self, found: Matrix) -> NDArray[np.float64]:
        """Distance between where a transform and the true one take each point."""
        return np.linalg.norm(apply(found, self.points) - apply(self.truth, self.points), axis=1)


def points_in(mask: Image) -> NDArray[np.float64]:
    """World coordinates of some voxels of a mask."""
    return apply(mask.affine, np.argwhere(mask.data > 0)[::EVERY].astype(np.float64))


class Clock:
    """Processor time of what is called through it, programs included: seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Result of `work(*arguments)`."""
        start = sum(os.times()[:4])
        result = work(*arguments)
        self.seconds[name] = self.seconds.get(name, 0.0) + sum(os.times()[:4]) - start
        return result


# --------------------------------------------------------------------------------------------------
# poses


def measure_poses(options: argparse.Namespace) -> list[Row]:
    """Register scans of the phantom after the head was turned and moved at random."""
    random = np.random.default_rng(options.seed)
    rows = []
    with tempfile.TemporaryDirectory(prefix="crossmod-") as folder:
        pairs = phantom_pairs(Path(folder), options)
        for number in range(options.number):
            pair = posed(pairs[number % len(pairs)], random, options)
            rows.append({"pose": number, **measure_registration(pair)})
            print(one_line(rows[-1]), flush=True)
    return [*rows, summary_of_poses(rows)]


def summary_of_poses(rows: list[Row]) -> Row:
    """Errors over all poses, and how many above 2 mm were not flagged."""
    errors = np.array([row["mean_mm"] for row in rows])
    wrong = [row for row in rows if row["mean_mm"] > WRONG_MM]
    summary = {
        "poses": len(rows),
        "mean_mm": float(errors.mean()),
        "median_mm": float(np.median(errors)),
        "largest_mm": float(errors.max()),
        "wrong": len(wrong),
        "wrong_not_flagged": sum(not row["flagged"] for row in wrong),
        "right_but_flagged": sum(row["flagged"] for row in rows if row not in wrong),
    }
    print(one_line(summary), flush=True)
    return summary


def phantom_pairs(root: Path, options: argparse.Namespace) -> list[Pair]:
    """T1w and each other scan of the phantom's heads, bias field corrected."""
    settings = PhantomSettings(
        subjects=options.subjects, seed=options.seed, modalities=options.modalities, missing=0
    )
    pairs = []
    for subject in roster.plan(settings):
        who = subject.participant
        generate_subject(settings, who, root)
        fixed = correct_bias_field(to_ras(read_scan(root / raw_scan(who, "T1w"))))
        points = points_in(to_ras(read_image(root / roster.brain_file(who), dtype=np.uint8)))
        for modality in settings.modalities[1:]:
            moving = to_ras(read_scan(root / raw_scan(who, modality)))
            if modality not in MODALITIES_WITHOUT_FIELD:
                moving = correct_bias_field(moving)
            truth = read_transform(root / roster.transform_file(who, modality))
            pairs.append(Pair(f"{who} {modality}", fixed, moving, truth, points))
    return pairs


def posed(pair: Pair, random: np.random.Generator, options: argparse.Namespace) -> Pair:
    """Turn the moving scan about the middle of its field of view, and move it."""
    angle, length = random.uniform(0, options.degrees), random.uniform(0, options.mm)
    axis, way = (v / np.linalg.norm(v) for v in random.normal(size=(2, 3)))
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(np.deg2rad(angle) * axis).as_matrix()
    pose = about(Grid.of(pair.moving).center(), turn, length * way)
    moving = Image(pair.moving.data, pose @ pair.moving.affine)
    return replace(pair, moving=moving, truth=pose @ pair.truth)


def measure_registration(pair: Pair) -> Row:
    """Error and time of one registration."""
    brain = extract_brain(Head(pair.fixed, Path(pair.name)), "surface")
    clock = Clock()
    found = clock("register", register, pair.fixed, pair.moving, brain)
    error = pair.error_mm(found)
    share = peak_share(compared(pair.fixed, pair.moving, brain), found)
    return {
        "pair": pair.name,
        "before_mm": float(pair.error_mm(np.eye(4)).mean()),
        "mean_mm": float(error.mean()),
        "max_mm": float(error.max()),
        "peak_share": share,
        "flagged": share > MOST_PEAK_SHARE,
        "seconds": clock.seconds["register"],
    }


# --------------------------------------------------------------------------------------------------
# sessions


@dataclass(frozen=True)
class Scanned:
    """One session of the real data set, all scans in RAS orientation."""

    key: str
    scans: dict[Modality, Image]
    from_flair: dict[Modality, Matrix]
    brain: Image
    """Published mask, in the space that the sessions share."""
    to_flair: Matrix
    """From that space to the world of FLAIR."""


def read_sessions(options: argparse.Namespace) -> Iterator[Scanned]:
    """Sessions that have published transforms and a brain mask."""
    data = options.data
    transforms = data / "derivatives" / "transforms"
    for path in sorted(transforms.glob("sub-*/ses-*/anat/*_from-FLAIR_to-common_xfm.txt")):
        key = path.name.partition("_from")[0]
        if options.only and key not in options.only:
            continue
        participant, session = key.split("_")
        folder = data / participant / session / "anat"
        scans: dict[Modality, Image] = {
            m: to_ras(read_scan(folder / f"{key}_{m}.nii.gz"))
            for m in MODALITIES
            if (folder / f"{key}_{m}.nii.gz").exists()
        }
        masks = data / "derivatives" / "masks" / participant / "anat"
        mask = masks / f"{participant}_space-common_desc-brain_mask.nii.gz"
        from_flair: dict[Modality, Matrix] = {"FLAIR": np.eye(4)}
        for modality in scans:
            published = path.with_name(f"{key}_from-{modality}_to-FLAIR_xfm.txt")
            if published.exists():
                from_flair[modality] = read_transform(published)
        brain = to_ras(read_image(mask, dtype=np.uint8))
        yield Scanned(key, scans, from_flair, brain, read_transform(path))


def measure_sessions(options: argparse.Namespace) -> list[Row]:
    """Correct and register each session's scans to its FLAIR, ours and by ANTsPy's defaults."""
    rows = []
    for session in read_sessions(options):
        ours, theirs = Clock(), Clock()
        for row in measure_session(session, ours, theirs):
            rows.append(row)
            print(one_line(row), flush=True)
        row = {"session": session.key, "scans": len(session.scans)}
        row |= {f"crossmod_{name}_s": s for name, s in ours.seconds.items()}
        row |= {f"ants_{name}_s": s for name, s in theirs.seconds.items()}
        ratio = sum(ours.seconds.values()) / sum(theirs.seconds.values())
        rows.append({**row, "ratio": ratio})
        print(one_line(rows[-1]), flush=True)
    return rows


def measure_session(session: Scanned, ours: Clock, theirs: Clock) -> Iterator[Row]:
    """Errors of each scan's registration to FLAIR; the clocks tell the time of both ways."""
    scans = session.scans
    corrected = {m: ours("bias", correct_bias_field, scan) for m, scan in scans.items()}
    by_ants = {m: theirs("bias", ants_n4, scan) for m, scan in scans.items()}
    fixed = corrected["FLAIR"]
    brain = ours("brain", extract_brain, Head(fixed, Path(session.key)), "surface")
    points = apply(session.to_flair, points_in(session.brain))
    for modality in (m for m in scans if m != "FLAIR"):
        truth = session.from_flair[modality]
        pair = Pair(f"{session.key} {modality}", fixed, corrected[modality], truth, points)
        found = ours("registration", register, fixed, pair.moving, brain)
        row = {"pair": pair.name, "before_mm": float(pair.error_mm(np.eye(4)).mean())}
        row["crossmod_mm"] = float(pair.error_mm(found).mean())
        for kind in ("Rigid", "Affine"):
            matrix = theirs(kind.lower(), ants_register, by_ants["FLAIR"], by_ants[modality], kind)
            row[f"ants_{kind.lower()}_mm"] = float(pair.error_mm(matrix).mean())
        yield row


def ants_n4(scan: Image) -> Any:
    """ANTsPy's N4 as its documentation calls it, with the usual shrink factor."""
    return load_ants().n4_bias_field_correction(to_ants(scan), shrink_factor=4)


def ants_register(fixed: Any, moving: Any, kind: str) -> Matrix:
    """ANTsPy's registration with its defaults."""
    ants = load_ants()
    with tempfile.TemporaryDirectory(prefix="crossmod-") as folder:
        found = ants.registration(fixed, moving, type_of_transform=kind, outprefix=f"{folder}/out_")
        return read_transform(Path(found["fwdtransforms"][0]))


# --------------------------------------------------------------------------------------------------
# brain


def measure_brains(options: argparse.Namespace) -> list[Row]:
    """Dice overlap with the published mask: of each scan, of their vote, of other programs."""
    rows = []
    for session in read_sessions(options):
        clock = Clock()
        heads = {
            m: Head(clock("bias", correct_bias_field, scan), Path(session.key))
            for m, scan in session.scans.items()
        }
        masks = {m: clock("brain", extract_brain, head, "surface") for m, head in heads.items()}
        reference = next(iter(masks))
        found = {m: np.eye(4) for m in masks}
        for modality in list(masks)[1:]:
            fixed, moving = heads[reference].image, heads[modality].image
            found[modality] = clock("registration", register, fixed, moving, masks[reference])
        voters = [(mask, found[m]) for m, mask in masks.items()]
        agreed = majority(voters, Grid.of(masks[reference]))
        vote = masks[reference].with_data(agreed)
        row: Row = {"session": session.key, "published_ml": volume_ml(session.brain)}
        row["vote"] = overlap(session, vote, reference)
        row["vote_ml"] = volume_ml(vote)
        row |= {f"surface_{m}": overlap(session, mask, m) for m, mask in masks.items()}
        row["crossmod_s"] = sum(clock.seconds.values())
        for program in options.others:
            for modality in options.scans or session.scans:
                if modality not in session.scans:
                    continue
                head = Head(session.scans[modality], Path(session.key))
                mask = clock(program, OTHERS[program], head)
                row[f"{program}_{modality}"] = overlap(session, mask, modality)
            row[f"{program}_s"] = clock.seconds.get(program, 0.0)
        rows.append(row)
        print(one_line(row), flush=True)
    return rows


def volume_ml(mask: Image) -> float:
    """Volume of a mask."""
    return float((mask.data > 0).sum()) * Grid.of(mask).voxel_ml


def overlap(session: Scanned, mask: Image, modality: Modality) -> float:
    """Dice overlap of a mask in the world of one scan with the published one."""
    transform = session.from_flair[modality] @ session.to_flair
    here = resample_mask(mask, Grid.of(session.brain), transform)
    return dice(here, session.brain.data > 0)


def by_brainextractor(head: Head) -> Image:
    """BET as the package brainextractor has it, on cubes of 1 mm.

    Its compiled code may crash (version 0.3.0 with numba 0.68 does on some scans); then it has no
    mask.
    """
    image = working_copy(head.image, 1.0)
    with tempfile.TemporaryDirectory(prefix="crossmod-") as folder:
        scan, mask = Path(folder, "scan.nii.gz"), Path(folder, "mask.nii.gz")
        write_image(scan, image)
        command = ["brainextractor", str(scan), str(mask)]
        done = subprocess.run(command, check=False, capture_output=True)
        if done.returncode:
            return image.with_data(np.zeros(image.data.shape, np.uint8))
        return to_ras(read_image(mask))


def by_robex(head: Head) -> Image:
    """ROBEX."""
    return extract_brain(head, "robex")


OTHERS = {"brainextractor": by_brainextractor, "robex": by_robex}


def one_line(row: Row) -> str:
    """Row as text."""
    return "  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    poses = parts.add_parser("poses")
    poses.add_argument("--number", type=int, default=60)
    poses.add_argument("--subjects", type=int, default=6)
    poses.add_argument("--modalities", nargs="+", default=list(MODALITIES))
    poses.set_defaults(measure=measure_poses)
    sessions = parts.add_parser("sessions")
    poses.add_argument("--degrees", type=float, default=20.0, help="greatest turn")
    poses.add_argument("--mm", type=float, default=20.0, help="greatest move")
    sessions.set_defaults(measure=measure_sessions)
    brain = parts.add_parser("brain")
    brain.add_argument("--others", nargs="*", choices=list(OTHERS), default=[])
    brain.add_argument("--scans", nargs="*", choices=MODALITIES, help="scans the others are given")
    brain.set_defaults(measure=measure_brains)
    for part in (sessions, brain):
        part.add_argument("--data", type=Path, required=True)
        part.add_argument("--only", nargs="*", metavar="KEY", help="as sub-01_ses-1")
    for part in (poses, sessions, brain):
        part.add_argument("--seed", type=int, default=1)
        part.add_argument("--save", type=Path)
    options = parser.parse_args()
    rows = options.measure(options)
    if options.save:
        write_json(options.save, rows)


if __name__ == "__main__":
    main()
