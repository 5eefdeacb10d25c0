"""Plain-text answers of the command line: what an index found, which methods there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from crossmod.methods import declaration, method_names
from crossmod.planning import Plan


def text_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns padded to their widest cell; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    numeric = [all(_is_number(row[i]) for row in cells[1:]) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace(",", "").lstrip("-").isdigit() or cell == "-"


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
    return text_table(["method", "pairing", "arity", "input", "fitting"], rows)
