"""Plain-text answers of the command line: what an index found, which methods there are."""

from __future__ import annotations

from collections import Counter

from crossmod.methods import declaration, method_names
from crossmod.planning import Plan
from crossmod.text import text_table


def index_text(plan: Plan) -> str:
    """What the index found, and where its tables lie."""
    study, paths = plan.study, plan.paths
    participants = {session.participant for session in plan.sessions.values()}
    scans = [scan for session in plan.sessions.values() for scan in session.scans.values()]
    counts: Counter[tuple[str, str]] = Counter((scan.modality, scan.status) for scan in scans)
    modalities = list(dict.fromkeys(scan.modality for scan in scans))
    states = ("present", "missing", "excluded")
    rows = [[m, *(counts[m, state] for state in states)] for m in modalities]
    roles = Counter((fold, role) for (_, fold), role in plan.split.items())
    people = f"{len(participants)} subjects, {len(plan.sessions)} sessions"
    lines = [
        f"{study.study}: {people} in {paths.data}",
        text_table(["modality", *states], rows),
        "split: "
        + ", ".join(f"{n} {role} (fold {fold})" for (fold, role), n in sorted(roles.items())),
    ]
    lines += [
        f"excluded: {session.key}: {session.excluded}"
        for session in plan.sessions.values()
        if session.excluded
    ]
    lines += [
        f"excluded: {scan.key} {scan.modality}: {scan.reason}"
        for scan in scans
        if scan.status == "excluded"
    ]
    lines += [
        f"unserved: {row['session_key']} {row['modality']}: {row['reason']}"
        for row in plan.unserved
    ]
    lines += [f"skipped: {model} for {task}: {why}" for (task, model), why in plan.skipped.items()]
    lines.append(f"tables: {paths.index('scans').parent}")
    return "\n".join(lines)


def methods_text() -> str:
    """One line per method with what it declares."""
    rows = []
    for name in method_names():
        found = declaration(name)
        kind = "null model" if found.null else found.fitting
        rows.append([name, found.pairing, found.arity, "/".join(found.dimensionality), kind])
    header = ["method", "pairing", "arity", "input", "fitting"]
    return text_table(header, rows, numbers=False)
