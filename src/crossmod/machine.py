"""What this machine has: cores, memory, graphics cards, programs, a clock."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

# Where a container's limit stands, of cgroups version 2 and 1.
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def memory_gb(limits: Iterable[Path] = CGROUP_LIMITS) -> float:
    """Memory of the machine, or of the container this runs in if that is less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in limits:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    return min(found) / 1e9


def graphics_cards() -> list[tuple[str, float]]:
    """Name and memory in GB of the cards that torch can use."""
    import torch

    if not torch.cuda.is_available():
        return []
    cards = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [(card.name, card.total_memory / 1e9) for card in cards]


def program_version(name: str) -> str | None:
    """Version of a program on the PATH; None if there is none, empty if it does not tell."""
    path = shutil.which(name)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found.group() if found and done.returncode == 0 else ""


def size_bytes(folders: Iterable[Path]) -> int:
    """Bytes of all files in some folders."""
    total = 0
    for folder in folders:
        for path in folder.rglob("*") if folder.is_dir() else ():
            # A study that runs meanwhile makes and renames temporary files.
            with contextlib.suppress(FileNotFoundError):
                total += path.lstat().st_size if path.is_file() else 0
    return total


def clock_skew_s(folder: Path) -> float:
    """Seconds by which the clock of a folder's file system is ahead of this machine's.

    Raises
    ------
    OSError
        If nothing can be written there.
    """
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".tmp-") as stream:
        return os.stat(stream.name).st_mtime - time.time()
