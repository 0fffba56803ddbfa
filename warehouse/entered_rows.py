"""One entry of the clinicians' page as a file of one row, by the form of its kind.

Belongs here: writing the text of such a file and reading it back. Does not belong here: where the files lie
(``warehouse.entered``), what a row may hold (``schemas.decisions`` and its like).
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from schemas.form import read_form

Contents = Literal["decision", "outcome", "safety_concern"]
TIME_OF: Mapping[Contents, str] = {"decision": "decided_at", "outcome": "recorded_at", "safety_concern": "reported_at"}
PERSON_OF: Mapping[Contents, str] = {"decision": "decided_by", "safety_concern": "reported_by"}


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One row that a clinician entered. ``cells``: its columns as text, '' where blank. ``is_refused``: a published
    table has said that it could not be taken in.
    """

    contents: Contents
    clinic: str
    cells: Mapping[str, str]
    sha256: str
    is_refused: bool = False

    @property
    def record_id(self) -> str:
        """The record it is about; '' for a safety concern about the program as a whole."""
        return self.cells["record_id"]

    @property
    def made_at(self) -> datetime:
        """When it was entered, with the offset of the clinic's clock."""
        return datetime.fromisoformat(self.cells[TIME_OF[self.contents]])

    @property
    def submitted_at(self) -> datetime | None:
        """When the form version was submitted that was on the screen; None for the program as a whole."""
        return datetime.fromisoformat(self.cells["submitted_at"]) if self.cells["submitted_at"] else None

    @property
    def by(self) -> str:
        """Who entered it; '' for an outcome, whose form has no such column."""
        return self.cells.get(PERSON_OF.get(self.contents, ""), "")


@cache
def columns_of(contents: Contents) -> tuple[str, ...]:
    """The columns of a file of this kind, in the order of its form."""
    return tuple(question.column for question in read_form(f"{contents}_form.csv"))


def to_csv(contents: Contents, cells: Mapping[str, str]) -> bytes:
    """A file of one row: the form's columns in order, UTF-8. Columns left out are blank."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    columns = columns_of(contents)
    rows.writerow(columns)
    rows.writerow([cells.get(column, "") for column in columns])
    return text.getvalue().encode("utf-8")


@lru_cache(maxsize=4096)
def _parsed(content: bytes) -> tuple[Contents, tuple[tuple[str, str], ...]] | None:
    """Kind and cells of a file as ``to_csv`` makes it, None where it is none."""
    try:
        header, row = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
        contents = next(kind for kind in TIME_OF if columns_of(kind) == tuple(header))
        cells = tuple(zip(header, row, strict=True))
        return contents, cells if datetime.fromisoformat(dict(cells)[TIME_OF[contents]]).tzinfo else ()
    except (ValueError, StopIteration, csv.Error):
        return None


def read_entry(file: Path, clinic: str, sha256: str, is_refused: bool) -> Entry | None:
    """The entry in a file of this hash; None where the file is gone, cannot be read or holds other bytes."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    parsed = _parsed(content) if hashlib.sha256(content).hexdigest() == sha256 else None
    return Entry(parsed[0], clinic, dict(parsed[1]), sha256, is_refused) if parsed and parsed[1] else None
