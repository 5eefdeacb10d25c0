"""Write envs/*.yaml from requirements.lock: one conda environment per tool family.

`python workflow/make_envs.py` writes them, `--check` says whether they agree with the lock.
Packages come through pip inside conda, so that conda and pip users run the same versions.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FAMILIES = {
    "imaging": [
        "antspyx",
        "dcm2niix",
        "matplotlib",
        "nibabel",
        "nilearn",
        "numpy",
        "pandas",
        "pydantic",
        "pydicom",
        "PyYAML",
        "scikit-image",
        "scipy",
        "simpleitk",
    ],
    "torch": [
        "lightning-fabric",
        "nibabel",
        "numpy",
        "pydantic",
        "PyYAML",
        "scikit-learn",
        "scipy",
        "simpleitk",
        "torch",
    ],
    "analysis": [
        "jinja2",
        "matplotlib",
        "nibabel",
        "numpy",
        "pandas",
        "pydantic",
        "pydicom",
        "PyYAML",
        "scikit-image",
        "scipy",
        "simpleitk",
    ],
}
HEAD = """\
# Made by workflow/make_envs.py from requirements.lock; do not edit.
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def read_lock() -> dict[str, str]:
    """Canonical name to `name==version`."""
    lines = (ROOT / "requirements.lock").read_text().split()
    return {canonicalize_name(line.split("==")[0]): line for line in lines}


def with_needs(names: list[str]) -> set[str]:
    """The packages and everything they need on this platform, by canonical name."""
    seen: set[tuple[str, str]] = set()
    queue = [(canonicalize_name(name), "") for name in names]
    while queue:
        entry = queue.pop()
        if entry not in seen:
            seen.add(entry)
            queue += _needs(*entry)
    return {name for name, _ in seen}


def _needs(name: str, extra: str) -> list[tuple[str, str]]:
    """What a package needs, or one of its extras (`fsspec[http]`): names and extras in turn."""
    try:
        needs = [Requirement(text) for text in requires(name) or []]
    except PackageNotFoundError:
        raise SystemExit(f"make_envs: {name} is not installed; run `make test` first") from None
    environment = {**default_environment(), "extra": extra}
    return [
        (canonicalize_name(need.name), wanted)
        for need in needs
        if need.marker is None or need.marker.evaluate(environment)
        for wanted in ("", *need.extras)
    ]


def contents() -> dict[Path, str]:
    """Path to text of every environment file."""
    lock = read_lock()
    files = {}
    for family, names in FAMILIES.items():
        pins = [lock[name] for name in sorted(with_needs(names)) if name in lock]
        files[ROOT / "envs" / f"{family}.yaml"] = HEAD + "".join(f"      - {pin}\n" for pin in pins)
    return files


def main() -> int:
    """Write or check."""
    stale = [path for path, text in contents().items() if not _same(path, text)]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} does not agree with requirements.lock")
        return len(stale)
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(contents()[path])
    return 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
