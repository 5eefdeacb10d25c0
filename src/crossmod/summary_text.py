"""Plain-text answers of the command line: what an index found, which methods there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from crossmod.methods import declaration, method_names
from crossmod.planning import Plan
from crossmod.text import counted, grouped, some, text_table


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
        _layout(plan),
        text_table(["modality", *states], rows),
        f"annotations: {_annotations(plan)}",
        "split: "
        + ", ".join(f"{n} {role} (fold {fold})" for (fold, role), n in sorted(roles.items())),
    ]
    lines += _lines((remark.text, remark.path or remark.participant) for remark in plan.remarks)
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
        f"excluded: {key} {kind} annotation: {path.name}: {reason}"
        for key, session in plan.sessions.items()
        for kind, path, reason in session.unusable
    ]
    lines += _lines(
        (f"unserved: {row['modality']}, {row['reason']}", row["session_key"])
        for row in plan.unserved
    )
    lines += [f"skipped: {model} for {task}: {why}" for (task, model), why in plan.skipped.items()]
    lines.append(f"tables: {paths.index('scans').parent}")
    return "\n".join(lines)


def _layout(plan: Plan) -> str:
    """Which layout was taken, why, and what comes of it."""
    detected = plan.index.detected
    use = "used in place" if plan.index.in_place else f"converted to {plan.paths.ingested_root}"
    return f"layout: {detected.layout}, {use} ({detected.evidence})"


def _annotations(plan: Plan) -> str:
    """How many masks and label maps there are; one that serves many sessions counts once."""
    files = {note for session in plan.sessions.values() for note in session.annotations}
    counts = Counter(kind for kind, _ in files)
    return f"{counted(counts['brain'], 'brain mask')}, {counted(counts['lesion'], 'lesion map')}"


def _lines(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """One line for everything of which the same is said."""
    return [f"{saying}: {some(names)}" for saying, names in grouped(pairs).items()]


def methods_text() -> str:
    """One line per method with what it declares."""
    rows = []
    for name in method_names():
        found = declaration(name)
        kind = "null model" if found.null else found.fitting
        rows.append([name, found.pairing, found.arity, "/".join(found.dimensionality), kind])
    header = ["method", "pairing", "arity", "input", "fitting"]
    return text_table(header, rows, numbers=False)
