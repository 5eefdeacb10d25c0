"""Faults of whole studies: study files, tables, folders, names, permissions, a full disk."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

from crossmod.ingest.stage import ingest_session
from crossmod.paths import IngestedPaths
from crossmod.study_file import load_study
from tests.faults.cases import Fault, error_line
from tests.faults.data_sets import (
    BAD,
    as_nobody,
    bids,
    convert,
    full_disk,
    index_of,
    lines,
    rows,
    table,
)
from tests.faults.headers import nifti

# Data sets in the layout of BIDS


def _doubled(folder: Path) -> Path:
    scans = bids(folder)
    nifti(scans / f"{BAD}_run-2_T2w.nii.gz")
    return folder / "raw"


def _twice_stored(folder: Path) -> Path:
    scans = bids(folder)
    nifti(scans / f"{BAD}_T2w.nii")
    return folder / "raw"


def _linked(name: str, other: str, make: Callable[..., None], folder: Path) -> Path:
    """`other` becomes one file with `name`, by a link of either kind."""
    bids(folder)
    path, target = folder / "raw" / name, folder / "raw" / other
    path.unlink()
    make(target, path)
    return folder / "raw"


def _others_scan(folder: Path) -> Path:
    scans = bids(folder)
    (scans / f"{BAD}_T2w.nii.gz").rename(scans / "sub-07_T2w.nii.gz")
    return folder / "raw"


def _broken_link(folder: Path) -> Path:
    scan = bids(folder) / f"{BAD}_T2w.nii.gz"
    scan.unlink()
    scan.symlink_to("/nowhere/annex/object.nii.gz")
    return folder / "raw"


def _empty(folder: Path) -> Path:
    (bids(folder) / f"{BAD}_T2w.nii.gz").write_bytes(b"")
    return folder / "raw"


def _not_utf8(folder: Path) -> Path:
    scans = os.fsencode(bids(folder))
    os.rename(scans + b"/sub-02_T2w.nii.gz", scans + b"/sub-02_acq-caf\xe9_T2w.nii.gz")
    return folder / "raw"


def _umlaut(folder: Path) -> Path:
    bids(folder)
    (folder / "raw" / BAD).rename(folder / "raw" / "sub-Zoë 2")
    return folder / "raw"


def _participants(text: str, folder: Path) -> Path:
    bids(folder)
    (folder / "raw/participants.tsv").write_text(text)
    return folder / "raw"


def _closed(name: str, folder: Path) -> Path:
    bids(folder)
    (folder / "raw" / name).chmod(0)
    return folder / "raw"


# The Decathlon


def _decathlon(content: str, folder: Path) -> Path:
    (folder / "raw/imagesTr").mkdir(parents=True)
    nifti(folder / "raw/imagesTr/BRATS_001.nii.gz")
    (folder / "raw/dataset.json").write_text(content)
    return folder / "raw"


# Study files


def _study(content: bytes, folder: Path) -> Path:
    (folder / "study.yaml").write_bytes(content)
    return folder / "study.yaml"


def _folder_for_study(folder: Path) -> Path:
    (folder / "study.yaml").mkdir()
    return folder / "study.yaml"


BOMB = b"a: &a [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    f"{chr(c + 1)}: &{chr(c + 1)} [{', '.join([f'*{chr(c)}'] * 10)}]\n".encode()
    for c in range(ord("a"), ord("k"))
)


# While the jobs run


def _job(root: Path, **dataset: Any) -> str:
    """What the job of `BAD` says of a data set listed in a table, once its index is made."""
    index = index_of(root, **dataset)
    for path in root.parent.glob("vanishing*"):
        path.unlink()
    made = ingest_session(IngestedPaths(root.parent / "out", BAD), index.sessions[BAD].request)
    (line,) = [made.reason] if made.reason else [*made.details["left_out"].values(),
                                                *made.details["notes"]]  # fmt: skip
    return line


def _vanishing(folder: Path) -> Path:
    nifti(folder / "vanishing.nii.gz")
    return table(folder, T1w="../vanishing.nii.gz")


def _described(sidecar: str, folder: Path) -> Path:
    """A table that names a sound scan of `BAD`, and a file that describes it."""
    root = table(folder, T1w="scan.nii.gz")
    nifti(root / "scan.nii.gz")
    (root / "scan.json").write_text(sidecar)
    return root


def _vanishing_sidecar(folder: Path) -> Path:
    root = _described("{}", folder)
    (root / "scan.json").rename(folder / "vanishing.json")
    (root / "scan.json").symlink_to(folder / "vanishing.json")
    return root


def _on_full_disk(root: Path) -> str:
    """Line of `crossmod ingest` on a full disk; nothing may look finished."""
    output, said = root.parent / "out", io.StringIO()
    with full_disk(), redirect_stderr(said):
        assert convert(root, output) == 1
    assert not [path for path in output.rglob("*") if not path.is_dir()]
    return said.getvalue().strip().removeprefix("crossmod: error: ")


def _said(says: str, root: Path, **dataset: Any) -> str:
    """The line of a data set that has certain words; all lines if none has."""
    told = lines(root, **dataset)
    return next((line for line in told if says in line), " / ".join(told))


def _said_to_nobody(says: str, root: Path) -> str:
    lines(root)  # import all there is to import
    with as_nobody():
        return _said(says, root)


def _data(name: str, what: str, says: str, make: Callable[[Path], Path], **dataset: Any) -> Fault:
    return Fault(name, what, make, says, partial(_said, says, **dataset))


def _manifest(name: str, what: str, says: str, **content: Any) -> Fault:
    return _data(name, what, says, lambda folder: table(folder, **content), manifest="scans.tsv")


def _in_job(name: str, what: str, says: str, make: Callable[[Path], Path]) -> Fault:
    return Fault(name, what, make, says, partial(_job, manifest="scans.tsv"))


def _denied(name: str, what: str, says: str, closed: str) -> Fault:
    return Fault(name, what, partial(_closed, closed), says, partial(_said_to_nobody, says))


def _file(name: str, what: str, says: str, content: bytes) -> Fault:
    return Fault(name, what, partial(_study, content), says, _load)


def _load(path: Path) -> str:
    return error_line(lambda: load_study(path=path))


SAME = "sub-02/anat/sub-02_T2w.nii.gz"
CASES = [
    # Data sets in the layout of BIDS
    _data("doubled", "two runs of one modality", "2 files claim to be T2w", _doubled),
    _data("stored-twice", "a scan as .nii and .nii.gz", "2 files claim to be T2w", _twice_stored),
    _data("one-for-two-modalities", "a link that makes one file two modalities",
          "is given as sub-02 T1w and as sub-02 T2w",
          partial(_linked, SAME, "sub-02/anat/sub-02_T1w.nii.gz",
                  lambda target, path: path.symlink_to(target))),
    _data("one-for-two-subjects", "a hard link that gives two subjects one file",
          "is given as sub-01 T2w and as sub-02 T2w",
          partial(_linked, SAME, "sub-01/anat/sub-01_T2w.nii.gz", os.link)),
    _data("others-name", "a file named for another subject than its folder",
          "the name is of another subject", _others_scan),
    _data("dangling-link", "a link to a file that was never fetched", "is a link to nothing",
          _broken_link),
    _data("no-bytes", "a scan of 0 bytes", "empty file", _empty),
    _data("not-utf8", "a file name that is no UTF-8", "is no UTF-8 text", _not_utf8),
    _data("label-umlaut", "a folder `sub-Zoë 2`", "is not sub- with letters and digits", _umlaut),
    _data("participant-twice", "a participant with two different lines in participants.tsv",
          "listed more than once",
          partial(_participants, "participant_id\tsex\nsub-01\tF\nsub-01\tM\n")),
    _data("participants-ragged", "participants.tsv with a short line", "line 3 has not 2 columns",
          partial(_participants, "participant_id\tsex\nsub-01\tF\nsub-02\n")),
    _data("participants-column", "participants.tsv without participant_id",
          "lacks the column 'participant_id'", partial(_participants, "subject\nsub-01\n")),
    _denied("closed-file", "a scan that may not be read", "cannot be read (Permission denied)",
            SAME),
    _denied("closed-folder", "a folder of scans that may not be read",
            "the folder cannot be read (Permission denied)", "sub-02/anat"),
    _denied("closed-subject", "a subject's folder that may not be read",
            "the folder cannot be read (Permission denied)", "sub-02"),
    _denied("closed-root", "a data folder that may not be read",
            "cannot be read (Permission denied)", "."),
    # Tables of scans
    _data("no-table", "a table that is not there", "does not exist",
          lambda folder: table(folder), manifest="none.tsv"),
    _data("table-folder", "a folder where a table is due", "Is a directory",
          lambda folder: table(folder), manifest="."),
    _manifest("table-empty", "a table of 0 bytes", "is empty", text=""),
    _manifest("table-no-rows", "a table without rows", "lists no scan", text=rows()),
    _manifest("table-column", "a table without the column path", "lacks the column 'path'",
              text="participant_id\tmodality\nsub-01\tT1w\n"),
    _manifest("table-column-twice", "a table with two columns modality",
              "has the column 'modality' twice",
              text="participant_id\tmodality\tmodality\tpath\nsub-01\tT1w\tT2w\ta.nii\n"),
    _manifest("table-commas", "a table with commas for tabs", "lacks the column 'participant_id'",
              text="participant_id,modality,path\nsub-01,T1w,a.nii\n"),
    _manifest("table-short-line", "a line with too few columns", "line 2 has not 3 columns",
              text=rows("sub-01\tT1w")),
    _manifest("table-utf16", "a table saved as Unicode text by a spreadsheet", "is no UTF-8 text",
              text=rows("sub-01\tT1w\ta.nii").encode("utf-16")),
    _manifest("table-nul", "a table with zero bytes", "is no tab-separated table",
              text=rows("sub-01\tT1w\ta\0.nii")),
    _manifest("table-quote", "a quote that never ends", "is no tab-separated table",
              text=rows('sub-01\tT1w\t"a.nii', *["sub-01\tT1w\ta.nii"] * 9000)),
    _manifest("table-modality", "an unknown modality", "unknown modality 'T3w'", T3w="a.nii"),
    _manifest("table-volume", "a volume that is no number", "has the volume '-1'",
              text="participant_id\tmodality\tpath\tvolume\nsub-01\tT1w\ta.nii\t-1\n"),
    _manifest("table-labels", "an unknown convention of labels", "unknown labels 'mine'",
              text="participant_id\tmodality\tpath\tlabels\nsub-01\tlesion\ta.nii\tmine\n"),
    _manifest("table-traversal", "a path out of the tree as participant",
              "line 2 has the label '../../etc/passwd'",
              text=rows("../../etc/passwd\tT1w\ta.nii")),
    _manifest("table-session-traversal", "a path out of the tree as session",
              "line 2 has the label 'ses-../..'",
              text="participant_id\tsession_id\tmodality\tpath\nsub-01\tses-../..\tT1w\ta.nii\n"),
    _manifest("table-no-label", "a line without participant", "line 2 has the label ''",
              text=rows("\tT1w\ta.nii")),
    _manifest("table-no-path", "a line without path", "line 2 has no path",
              text=rows("sub-01\tT1w\tn/a")),
    _manifest("table-missing-file", "a path to no file", "does not exist", T1w="none.nii.gz"),
    _manifest("table-two-modalities", "one file for two modalities",
              "is given as sub-02 T1w and as sub-02 T2w",
              text=rows("sub-02\tT1w\tsub-01 t1.nii.gz", "sub-02\tT2w\tsub-01 t1.nii.gz")),
    _manifest("table-two-subjects", "one file for two subjects",
              "is given as sub-01 T1w and as sub-02 T1w", T1w="sub-01 t1.nii.gz"),
    _manifest("table-two-files", "two files for one modality", "2 files claim to be T1w",
              text=rows("sub-02\tT1w\tsub-01 t1.nii.gz", "sub-02\tT1w\tsub-01 t2.nii.gz")),
    # The Decathlon
    _data("decathlon-json", "dataset.json cut off", "is no JSON",
          partial(_decathlon, '{"modality": {"0": "FLA')),
    _data("decathlon-nested", "dataset.json nested 100,000 times", "nested too deeply",
          partial(_decathlon, "[" * 100_000)),
    _data("decathlon-list", "dataset.json that is a list", "names no modalities",
          partial(_decathlon, "[1, 2]")),
    _data("decathlon-numbers", "modalities without numbers", "names no modalities",
          partial(_decathlon, '{"modality": {"first": "FLAIR"}}')),
    # While the jobs run
    _in_job("vanished", "a scan that vanishes between index and job", "does not exist",
            _vanishing),
    _in_job("vanished-sidecar", "a sidecar that vanishes between index and job",
            "its sidecar, which is gone", _vanishing_sidecar),
    _in_job("sidecar", "a sidecar that is no JSON", "its sidecar, which is no JSON",
            partial(_described, '{"EchoTime": ')),
    _in_job("sidecar-list", "a sidecar that is a list", "its sidecar, which holds no",
            partial(_described, "[]")),
    _in_job("passwd", "a path out of the tree, to a file that is no scan",
            "is of no format that is read", lambda d: table(d, T1w="../../../../../etc/passwd")),
    Fault("full-disk", "a disk that is full", table, "No space left on device", _on_full_disk),
    # Study files
    Fault("study-missing", "no study file", lambda d: d / "none.yaml", "does not exist", _load),
    Fault("study-folder", "a folder for a study file", _folder_for_study, "Is a directory", _load),
    _file("study-empty", "a study file of 0 bytes", "holds no keys", b""),
    _file("study-binary", "a study file that is an image", "is no UTF-8", b"\x89PNG\r\n\x1a\n\0\0"),
    _file("study-latin", "a study file that is no UTF-8", "is no UTF-8", b"study: caf\xe9\n"),
    _file("study-list", "a study file that is a list", "holds no keys", b"- study\n- data_dir\n"),
    _file("study-tabs", "a study file indented with tabs", "is no YAML", b"dataset:\n\tname: a\n"),
    _file("study-object", "YAML that would run a command", "could not determine a constructor",
          b"study: !!python/object/apply:os.system ['touch hacked']\n"),
    _file("study-new", "YAML that would construct an object", "could not determine a constructor",
          b"study: !!python/object:subprocess.Popen {args: id}\n"),
    _file("study-bomb", "aliases that stand for 100 billion values", "more than 100000 values",
          BOMB),
    _file("study-circle", "an alias within what it stands for", "more than 100000 values",
          b"study: &a [*a]\n"),
    _file("study-deep", "YAML nested 20,000 times", "nests too deeply", b"study: " + b"[" * 20_000),
]  # fmt: skip
