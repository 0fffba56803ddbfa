"""Which model was put in force when, by whom and why: the promotion history in the warehouse.

Belongs here: the two append-only tables, and which change still waits to be published. Does not belong here: the
pointer that says which model is in force (``warehouse.model_pointer``), gates and previews
(``pipelines.changes.promotion``).

A change is entered before it is made, so that a process that dies in between leaves word of what it was about: the
next run makes the change, publishes, and enters the snapshot that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import duckdb

from warehouse import audit
from warehouse.home import Home
from warehouse.model_pointer import InForce
from warehouse.store import opened

Kind = Literal["promote", "rollback", "suspend", "resume"]
_COLUMNS = (
    "change_number, kind, happened_at, by_name, second_name, reason, from_version, from_suspended, to_version, "
    "to_suspended, snapshot_before, gates, snapshot_after"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the model in force.

    ``number`` counts from 1 and is given on entry. ``second``: who else agreed, of a promotion only. ``gates``: JSON
    of the gates a promotion passed. ``snapshot_before`` and ``snapshot_after``: ids, None where there was or is none.
    """

    kind: Kind
    by: str
    reason: str
    before: InForce
    after: InForce
    second: str | None = None
    snapshot_before: str | None = None
    gates: str = "[]"
    number: int = 0
    happened_at: datetime | None = None
    snapshot_after: str | None = None


def enter(home: Home, change: Change) -> None:
    """Write a change into the history; its number and time are given now. Raises WarehouseBusy, WarehouseRefused."""
    with opened(home, "enter a change of model") as connection:
        ((last,),) = connection.execute("SELECT coalesce(max(change_number), 0) FROM model_change").fetchall()
        connection.execute(
            "INSERT INTO model_change VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                int(last) + 1,
                change.kind,
                datetime.now(UTC),
                change.by,
                change.second,
                change.reason,
                change.before.version,
                change.before.suspended,
                change.after.version,
                change.after.suspended,
                change.snapshot_before,
                change.gates,
            ],
        )
        audit.enter(
            connection,
            change.kind,
            subject=change.after.version,
            by=change.by,
            second=change.second,
            reason=change.reason,
            versions={"before": str(change.before), "after": str(change.after)},
        )


def enter_published(home: Home, snapshot_id: str) -> None:
    """Write down that ``snapshot_id`` holds the last change, where that had not been published yet.

    Raises WarehouseBusy, WarehouseRefused.
    """
    with opened(home, "enter a change of model") as connection:
        if waiting := waiting_change(connection):
            connection.execute(
                "INSERT INTO model_change_published VALUES (?, ?, ?)", [waiting.number, snapshot_id, datetime.now(UTC)]
            )


def unpublished(home: Home) -> Change | None:
    """The last change, if no snapshot holds it yet. Raises WarehouseBusy, WarehouseRefused."""
    with opened(home, "look at changes of model") as connection:
        return waiting_change(connection)


def waiting_change(connection: duckdb.DuckDBPyConnection) -> Change | None:
    """The same on an open warehouse. An earlier change that never was published has been overtaken by the last one."""
    last = next(_changes(connection, "ORDER BY change_number DESC LIMIT 1"), None)
    return last if last and last.snapshot_after is None else None


def changes(home: Home) -> list[Change]:
    """Every change, oldest first. Raises WarehouseBusy, WarehouseRefused."""
    with opened(home, "look at changes of model") as connection:
        return list(_changes(connection, "ORDER BY change_number"))


def last_standing_promotion(history: list[Change]) -> Change | None:
    """The newest promotion that no rollback has taken back yet: each rollback takes back one."""
    standing: list[Change] = []
    for change in history:
        if change.kind == "promote":
            standing.append(change)
        elif change.kind == "rollback" and standing:
            standing.pop()
    return standing[-1] if standing else None


def _changes(connection: duckdb.DuckDBPyConnection, order: str) -> Iterator[Change]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM model_change LEFT JOIN model_change_published USING (change_number) {order}"
    ).fetchall()
    for row in rows:
        number, kind, at, by, second, reason, version, suspended, to, to_suspended, snapshot, gates, after = row
        yield Change(
            kind=kind,
            by=by,
            reason=reason,
            before=InForce(version, suspended),
            after=InForce(to, to_suspended),
            second=second,
            snapshot_before=snapshot,
            gates=gates,
            number=number,
            happened_at=at,
            snapshot_after=after,
        )
