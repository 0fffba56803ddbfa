"""One record out of the snapshot: its row, and every other row that speaks about it.

Belongs here: which rows. Does not belong here: what of them is shown to whom
(``pipelines.page.records.record_sections``).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from pipelines.page.visit import Visit
from warehouse.exports import dicts_of

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """A row of ``referrals`` and what belongs to it; lists are newest first.

    ``names``: clinicians' names of conditions and factors by id. ``rules``, ``advice``: rows of these tables by id;
    empty where the snapshot was made before it held them. ``history``: rows of ``referral_history`` of this record and
    of ``earlier_records``. ``lineage``: hash, file and record number of each version.
    """

    row: Row
    names: Mapping[str, str]
    rules: Mapping[str, Row]
    advice: Mapping[str, Row]
    history: tuple[Row, ...]
    lineage: tuple[Row, ...]
    decisions: tuple[Row, ...]
    outcomes: tuple[Row, ...]
    concerns: tuple[Row, ...]


def read_record(connection: Any, clinic: str, record_id: str) -> Record | None:
    """The record of this clinic, or None where the snapshot has none. ``connection``: over that clinic."""

    def rows(sql: str, *bound: Any) -> tuple[Row, ...]:
        return tuple(dicts_of(connection.execute(sql, list(bound))))

    this = (clinic, record_id)
    matching = rows("SELECT * FROM referrals WHERE clinic_id = ? AND record_id = ?", *this)
    if not matching:
        return None
    (row,) = matching
    of_this = "WHERE clinic_id = ? AND record_id = ?"
    earlier = [one["record_id"] for one in row["earlier_records"] or []]
    conditions = rows("SELECT condition, name FROM conditions")
    return Record(
        row=row,
        names={one["condition"]: one["name"] for one in conditions},
        rules={one["id"]: one for one in rows("SELECT * FROM rules")},
        advice={one["id"]: one for one in rows("SELECT * FROM advice")},
        history=rows(
            "SELECT * FROM referral_history WHERE clinic_id = ? AND list_contains(?, record_id) "
            "ORDER BY submitted_at DESC, scored_at DESC",
            clinic,
            [record_id, *earlier],
        ),
        lineage=rows(f"SELECT * FROM lineage {of_this} ORDER BY submitted_at DESC, received_at DESC", *this),
        decisions=rows(f"SELECT * FROM decisions {of_this} ORDER BY decided_at DESC, received_at DESC", *this),
        outcomes=rows(f"SELECT * FROM outcomes {of_this} ORDER BY recorded_at DESC, received_at DESC", *this),
        concerns=rows(f"SELECT * FROM safety_concerns {of_this} ORDER BY reported_at DESC, received_at DESC", *this),
    )


@contextmanager
def reading_of(visit: Visit, record_id: str | None) -> Iterator[tuple[Any, Record]]:
    """A connection over the clinic that a visit names, and the record of it.

    Raises HTTPException 404 for a record of another clinic as for none.
    """
    if visit.clinic is None or not record_id:
        raise HTTPException(404)
    with visit.reading() as connection:
        record = read_record(connection, visit.clinic, record_id)
        if record is None:
            raise HTTPException(404)
        yield connection, record


def read_of(visit: Visit, record_id: str | None) -> Record:
    """The record alone. Raises as ``reading_of``."""
    with reading_of(visit, record_id) as (_, record):
        return record
