"""Write docs/reference/malformed-input.md: each case of malformed input and what crossmod says.

`python workflow/make_malformed_page.py` makes every case of `tests/faults`, lets crossmod meet it
and writes the page; `--check` says whether the page is up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults.cases import Fault, groups  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "malformed-input.md"
HEAD = """\
# Malformed input

What crossmod says when a file or a data set is broken: one line that names the file, the fault and,
after the semicolon, a remedy. In a study the scan or session is left out with this line as the
reason, and everything else completes. Where scans are converted, session and modality stand for
the file, whose name may be a person's; the log names it. A fault of the study file, of a table or
of the whole data folder, and one file for two scans, which would leak results, end the command with
the line. A file that vanishes while a study runs stops the run, which names it; run again, and the
index goes without it.

Each of the {count} cases is written by code in `tests/faults` and met by a test; this page is made
from them by `workflow/make_malformed_page.py`.
"""


def page() -> str:
    """Text of the page."""
    found = groups()
    text = HEAD.format(count=sum(len(cases) for cases in found.values()))
    return text + "".join(_section(title, cases) for title, cases in found.items())


def _section(title: str, cases: list[Fault]) -> str:
    rows = [f"| {_cell(case.what)} | {_cell(f'`{case.line()}`')} |\n" for case in cases]
    return f"\n## {title}\n\n| case | crossmod says |\n| --- | --- |\n{''.join(rows)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write or check."""
    text = page()
    fresh = PAGE.is_file() and PAGE.read_text() == text
    if "--check" in sys.argv[1:]:
        if not fresh:
            print(
                f"{PAGE.relative_to(ROOT)} is not up to date: run workflow/make_malformed_page.py"
            )
        return int(not fresh)
    if not fresh:
        PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
