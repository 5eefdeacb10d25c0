"""Participants' names that tell nobody who was scanned, and who was."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from crossmod.ingest.names import plain_label

# Labels that studies give: `sub-01`, `P012`. As PatientID they tell nothing.
_STUDY_LABEL = re.compile(
    r"(sub|subj|subject|case|patient|pat|phantom|volunteer|anon|p|s)?0*\d{1,3}"
)
# What is written for a patient who is not to be named; it stands for many.
_NOBODY = re.compile(r"(anon\w*|deidentified|unknown|none|na|noname|noid|removed|x+|0)?")
_PERSON = {"PatientID", "PatientName", "PatientBirthName", "OtherPatientNames", "OtherPatientIDs"}
_OTHERS = {"AccessionNumber", "StudyID", "InstitutionName", "InstitutionAddress", "StationName"}
_SHORTEST = 3  # of what counts wherever it stands in a name
_SHORTEST_DATE = 5
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def patient(ds: Any) -> str:
    """PatientID, without one PatientName, in small letters; empty if neither names anybody."""
    texts = (str(ds.get(keyword) or "") for keyword in ("PatientID", "PatientName"))
    told = (text.strip(" ^").casefold() for text in texts if not _NOBODY.fullmatch(_plain(text)))
    return next(told, "")


def gives_away(folder: str, ds: Any) -> bool:
    """Whether a folder's name may tell who was scanned, where or when.

    A generic word with up to 3 digits (`P012`) tells nothing. Else a name is allowed only if it is
    given for a study, `sub-` with letters and digits, or a PatientID that PatientIdentityRemoved
    calls a pseudonym; and if nothing of the header agrees with it: names of persons, identifiers,
    institutions and dates, whole or in parts, in any order, with or without leading zeros. Study
    labels that stand as identifiers in the header do not count.

    Parameters
    ----------
    folder : str
        Name of the participant's folder.
    ds : pydicom.Dataset
        Header of one of its files.
    """
    name = _plain(folder)
    if _STUDY_LABEL.fullmatch(name):
        return False
    removed = str(ds.get("PatientIdentityRemoved") or "").strip().upper() == "YES"
    pseudonymous = removed and name == _plain(str(ds.get("PatientID") or ""))
    if not pseudonymous and not re.fullmatch(r"sub-[A-Za-z0-9]+", folder):
        return True
    return _tells(_plain(folder.removeprefix("sub-")), _secrets(ds, removed))


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


def _tells(name: str, secrets: set[str]) -> bool:
    """Whether a name holds a secret, holds a part of one, or is made of short ones (Li^Wu)."""
    pieces = re.findall(r"[^\W\d_]{4,}|\d{5,}", name)
    if any(piece in secret for piece in pieces for secret in secrets):
        return True
    if any(secret in name for secret in secrets if len(secret) >= _SHORTEST):
        return True
    rest = letters = re.sub(r"\d", "", name)
    for secret in sorted(secrets, key=len, reverse=True):
        rest = rest.replace(secret, "")
    return bool(letters) and not rest


def _secrets(ds: Any, removed: bool) -> set[str]:
    """Whole and in parts, what tells who, where or when; `removed`: not what names the patient."""
    secrets: set[str] = set()
    for keyword, vr, text in _told(ds):
        if vr in ("DA", "DT"):
            secrets |= _dates(text[:8])
        elif not (removed and keyword in _PERSON) and not _NOBODY.fullmatch(_plain(text)):
            parts = {_plain(way) for part in _parts(text) for way in _ways_to_write(part)}
            shortest = 1 if vr == "PN" else _SHORTEST
            secrets |= {p for p in parts if len(p) >= shortest and not _STUDY_LABEL.fullmatch(p)}
    return secrets


def _told(ds: Any) -> Iterator[tuple[str, str, str]]:
    """Keyword, kind and text of all names, dates, identifiers and places in a header."""
    from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR

    for tag in ds.keys():  # noqa: SIM118, items of a Dataset are elements, and reading them is slow
        if dictionary_has_tag(tag):
            keyword, vr = dictionary_keyword(tag), dictionary_VR(tag)
            if vr in ("PN", "DA", "DT") or keyword in _PERSON | _OTHERS:
                yield keyword, vr, str(ds[tag].value or "")
    for item in ds.get("OtherPatientIDsSequence") or ():
        yield from _told(item)


def _parts(text: str) -> list[str]:
    """A text without what separates its words, and its words."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", text))
    return ["".join(words), *words]


def _dates(date: str) -> set[str]:
    """Ways to write a date (YYYYMMDD) in digits."""
    if not re.fullmatch(r"\d{8}", date):
        return set()
    year, month, day = date[:4], date[4:6], date[6:]
    orders = [f"{y}{month}{day} {day}{month}{y} {month}{day}{y}" for y in (year, year[2:])]
    plain = {_plain(order) for order in " ".join(orders).split()}
    return {order for order in plain if len(order) >= _SHORTEST_DATE}


def _ways_to_write(text: str) -> tuple[str, str, str]:
    """As it is, without accents, and with the German way around umlauts."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return text, bare, text.casefold().translate(_UMLAUTS)


def _plain(text: str) -> str:
    """Letters and digits of any script, in small letters, numbers without zeros in front."""
    plain = "".join(c for c in unicodedata.normalize("NFC", text).casefold() if c.isalnum())
    return re.sub(r"(?<!\d)0+(?=\d)", "", plain)
