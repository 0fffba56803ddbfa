"""Checks on loaded batches, each for itself: the contract read back, counts recounted, and what was refused.

Belongs here: reading what ``warehouse.intake`` wrote, in counts; never a value. Does not belong here: when a check is
green, and what to do where it is not (``pipelines.showing.batch_report``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from warehouse import ledger
from warehouse.home import Home
from warehouse.ledger import Reconciled
from warehouse.staging import breaking_records
from warehouse.store import opened

_KINDS = ("accepted", "quarantined", "duplicate", "superseded")
_CHOSEN = "batch_id IN (SELECT unnest($batches))"
# What was counted when the records came in: on arrival or, where the file was refused whole, in the replay that read
# it; less what an erasure took away since.
_EXPECTED = f"""
SELECT taken.batch_id, {", ".join(f"taken.{kind} - coalesce(gone.{kind}, 0)" for kind in _KINDS)}
FROM (SELECT * FROM intake_ledger WHERE {_CHOSEN} AND event IN ('arrival', 'replay') AND refusal IS NULL
      QUALIFY row_number() OVER (PARTITION BY batch_id ORDER BY event, happened_at) = 1) taken
LEFT JOIN (SELECT batch_id, {", ".join(f"sum({kind}) AS {kind}" for kind in _KINDS)} FROM intake_ledger
           WHERE event = 'withdrawal' GROUP BY batch_id) gone USING (batch_id)
"""
_HELD = f"""
SELECT batch_id, {", ".join(f"count(*) FILTER (disposition = '{kind}')" for kind in _KINDS)}
FROM intake_disposition WHERE {_CHOSEN} GROUP BY batch_id
"""
_WAITING = f"""
SELECT batch_id, code, count(DISTINCT record_number)
FROM (SELECT batch_id, record_number, unnest(problems).code AS code FROM intake_waiting WHERE {_CHOSEN})
GROUP BY batch_id, code ORDER BY batch_id, code
"""


@dataclass(frozen=True, slots=True)
class Looked:
    """What the tables say of one batch.

    ``counts``: as fixed on arrival. ``refused``: whether the whole file is refused still. ``waiting``: refused records
    that nobody has dealt with, by code (a record with two codes counts for both) and ``waiting_records`` in all.
    ``held_back``: records that were not stored because they would have broken the contract; ``broken``: stored records
    that break it. ``adds_up``: whether the tables hold what was counted.
    """

    counts: Reconciled
    clinic: str
    data_kind: str
    received_at: str
    refused: bool
    waiting_records: int
    adds_up: bool
    waiting: Mapping[str, int] = field(default_factory=dict)
    held_back: int = 0
    broken: int = 0


def look_at(home: Home, batch_ids: Sequence[str], *, read_back: Collection[str]) -> list[Looked]:
    """What the tables say of each of these batches, leaving out those that are not loaded.

    ``read_back``: those whose records are read and held against the contract; those that were loaded a moment ago were
    read back while they were loaded. Raises WarehouseBusy, WarehouseRefused.
    """
    with opened(home, "look at loaded batches") as connection:
        counted = [counts for batch_id in batch_ids if (counts := ledger.reconciled(connection, batch_id))]
        found = _Found(connection, [counts.batch_id for counts in counted])
        return [
            found.look(counts, _broken(connection, counts.batch_id) if counts.batch_id in read_back else 0)
            for counts in counted
        ]


def loaded_batches(home: Home) -> list[str]:
    """Every batch that is in the ledger, oldest first."""
    with opened(home, "list loaded batches") as connection:
        rows = connection.execute(
            "SELECT batch_id FROM intake_file SEMI JOIN intake_ledger USING (batch_id) ORDER BY received_at, batch_id"
        ).fetchall()
    return [batch_id for (batch_id,) in rows]


def _broken(connection: duckdb.DuckDBPyConnection, batch_id: str) -> int:
    return len(breaking_records(connection, "batch_id = $batch", {"batch": batch_id}))


class _Found:
    """What the tables say of a list of batches, asked for all of them at once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, batch_ids: list[str]) -> None:
        def rows(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query, {"batches": batch_ids}).fetchall()

        arrived = "strftime(received_at, '%Y-%m-%dT%H:%M:%SZ')"
        self.files = {
            batch_id: said
            for batch_id, *said in rows(
                f"SELECT batch_id, clinic, data_kind, {arrived} FROM intake_file WHERE {_CHOSEN}"
            )
        }
        self.refused = {batch_id for (batch_id,) in rows(f"SELECT batch_id FROM intake_refused_file WHERE {_CHOSEN}")}
        self.records = dict(rows(f"SELECT batch_id, count(*) FROM intake_waiting WHERE {_CHOSEN} GROUP BY batch_id"))
        self.expected = {batch_id: counts for batch_id, *counts in rows(_EXPECTED)}
        self.held = {batch_id: counts for batch_id, *counts in rows(_HELD)}
        self.waiting: dict[str, dict[str, int]] = {}
        for batch_id, code, records in rows(_WAITING):
            self.waiting.setdefault(batch_id, {})[code] = records

    def look(self, counts: Reconciled, broken: int) -> Looked:
        """What was found of one batch."""
        batch_id = counts.batch_id
        clinic, data_kind, received_at = self.files[batch_id]
        none = [0] * len(_KINDS)
        return Looked(
            counts,
            clinic,
            data_kind,
            received_at,
            refused=batch_id in self.refused,
            waiting_records=self.records.get(batch_id, 0),
            adds_up=counts.balanced and self.held.get(batch_id, none) == self.expected.get(batch_id, none),
            waiting=self.waiting.get(batch_id, {}),
            held_back=self.waiting.get(batch_id, {}).get("contract_broken", 0),
            broken=broken,
        )
