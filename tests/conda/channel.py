"""A conda channel and a folder of wheels, made of the running environment: nothing is downloaded.

The channel holds two real conda packages. `python` is the running interpreter, linked as a virtual
environment links it; `pip` is the pip of the running environment. Everything that environment files
take through pip lies as a wheel beside it, packed again from what is installed here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.utils import canonicalize_name

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
# Written by whoever installed the distribution; not part of its wheel.
OF_THE_INSTALLER = {"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}


def build_channel(folder: Path) -> None:
    """Write the channel `folder`/conda-forge with the packages `python` and `pip`."""
    from rattler.index import index_fs

    channel = folder / "conda-forge"
    with tempfile.TemporaryDirectory() as root:
        lay_out_python(Path(root))
        version = ".".join(map(str, sys.version_info[:3]))
        pack(Path(root), channel, {"name": "python", "version": version, "depends": []})
    with tempfile.TemporaryDirectory() as root:
        pip = distribution("pip")
        lay_out(pip, Path(root) / "site-packages")
        index = {"name": "pip", "version": pip.version, "depends": ["python"], "noarch": "python"}
        pack(Path(root), channel, index)
    asyncio.run(index_fs(channel))


def lay_out_python(root: Path) -> None:
    """A prefix whose Python is the running one, with no packages."""
    base = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    (root / "bin").mkdir()
    for name in ("python", "python3", PYTHON):
        (root / "bin" / name).symlink_to(base)
    (root / "pyvenv.cfg").write_text(
        f"home = {base.parent}\ninclude-system-site-packages = false\n"
    )
    packages = root / "lib" / PYTHON / "site-packages"
    packages.mkdir(parents=True)
    (packages / "README.txt").write_text("Packages of this environment alone.\n")


def lay_out(dist: Distribution, folder: Path) -> None:
    """Copy an installed distribution to `folder`, without what its installer added."""
    for name, source in wheel_files(dist):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())


def wheel_files(dist: Distribution) -> Iterable[tuple[str, Path]]:
    """Names and places of the files that came out of the wheel into site-packages."""
    for file in dist.files or []:
        outside = file.parts[0] == ".."  # scripts, which every installer makes anew
        if not outside and "__pycache__" not in file.parts and file.name not in OF_THE_INSTALLER:
            yield file.as_posix(), Path(str(dist.locate_file(file)))


def pack(root: Path, channel: Path, index: dict[str, object]) -> None:
    """Write the files under `root` as a conda package into `channel`."""
    from rattler import Subdir

    subdir = "noarch" if "noarch" in index else str(Subdir.current())
    files = sorted(p.relative_to(root) for p in root.rglob("*") if p.is_symlink() or p.is_file())
    build = "py_0" if "noarch" in index else "0"
    about = {"build": build, "build_number": 0, "subdir": subdir, "timestamp": 0, **index}
    paths = {"paths_version": 1, "paths": [describe(root, file) for file in files]}
    link = {"noarch": {"type": "python", "entry_points": []}, "package_metadata_version": 1}
    (root / "info").mkdir()
    (root / "info" / "index.json").write_text(json.dumps(about))
    (root / "info" / "paths.json").write_text(json.dumps(paths))
    if "noarch" in index:
        (root / "info" / "link.json").write_text(json.dumps(link))
    target = channel / subdir / f"{index['name']}-{index['version']}-{build}.tar.bz2"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:bz2", compresslevel=1) as archive:
        archive.add(root / "info", "info")
        for file in files:
            archive.add(root / file, file.as_posix())


def describe(root: Path, file: Path) -> dict[str, object]:
    """The entry of a file in `paths.json`."""
    path = root / file
    content = b"" if path.is_symlink() else path.read_bytes()
    return {
        "_path": file.as_posix(),
        "path_type": "softlink" if path.is_symlink() else "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }


def build_wheels(folder: Path, pins: Iterable[str]) -> None:
    """Pack the installed distributions that `pins` (`name==version`) name into wheels.

    Only they can be installed from `folder`: an environment file that leaves out a package its
    others need does not install.
    """
    folder.mkdir()
    for pin in pins:
        dist = distribution(canonicalize_name(pin.split("==")[0]))
        tags = (dist.read_text("WHEEL") or "").split("Tag: ")[1:]
        parts = zip(*(tag.split()[0].split("-") for tag in tags), strict=True)
        tag = "-".join(".".join(dict.fromkeys(part)) for part in parts)
        name = dist.metadata["Name"].replace("-", "_").replace(".", "_")
        # Stored, not compressed: these wheels live for minutes and never travel.
        with zipfile.ZipFile(folder / f"{name}-{dist.version}-{tag}.whl", "w") as archive:
            for file, source in wheel_files(dist):
                archive.write(source, file)
