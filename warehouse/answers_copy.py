"""The treating clinic's copy of what its patients stated: one record's answers and free text, read by the page.

Belongs here: finding a record version in the copy, what it states, what earlier versions of it stated, and both in the
shape that scoring takes. Does not belong here: making the copy (``warehouse.answers_writing``), its files
(``warehouse.answers_segments``), who may see it (``pipelines.page``).

The copy holds sensitive answers and free text. It lies beside the snapshots and is no part of one: whoever is given a
snapshot is given none of it. Readers take no lock and open neither the warehouse nor DuckDB. What cannot be read whole
is None, never a part: the page then says that the answers are not at hand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.form import answer_columns, form
from warehouse.answers_segments import (
    BETWEEN,
    COLUMNS,
    ManifestUnusable,
    checksum,
    folder_of,
    other_questions,
    read_manifest,
    yes_or_no_columns,
)
from warehouse.home import Home

if TYPE_CHECKING:
    import pyarrow as pa

_TIMES_TRIED = 3  # a publication may replace what the manifest named a moment ago
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_ANSWERS = ("patient_key",)
_READ: dict[str, Callable[[str], object]] = {"integer": int, "number": float}


@dataclass(frozen=True, slots=True)
class Stated:
    """What one version of a record states.

    ``answers``: by column of the form, stated ones only, in its order: text, int, float, or for yes/no True (stated)
    and False (asked and absent); a column that is not there was not asked or is not known. ``carried``: answers of
    earlier versions that are blank in this one, which the rules still use, each with the time of submission of the
    newest version that stated it. ``notes``: the free text; None where there is none or where it was not kept (a
    record taken in before notes were kept has ``has_notes`` in its referral).
    """

    answers: dict[str, object]
    carried: dict[str, tuple[object, datetime]]
    notes: str | None


@dataclass(frozen=True, slots=True)
class _Version:
    row: Mapping[str, Any]
    answers: dict[str, object]
    submitted_at: datetime


def stated(home: Home, clinic: str, record_id: str, intake_hash: str) -> Stated | None:
    """What the version ``intake_hash`` of a record states; None where it is not at hand.

    Not at hand is a record that is hidden, erased or not published yet, a clinic that is none, and a copy that is
    damaged. Raises nothing of the files.
    """
    versions = _versions(home, clinic, record_id, intake_hash)
    if versions is None:
        return None
    current = versions[-1]
    return Stated(
        answers={column: answer for column, answer in current.answers.items() if column not in _NOT_ANSWERS},
        carried=_carried(versions),
        notes=current.row["note"],
    )


def as_records(home: Home, clinic: str, record_id: str, intake_hash: str) -> tuple[pa.Table, pa.Table] | None:
    """The same version as the two tables that ``models.referral.referral_rows`` takes, one row each.

    The first has the shape of ``schemas.records.record_schema``; in the second, for the rules, answers that are blank
    now are carried forward from earlier versions. Both are what ``warehouse.scores.next_unscored`` gives of the
    record, so a score of them is the published one as long as nothing is changed. None as in ``stated``.
    """
    import pyarrow as pa  # ``stated`` does without

    from schemas.records import record_schema

    versions = _versions(home, clinic, record_id, intake_hash)
    if versions is None:
        return None
    row, current = versions[-1].row, versions[-1]
    record = current.answers | {
        "record_id": record_id,
        "clinic_id": clinic,
        "submitted_at": current.submitted_at,
        "intake_hash": row["intake_hash"],
        "data_kind": row["data_kind"],
        "received_at": _time(row["received_at"]),
        "has_notes": bool(row["has_notes"]),
        "warnings": row["warnings"].split(BETWEEN) if row["warnings"] else [],
    }
    for_rules = record | {column: answer for column, (answer, _) in _carried(versions).items()}
    return pa.Table.from_pylist([record], record_schema()), pa.Table.from_pylist([for_rules], record_schema())


def _carried(versions: Sequence[_Version]) -> dict[str, tuple[object, datetime]]:
    """Of the last version: what is blank in it and was stated before, newest first, as ``warehouse.scores`` carries it.

    DuckDB takes longer to start than all of this; a test holds the two against each other.
    """
    *earlier, current = versions
    said = {column: (answer, one.submitted_at) for one in earlier for column, answer in one.answers.items()}
    return {column: said[column] for column in answer_columns() if column in said and column not in current.answers}


def _versions(home: Home, clinic: str, record_id: str, intake_hash: str) -> list[_Version] | None:
    """The versions of the record up to the one that is asked for, oldest first; None where that is not at hand."""
    folder = folder_of(home, clinic)
    if folder is None:
        return None
    for _ in range(_TIMES_TRIED):
        try:
            rows = _rows(folder, record_id)
        except (ManifestUnusable, sqlite3.Error, OverflowError, UnicodeError):
            continue
        rows.sort(key=lambda row: row["submitted_at"])
        places = [place for place, row in enumerate(rows) if row["intake_hash"] == intake_hash]
        if not places or not all(_is_as_written(row) for row in rows):
            return None
        return [_Version(row, _answers(row), _time(row["submitted_at"])) for row in rows[: places[0] + 1]]
    return None


def _rows(folder: Path, record_id: str) -> list[Mapping[str, Any]]:
    """The record's rows of all segments. Raises ManifestUnusable, sqlite3.Error."""
    query = f"SELECT {', '.join(COLUMNS)} FROM version WHERE record_id = ?"
    found: list[Mapping[str, Any]] = []
    for segment in read_manifest(folder):
        file = folder / segment.file
        # A segment is never changed, so SQLite needs no lock of it.
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            found += [dict(zip(COLUMNS, row, strict=True)) for row in connection.execute(query, [record_id]).fetchall()]
    return found


def _is_as_written(row: Mapping[str, Any]) -> bool:
    *values, written = row.values()
    return bool(checksum(tuple(values)) == written)


def _answers(row: Mapping[str, Any]) -> dict[str, object]:
    """The stated answers of a row, in the order of the form."""
    found: dict[str, object] = {}
    for entry in row["others"].split(BETWEEN) if row["others"] else ():
        place, _, text = entry.partition("=")
        question = other_questions()[int(place)]
        found[question.column] = _READ.get(question.type, str)(text)
    columns, packed = yes_or_no_columns(), row["yes_or_no"]
    bits = f"{int.from_bytes(packed):0{8 * len(packed)}b}"
    for column, is_stated, is_yes in zip(columns, bits, bits[len(columns) :], strict=False):
        if is_stated == "1":
            found[column] = is_yes == "1"
    return {column: found[column] for column in sorted(found, key=_place)}


@cache
def _places() -> dict[str, int]:
    return {question.column: place for place, question in enumerate(form())}


def _place(column: str) -> int:
    return _places()[column]


def _time(microseconds: int) -> datetime:
    return _BEGINNING + timedelta(microseconds=microseconds)
