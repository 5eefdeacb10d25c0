"""Participants' names that tell nobody who was scanned."""

from __future__ import annotations

import hashlib
import re
from typing import Any

# Labels that studies give: `sub-01`, `P012`. As PatientID they tell nothing.
_STUDY_LABEL = re.compile(
    r"(sub|subj|subject|case|patient|pat|phantom|volunteer|anon|p|s)?0*\d{1,3}"
)
_SHORTEST = 3


def gives_away(folder: str, ds: Any) -> bool:
    """Whether a folder's name holds a part of the patient's name or numbers.

    Looked for are the parts of PatientName, PatientID, OtherPatientIDs, AccessionNumber and StudyID
    with 3 characters or more, and PatientBirthDate and StudyDate in the usual orders of day, month
    and year. Numbers that are themselves a study's label (`sub-01`, `P012`) do not count.

    Parameters
    ----------
    folder : str
        Name of the participant's folder.
    ds : pydicom.Dataset
        Header of one of its files.
    """
    plain = _plain(folder)
    return any(secret in plain for secret in _secrets(ds))


def identity_removed(ds: Any) -> bool:
    """Whether the header says that names and numbers in it are pseudonyms already."""
    return str(ds.get("PatientIdentityRemoved", "")).strip().upper() == "YES"


def label(folder: str) -> str:
    """`sub-` and the letters and digits of a folder's name; empty if it has none."""
    name = re.sub(r"[^A-Za-z0-9]", "", re.sub(r"^sub-", "", folder))
    return f"sub-{name}" if name else ""


def pseudonym(folder: str, study: str) -> str:
    """`sub-` and 8 hex digits: SHA-256 of a folder's name, salted with a study's identifier.

    The salt is the (hashed) StudyInstanceUID of the participant's first study. It is written to no
    output, so that nobody can find out by trial which name a participant has; the same data give
    the same pseudonym on any machine.
    """
    return f"sub-{hashlib.sha256(f'{study}{folder}'.encode()).hexdigest()[:8]}"


def _secrets(ds: Any) -> set[str]:
    texts = re.split(r"[\^=\s,._-]+", str(ds.get("PatientName", "")))
    for keyword in ("PatientName", "PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID"):
        value = ds.get(keyword) or ""
        texts += [value] if isinstance(value, str) else [str(part) for part in value]
    texts.append(str(ds.get("PatientName", "")))
    secrets = {_plain(text) for text in texts}
    secrets = {text for text in secrets if not _STUDY_LABEL.fullmatch(text)}
    for keyword in ("PatientBirthDate", "StudyDate"):
        secrets |= _dates(str(ds.get(keyword) or ""))
    return {text for text in secrets if len(text) >= _SHORTEST}


def _dates(date: str) -> set[str]:
    if not re.fullmatch(r"\d{8}", date):
        return set()
    year, month, day = date[:4], date[4:6], date[6:]
    return {year + month + day, day + month + year, month + day + year, date[2:]}


def _plain(text: str) -> str:
    """Letters and digits of any script, in small letters."""
    return "".join(c for c in text.casefold() if c.isalnum())
