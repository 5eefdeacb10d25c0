"""How often a wrong name is noticed: python benchmarks/modality_names.py FOLDER ... [--shows ...].

Judges every volume of preprocessed sessions (FOLDER holds their status files) under its own name
and under every other, alone and exchanged with another scan of its session, and prints the counts.
A name that is known to be wrong is corrected by `--shows sub-01_ses-2:T1w=T1ce`. The volumes hold
the brain alone, so CT, which is known by its air, cannot be told here.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from crossmod.io import read_image
from crossmod.preprocess.appearance import Measures, View, judge, judge_names, lay_over
from crossmod.settings import MODALITIES, Modality
from crossmod.status import Status, read_status

VERDICTS = ("agrees", "looks like another", "cannot tell")
Session = dict[Modality, Measures | None]


def measure(status: Status, file: Path) -> Session:
    """Measures of the volumes of one session."""
    brain = read_image(status.path("brain", file)).data > 0
    views = {}
    for modality in (m for m in MODALITIES if m in status.outputs):
        fov = f"fov-{modality}"
        cover = read_image(status.path(fov, file)).data > 0 if fov in status.outputs else brain
        views[modality] = View(read_image(status.path(modality, file)), cover)
    placed = status.details["space"] not in MODALITIES
    overlay = lay_over(views, brain, status.details["reference"], placed)
    found, notes = judge_names(overlay)
    print(status.session, "; ".join(notes) or "no remark", flush=True)
    return {modality: appearance.measures for modality, appearance in found.items()}


def count(sessions: dict[str, Session], shows: dict[str, Modality]) -> tuple[Counter, Counter]:
    """Verdicts by what is shown and the name it is given: alone, and exchanged."""
    alone: Counter = Counter()
    exchanged: Counter = Counter()
    for key, session in sessions.items():
        for modality, measures in session.items():
            truth = shows.get(f"{key}:{modality}", modality)
            for name in MODALITIES:
                alone[truth, name, judge(name, {name: measures}).verdict] += 1
            for other in (m for m in session if m != modality):
                swapped = {**session, other: measures, modality: session[other]}
                exchanged[truth, other, judge(other, swapped).verdict] += 1
    return alone, exchanged


def table(counts: Counter) -> str:
    """Markdown: agrees / looks like another / cannot tell."""
    rows = ["| shows | " + " | ".join(MODALITIES) + " |", "| --- |" + " --- |" * len(MODALITIES)]
    for shown in (m for m in MODALITIES if any(m == key[0] for key in counts)):
        cells = [[counts[shown, name, verdict] for verdict in VERDICTS] for name in MODALITIES]
        texts = [" / ".join(map(str, cell)) if sum(cell) else "" for cell in cells]
        rows.append(f"| {shown} | " + " | ".join(texts) + " |")
    return "\n".join(rows)


def main() -> None:
    """Judge, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--shows", nargs="*", default=[])
    arguments = parser.parse_args()
    files = [f for folder in arguments.folders for f in sorted(folder.glob("*_status.json"))]
    statuses = [(read_status(file), file) for file in files]
    sessions = {s.session: measure(s, file) for s, file in statuses if s.ok}
    shows = dict(text.split("=") for text in arguments.shows)
    for title, counts in zip(("alone", "exchanged"), count(sessions, shows), strict=True):
        print(f"\nNamed, {title} ({' / '.join(VERDICTS)})\n\n{table(counts)}")


if __name__ == "__main__":
    main()
