"""Participants' names that tell nobody who was scanned."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any

from crossmod.ingest.names import plain_label

# Labels that studies give: `sub-01`, `P012`. As PatientID they tell nothing.
_STUDY_LABEL = re.compile(
    r"(sub|subj|subject|case|patient|pat|phantom|volunteer|anon|p|s)?0*\d{1,3}"
)
_SHORTEST = 3
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def gives_away(folder: str, ds: Any) -> bool:
    """Whether a folder's name holds a part of the patient's name or numbers.

    Looked for are the parts of PatientName, PatientID, OtherPatientIDs, AccessionNumber and StudyID
    with 3 characters or more, and PatientBirthDate and StudyDate in the usual orders of day, month
    and year. Numbers that are themselves a study's label (`sub-01`, `P012`) do not count; nor do
    name and PatientID where PatientIdentityRemoved says that they are pseudonyms.

    Parameters
    ----------
    folder : str
        Name of the participant's folder.
    ds : pydicom.Dataset
        Header of one of its files.
    """
    plain = _plain(folder)
    return any(secret in plain for secret in _secrets(ds))


def label(folder: str) -> str:
    """`sub-` and the letters and digits of a folder's name; empty if it has none."""
    name = plain_label(folder.removeprefix("sub-"))
    return f"sub-{name}" if name else ""


def pseudonym(folder: str, study: str) -> str:
    """`sub-` and 8 hex digits: SHA-256 of a folder's name, salted with a study's identifier.

    The salt is the (hashed) StudyInstanceUID of the participant's first study. It is written to no
    output, so that nobody can find out by trial which name a participant has; the same data give
    the same pseudonym on any machine.
    """
    return f"sub-{hashlib.sha256(f'{study}{folder}'.encode()).hexdigest()[:8]}"


def _secrets(ds: Any) -> set[str]:
    texts = [str(ds.get(keyword) or "") for keyword in ("AccessionNumber", "StudyID")]
    if str(ds.get("PatientIdentityRemoved", "")).strip().upper() != "YES":
        name, others = str(ds.get("PatientName", "")), ds.get("OtherPatientIDs") or ""
        texts += [name, *re.split(r"[\^=\s,._-]+", name), str(ds.get("PatientID") or "")]
        texts += [others] if isinstance(others, str) else map(str, others)
    secrets = {_plain(way) for text in texts for way in _ways_to_write(text)}
    secrets = {text for text in secrets if not _STUDY_LABEL.fullmatch(text)}
    for keyword in ("PatientBirthDate", "StudyDate"):
        secrets |= _dates(str(ds.get(keyword) or ""))
    return {text for text in secrets if len(text) >= _SHORTEST}


def _dates(date: str) -> set[str]:
    if not re.fullmatch(r"\d{8}", date):
        return set()
    year, month, day = date[:4], date[4:6], date[6:]
    return {year + month + day, day + month + year, month + day + year, date[2:]}


def _ways_to_write(text: str) -> tuple[str, str, str]:
    """As it is, without accents, and with the German way around umlauts."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return text, bare, text.casefold().translate(_UMLAUTS)


def _plain(text: str) -> str:
    """Letters and digits of any script, in small letters."""
    return "".join(c for c in unicodedata.normalize("NFC", text).casefold() if c.isalnum())
