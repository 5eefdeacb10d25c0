"""A conda installation for tests: the front end, a channel and the wheels of some environments."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.conda.channel import build_channel, build_wheels
from tests.conda.front_end import write_base

ENVS = Path(__file__).resolve().parents[2] / "envs"


def pins_of(families: Iterable[str]) -> list[str]:
    """The `pip:` sections of environment files, without repetitions, sorted."""
    pins: set[str] = set()
    for family in families:
        content = yaml.safe_load((ENVS / f"{family}.yaml").read_text())
        pins.update(content["dependencies"][-1]["pip"])
    return sorted(pins)


@dataclass(frozen=True)
class Installation:
    """Where the parts of a test's conda lie.

    Attributes
    ----------
    channels : path
        Folder of the channel `conda-forge`.
    wheels : path
        Folder of the only wheels that pip finds.
    bin : path
        Folder of `conda` and `activate`.
    """

    channels: Path
    wheels: Path
    bin: Path

    @classmethod
    def make(cls, root: Path, families: Iterable[str]) -> Installation:
        """Build everything from the running environment; skip the test where that cannot be."""
        pytest.importorskip(
            "rattler",
            reason="--use-conda is NOT tested: py-rattler is missing "
            "(pip install -r requirements.lock)",
        )
        if sys.version_info[:2] != (3, 11):
            pytest.skip("--use-conda is NOT tested: envs/*.yaml ask for Python 3.11")
        build_channel(root / "channels")
        build_wheels(root / "wheels", pins_of(families))
        return cls(root / "channels", root / "wheels", write_base(root / "base"))

    @property
    def variables(self) -> dict[str, str]:
        """Environment under which conda and pip see this channel and these wheels alone."""
        path = [str(self.bin), str(Path(sys.executable).parent), os.environ["PATH"]]
        return {
            "PATH": os.pathsep.join(path),
            "CONDA_CHANNEL_ALIAS": self.channels.as_uri(),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_COMPILE": "no",  # compiled are the modules that a job imports: its trace
            "PIP_NO_CACHE_DIR": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
