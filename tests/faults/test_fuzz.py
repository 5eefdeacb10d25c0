"""Any bytes overwritten in a file give a volume or one line, never another error."""

from pathlib import Path

import numpy as np
import pytest

from crossmod.errors import InputError
from crossmod.io import read_scan
from tests.faults.headers import analyze, metaimage, mgh, nifti, nrrd

TRIES = 150
SAMPLES = {
    "a.nii": nifti,
    "a.nii.gz": nifti,
    "a.hdr": analyze,
    "a.mha": metaimage,
    "packed.mha": lambda path: metaimage(path, CompressedData="True"),
    "a.nrrd": nrrd,
    "packed.nrrd": lambda path: nrrd(path, encoding="gzip"),
    "a.mgh": mgh,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SAMPLES)
def test_overwritten_bytes_never_break_the_program(name: str, tmp_path: Path) -> None:
    path = SAMPLES[name](tmp_path / name)
    sound = path.read_bytes()
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(TRIES):
        broken = bytearray(sound)
        for place in rng.integers(0, min(len(sound), 360), rng.integers(1, 4)):
            broken[place] = rng.integers(256)
        path.write_bytes(bytes(broken))
        try:
            read_scan(path)
        except InputError as error:
            lines.append(str(error))
    assert lines
    assert all(line.startswith(f"{path}: ") and "; " in line for line in lines)
