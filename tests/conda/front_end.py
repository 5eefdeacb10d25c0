"""The `conda` that Snakemake calls in tests: a front end of py-rattler, the library behind pixi.

It knows the commands that Snakemake 9 gives and refuses all others. Solving, linking and
activating are rattler's work; as conda does, it leaves a `pip:` section to the pip of the new
environment. `CONDA_CHANNEL_ALIAS` has conda's meaning: where a channel given by name lies.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

VERSION = "25.1.0"
ACTIVATE = """\
# As conda's own bin/activate: ask for the script that activates a prefix, and obey it.
eval "$("$(dirname "${BASH_SOURCE[0]}")/conda" shell.posix activate "$1")"
"""


def write_base(base: Path) -> Path:
    """Make the base installation that Snakemake looks for: `bin/conda` and `bin/activate`.

    Returns
    -------
    path
        The folder to put on the PATH.
    """
    folder = base / "bin"
    folder.mkdir(parents=True)
    command = shlex.join([sys.executable, str(Path(__file__).resolve()), str(base)])
    (folder / "conda").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (folder / "conda").chmod(0o755)
    (folder / "activate").write_text(ACTIVATE)
    return folder


def create(base: Path, file: Path, prefix: Path) -> None:
    """`conda env create`: solve and link the conda packages, then let pip install its section."""
    import yaml

    content = yaml.safe_load(file.read_text())
    names = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    sections = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    asyncio.run(link(base, content["channels"], names, prefix))
    pins = [pin for section in sections for pin in section]
    if pins:
        python = prefix / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *pins], check=True)


async def link(base: Path, channels: list[str], names: list[str], prefix: Path) -> None:
    """Solve for `names` and link the packages into `prefix`."""
    import rattler

    alias = os.environ.get("CONDA_CHANNEL_ALIAS", "https://conda.anaconda.org").rstrip("/")
    sources = [
        name if "://" in name else f"{alias}/{name}" for name in channels if name != "nodefaults"
    ]
    records = await rattler.solve(
        sources,
        names,
        gateway=rattler.Gateway(cache_dir=base / "index"),
        platforms=[rattler.Subdir.current(), "noarch"],
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(records, prefix, cache_dir=base / "pkgs", show_progress=False)


def activation(prefix: Path) -> str:
    """`conda shell.posix activate`: a shell script."""
    from rattler.shell import ActivationVariables, Shell, activate

    return activate(prefix, ActivationVariables(), Shell.bash).script


def info(base: Path) -> dict[str, str]:
    """`conda info --json`, what Snakemake reads of it."""
    from rattler import Subdir

    return {"conda_prefix": str(base), "platform": str(Subdir.current()), "conda_version": VERSION}


def main(base: Path, arguments: list[str]) -> None:
    """Obey one command."""
    match arguments:
        case ["--version"]:
            print(f"conda {VERSION}")
        case ["info", "--json"]:
            print(json.dumps(info(base)))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["shell.posix", "activate", prefix]:
            print(activation(Path(prefix)))
        case ["env", "create", "--quiet", "--no-default-packages", *options]:
            parser = argparse.ArgumentParser()
            parser.add_argument("--file", type=Path, required=True)
            parser.add_argument("--prefix", type=Path, required=True)
            given = parser.parse_args(options)
            create(base, given.file, given.prefix)
        case ["clean", "-y", "--tarballs"]:
            pass  # rattler keeps none
        case _:
            sys.exit(f"this test's conda does not know: {shlex.join(arguments)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
